"""How the first-light model in ``sample_data/demo_model`` is trained, on the sample volumes themselves.

`planes` makes labelled planes, `vision` trains the tower and the perceiver on them, `conversations` writes questions
and answers, `language` trains the language model and both projectors. ``python -m sample_data.train_demo_model`` runs
all.
"""
