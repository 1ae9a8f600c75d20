"""Every figure of the shipped model's card: `python -m benchmarks.demo` (`make evaluate-demo`).

exams.py degrade.py   whose images are asked about: held-out generated subjects and real volumes, and worse copies
trials.py wording.py  what is asked through the engine, and what came out, one row a question
controls.py           what must go wrong, or must not
run.py                the whole examination, in parts
figures.py summary.py rows to figures with intervals, as JSON and as tables
failures.py           pictures of the worst answers
"""
