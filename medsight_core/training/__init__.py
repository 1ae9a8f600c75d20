"""Training the five stages, and adapting to corrected masks (the training issue fills this package)."""
