"""The page for those without 3D Slicer: volume views, conversation, segments and report in a browser (`medsight view`).

A door like the Slicer module, on Slicer's own libraries (trame-slicer). What is asked, put into the scene, pointed at
and reported is the module's `MedSIGHTLib`; here is only what a page needs beside it.

    app.py      starts everything, in this process, until Ctrl+C
    guard.py    who may open the page, and one window at a time
    scene.py    the MRML scene with its four views
    scopes.py   what may be asked about; windows.py grey-level windows by name
    session.py  from clicks to `Asker`, and from its outcomes to what is shown
    page.py     what the page consists of; page.css how it looks
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("MedSIGHTLib") is None:  # the folder that Slicer has on its path for the module
    sys.path.append(str(Path(__file__).resolve().parents[1] / "MedSIGHT"))
