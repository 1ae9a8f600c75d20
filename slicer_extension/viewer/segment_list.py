"""The page's list of segments: name, colour, how sure the model is, how large, and whether it is shown.

Knows MRML and the conversation; what is shown stands in trame's state. Belongs to the event loop.
"""

from __future__ import annotations

from typing import Any

from MedSIGHTLib.conversation import Conversation
from MedSIGHTLib.pointing import Pointer
from MedSIGHTLib.showing import set_visible

from medsight_core.answer import Region


class SegmentList:
    """The segments of the volume that is shown. ``chosen``: the one that was gone to last, by its id."""

    def __init__(self, state: Any, pointer: Pointer):
        """``pointer`` leads to segments."""
        self._state, self._pointer = state, pointer
        self._node: Any = None
        self._conversation = Conversation()
        self.chosen = ""
        state.segments = []

    def show(self, node: Any, conversation: Conversation) -> None:
        """Bring the list in line with a segmentation node, or None, and what was said about its volume."""
        self._node, self._conversation = node, conversation
        said = {
            turn.segment_ids.get(region.label): region for turn in conversation.turns for region in turn.answer.regions
        }
        rows = []
        segmentation = node.GetSegmentation() if node is not None else None
        for n in range(segmentation.GetNumberOfSegments() if segmentation else 0):
            segment_id, segment = segmentation.GetNthSegmentID(n), segmentation.GetNthSegment(n)
            region = said.get(segment_id)  # the latest answer that outlines it
            rows.append(
                {
                    "id": segment_id,
                    "name": segment.GetName(),
                    "color": "rgb({:.0f} {:.0f} {:.0f})".format(*(255 * channel for channel in segment.GetColor())),
                    "visible": bool(node.GetDisplayNode().GetSegmentVisibility(segment_id)),
                    "chosen": segment_id == self.chosen,
                    "about": _about(region) if region else "",
                }
            )
        self._state.segments = rows

    def toggle(self, segment_id: str) -> None:
        """Show or hide one segment."""
        if self._node is None:
            return
        self._pointer.close()
        visible = self._node.GetDisplayNode().GetSegmentVisibility(segment_id)
        set_visible(self._node, segment_id, not visible)
        self.show(self._node, self._conversation)


def _about(region: Region) -> str:
    volume = [f"{region.volume_ml:,.1f} ml"] if region.volume_ml else []
    return " \N{MIDDLE DOT} ".join([*volume, f"{region.confidence:.0%}"])
