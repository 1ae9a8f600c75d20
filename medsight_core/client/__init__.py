"""The torch-free side of the wire: ask a MedSIGHT server from any Python, Slicer's own included.

Needs numpy and requests only, imports in a fraction of a second, and knows nothing of Slicer, images or models.
"""

from __future__ import annotations

from medsight_core.client.client import MedSightClient
from medsight_core.client.reply import Reply, ServerInfo

__all__ = ["MedSightClient", "Reply", "ServerInfo"]
