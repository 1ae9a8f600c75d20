"""MedSIGHT for 3D Slicer: ask a medical volume in plain words, get a sentence and named segments.

Importing this package is cheap and pulls in no torch: Slicer's own Python imports it for the client.
"""

from __future__ import annotations

from medsight_core.answer import NOTICE, Answer, ModelInfo, Region

__version__ = "0.1.0"
__all__ = ["NOTICE", "Answer", "ModelInfo", "Region", "__version__"]
