"""The server: our guarded app around the useful part of MONAI Label. Imports no MONAI Label by itself."""
