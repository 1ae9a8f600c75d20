"""Training and evaluation data on disk: published formats read record by record, checked, and made."""
