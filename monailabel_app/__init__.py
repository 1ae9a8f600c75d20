"""The MONAI Label app of MedSIGHT; MONAI Label loads `main` by its path."""
