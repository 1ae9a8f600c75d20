"""Scoring a model against references (the evaluation issue fills this package)."""
