"""Every figure of the shipped model's card: `python -m benchmarks.demo` (`make evaluate-demo`).

exams.py degrade.py   whose images are asked about: held-out generated subjects and real volumes, and worse copies
trials.py             what is asked through the engine, and what came out, one row a question
figures.py            rows to means with intervals
tables.py             figures to the card's tables
"""
