"""The MedSIGHT module's own library: everything but the widgets, and free of Qt except where a file says otherwise."""
