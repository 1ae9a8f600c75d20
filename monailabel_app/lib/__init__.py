"""The tasks of the app, by kind, in MONAI Label's usual layout."""
