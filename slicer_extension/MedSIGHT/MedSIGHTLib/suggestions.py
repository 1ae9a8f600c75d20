"""Which of the server's example questions fit a volume. MRML, no Qt; belongs to the scene's thread."""

from __future__ import annotations

from typing import Any

from medsight_core.client import ServerInfo
from MedSIGHTLib import mrml

_MOST = 3


def suggestions_for(volume_node: Any, info: ServerInfo | None) -> list[str]:
    """A few questions to try, those of the volume's modality if it is known, or else some of each."""
    suggestions = info.suggestions if info is not None else {}
    own = suggestions.get(modality_of_values(volume_node) or "")
    return list(own or (prompt for prompts in zip(*suggestions.values()) for prompt in prompts))[:_MOST]


def modality_of_values(volume_node: Any) -> str | None:
    """What the volume says of itself, or else what the server will take it for."""
    if volume_node is None or volume_node.GetImageData() is None:
        return None
    low, high = volume_node.GetImageData().GetScalarRange()
    return mrml.modality_of(volume_node) or ("CT" if low < -300 and 100 < high < 50000 else "MR")
