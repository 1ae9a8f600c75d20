"""The authors' weights as a model of ours: their files opened, every name and shape judged, the result written."""
