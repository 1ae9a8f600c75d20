"""The segments of a volume in figures: how large each is now, how sure the model was, and whose its edge is.

MRML and HTML as far as Qt's labels do; no Qt. Belongs to the scene's thread.
"""

from __future__ import annotations

import html
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from medsight_core.answer import Region
from MedSIGHTLib.conversation import Conversation
from MedSIGHTLib.segments import TAG_OUTLINE, is_as_answered, tag_of
from MedSIGHTLib.thresholding import TAG_EDGE
from MedSIGHTLib.translating import _

_AT_ONCE_SECONDS = 0.01  # what a table may cost before the rest of it is left for later
_PIECE = 1 << 18  # voxels that stay in the processor's cache
_LABELMAP = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()


@dataclass(frozen=True)
class SegmentRow:
    """One segment. confidence: 0..1 of the answer that outlined it; None for one's own.

    volume_ml: of its voxels now; None when they are yet to be looked through, and `as_answered` is not known either.
    as_answered: whether nobody has changed it since. edge: whether its threshold was moved.
    """

    name: str
    color: tuple[float, float, float]
    volume_ml: float | None
    confidence: float | None
    as_answered: bool
    edge: bool = False


class SegmentRows:
    """Counts voxels only where a segment is not as it was answered, and only once for each change."""

    def __init__(self) -> None:
        """Nothing counted."""
        self._counted: dict[str, tuple[tuple, tuple[bool, float]]] = {}  # by segment: of which state, and what came out

    def of(self, node: Any, conversation: Conversation) -> tuple[SegmentRow, ...]:
        """In the order of the segmentation node; none for None.

        Where many voxels have to be looked through, only some segments are: ask again for the others, and the event
        loop goes on meanwhile.
        """
        if node is None:
            return ()
        said = {
            turn.segment_ids.get(region.label): region for turn in conversation.turns for region in turn.answer.regions
        }
        segmentation, rows, begun = node.GetSegmentation(), [], time.perf_counter()
        for n in range(segmentation.GetNumberOfSegments()):
            segment_id, segment = segmentation.GetNthSegmentID(n), segmentation.GetNthSegment(n)
            region = said.get(segment_id)  # of the latest answer that outlines it
            key, state = f"{node.GetID()} {segment_id}", _state(segment, region)
            known = self._counted.get(key, (None, None))[0] == state
            if not known and time.perf_counter() < begun + _AT_ONCE_SECONDS:
                self._counted[key], known = (state, _count(segment, region)), True
            answered, volume = self._counted[key][1] if known else (False, None)
            ours = bool(tag_of(segment, TAG_OUTLINE))
            rows.append(
                SegmentRow(
                    segment.GetName(),
                    segment.GetColor(),
                    volume,
                    region.confidence if region is not None and ours else None,
                    answered,
                    edge=not answered and bool(tag_of(segment, TAG_EDGE)),
                )
            )
        return tuple(rows)


def _state(segment: slicer.vtkSegment, region: Region | None) -> tuple:
    """All that `_count` looks at; VTK's clock never shows the same time twice."""
    image = segment.GetRepresentation(_LABELMAP)
    modified = image.GetMTime() if image is not None else None
    said = region and region.volume_ml
    return (modified, segment.GetLabelValue(), segment.GetName(), tag_of(segment, TAG_OUTLINE), said)


def _count(segment: slicer.vtkSegment, region: Region | None) -> tuple[bool, float]:
    """Whether it is as answered, and its volume in ml."""
    answered = region is not None and is_as_answered(segment)
    if answered and region is not None and region.volume_ml:
        return True, region.volume_ml
    image = segment.GetRepresentation(_LABELMAP)
    scalars = image.GetPointData().GetScalars() if image is not None else None
    if scalars is None:
        return answered, 0.0
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    voxels, value = vtk_to_numpy(scalars), segment.GetLabelValue()
    count = sum(np.count_nonzero(voxels[n : n + _PIECE] == value) for n in range(0, len(voxels), _PIECE))
    return answered, count * abs(matrix.Determinant()) / 1000


def rows_html(rows: tuple[SegmentRow, ...], text: str, muted: str) -> str:
    """A table: name, volume, and how sure the model is or that a person has changed it; "" without segments."""
    cells = "".join(_row_html(row, text, muted) for row in rows)
    return f"<table cellspacing='0' cellpadding='2'>{cells}</table>" if cells else ""


def _row_html(row: SegmentRow, text: str, muted: str) -> str:
    color = "#{:02x}{:02x}{:02x}".format(*(round(255 * min(max(c, 0.0), 1.0)) for c in row.color))
    about = []
    if row.volume_ml is None:
        volume = "…"
    else:
        volume = _("{volume} ml").format(volume=f"{row.volume_ml:,.1f}")
    if row.confidence is not None:
        about.append(_("{confidence} confidence").format(confidence=f"{row.confidence:.0%}"))
    if row.confidence is None:
        about.append(_("your own"))
    elif row.edge:
        about.append(_("edge moved"))
    elif not row.as_answered and row.volume_ml is not None:
        about.append(_("changed by hand"))
    return (
        f"<tr><td><span style='color:{color}'>\N{BLACK CIRCLE}</span>&nbsp;"
        f"<span style='color:{text}'>{html.escape(row.name)}</span></td>"
        f"<td align='right' style='padding-left:18px; color:{muted}'>{volume}</td>"
        f"<td style='padding-left:18px; color:{muted}'>{' · '.join(about)}</td></tr>"
    )
