"""Scoring a model against published benchmarks: read, ask, score twice, report.

cases.py benchmarks.py records.py *_readers.py   what is asked, from the publishers' files
predict.py predictions.py                        what the model says, kept so that a stopped run goes on
text_scores.py mask_scores.py scoring.py         the authors' scorer and ours
summary.py paper.py tables.py                    means, intervals, the paper's numbers
run.py report.py page.py case_picture.py         the whole path, and the files it leaves
"""
