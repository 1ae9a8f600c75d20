"""The torch-free side of the wire: ask a MedSIGHT server from any Python, Slicer's own included.

Needs numpy and requests only, imports in a fraction of a second, and knows nothing of Slicer, images or models.
"""

from __future__ import annotations

from medsight_core.client.annotator import Annotator
from medsight_core.client.batch import Batch
from medsight_core.client.cases import Case, Segment, StoredImage, Submitted, Version, Versions
from medsight_core.client.client import MedSightClient
from medsight_core.client.events import Progress, Text
from medsight_core.client.reply import Reply, ServerInfo
from medsight_core.client.training import ModelVersion, Training
from medsight_core.client.worklist import ListedCase, Worklist

__all__ = [
    "Annotator",
    "Batch",
    "Case",
    "ListedCase",
    "MedSightClient",
    "ModelVersion",
    "Progress",
    "Reply",
    "Segment",
    "ServerInfo",
    "StoredImage",
    "Submitted",
    "Text",
    "Training",
    "Version",
    "Versions",
    "Worklist",
]
