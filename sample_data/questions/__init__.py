"""Questions as people type them, written without a look at the templates that conversations to train on are made from.

`paraphrases.jsonl` holds them with what each one means; `read` checks and reads them. They measure whether a model
understands wording that it never saw, so nothing may be trained on them, and no template or table of aliases be fitted
to them.
"""
