"""Where a segment's edge lies: soft masks of answers, and a segment drawn anew at another threshold.

A soft mask belongs to a segment for as long as its voxels are the answer's, or were drawn here from that very mask.
What a person has changed otherwise is never touched. Kept in memory, packed; a saved scene has the segments alone.
MRML, no Qt; belongs to the scene's thread.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer

from medsight_core.client import Reply
from medsight_core.errors import InputError
from medsight_core.soft_masks import SoftMask
from MedSIGHTLib.fingerprint import fingerprint
from MedSIGHTLib.segments import TAG_OUTLINE, Outlined, layer_image, layer_scalars, outline_print, tag_of
from MedSIGHTLib.translating import _
from MedSIGHTLib.undo import Undo

TAG_EDGE = "MedSIGHT.Edge"  # threshold and outline of what was drawn here last
_MOST = 64  # soft masks, the newest; some hundred kilobytes each


class SoftMasks:
    """Soft masks of the answers since Slicer was started."""

    def __init__(self) -> None:
        """None."""
        self._masks: dict[str, SoftMask] = {}  # by the outline that was answered with them

    def add(self, reply: Reply, outlined: Outlined) -> None:
        """Keep a reply's soft masks, if it has any."""
        for label, segment_id in outlined.segment_ids.items():
            outline = tag_of(outlined.node.GetSegmentation().GetSegment(segment_id), TAG_OUTLINE)
            if label in reply.soft and outline:
                self._masks.pop(outline, None)
                self._masks[outline] = reply.soft[label]
        while len(self._masks) > _MOST:
            del self._masks[next(iter(self._masks))]

    def of(self, segment: slicer.vtkSegment) -> SoftMask | None:
        """The soft mask that an answer's segment came with; None when there is none, or no longer."""
        return self._masks.get(tag_of(segment, TAG_OUTLINE))


def edge_of(segment: slicer.vtkSegment, soft: SoftMask) -> float | None:
    """The threshold at which the segment is drawn; None when a person has changed its voxels otherwise."""
    now = outline_print(segment)
    if now == tag_of(segment, TAG_OUTLINE):
        return soft.threshold
    threshold, __, outline = tag_of(segment, TAG_EDGE).partition(" ")
    return float(threshold) if outline and now == outline else None


def draw_at(
    threshold: float, segment_id: str, soft: SoftMask, node: Any, volume_node: Any, undo: Undo, same_step: bool = False
) -> None:
    """Draw a segment anew, with all voxels that are more probable than ``threshold``.

    same_step: go on with the step for *Undo* that the call before has begun. Raises InputError when a person has
    changed the segment or no voxel is that probable, ServerError for a damaged mask; then nothing changes.
    """
    segment = node.GetSegmentation().GetSegment(segment_id)
    if edge_of(segment, soft) is None:
        raise InputError(_("You have changed this segment, so its edge stays where you drew it."))
    mask = soft.mask(threshold)
    if not mask.any():
        raise InputError(_("No voxel is that probable, so the edge stays where it was."))
    i, j, k = soft.first
    if not same_step:
        undo.save(node)
    image = layer_image(layer_scalars(mask.astype(np.uint8)), volume_node, mask.shape, soft.first)
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    logic.SetBinaryLabelmapToSegment(image, node, segment_id, logic.MODE_REPLACE)
    segment.SetTag(TAG_EDGE, f"{threshold:.4f} {fingerprint(mask, (k, j, i))}")
    undo.saved(node)
