"""The shipped model's card: what is known about it, told once, for people, for hubs and for MONAI.

words.py     what is true whatever was measured: purpose, limits, what its images are
training.py  what a training run did, as `training.json` beside the weights
facts.py     all that is known of a model folder: its configuration, that record, and what the examiner measured
readme.py    facts and words as README.md, whose head model hubs read
metadata.py  facts and words as MONAI's metadata.json
"""
