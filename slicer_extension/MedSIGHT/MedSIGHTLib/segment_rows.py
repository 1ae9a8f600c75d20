"""The segments of a volume in figures: how large each is now, how sure the model was, and whose its edge is.

MRML and HTML as far as Qt's labels do; no Qt. Belongs to the scene's thread.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from MedSIGHTLib.conversation import Conversation
from MedSIGHTLib.segments import TAG_OUTLINE, is_as_answered, tag_of
from MedSIGHTLib.thresholding import TAG_EDGE
from MedSIGHTLib.translating import _

_LABELMAP = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()


@dataclass(frozen=True)
class SegmentRow:
    """One segment. volume_ml: of its voxels now. confidence: 0..1 of the answer that outlined it; None for one's own.

    as_answered: whether nobody has changed it since. edge: whether its threshold was moved.
    """

    name: str
    color: tuple[float, float, float]
    volume_ml: float
    confidence: float | None
    as_answered: bool
    edge: bool = False


class SegmentRows:
    """Counts voxels only where a segment is not as it was answered, and only once for each change."""

    def __init__(self) -> None:
        """Nothing counted."""
        self._counted: dict[str, tuple[tuple, float]] = {}  # by segment: of which state, millilitres

    def of(self, node: Any, conversation: Conversation) -> tuple[SegmentRow, ...]:
        """In the order of the segmentation node; none for None."""
        if node is None:
            return ()
        said = {
            turn.segment_ids.get(region.label): region for turn in conversation.turns for region in turn.answer.regions
        }
        segmentation, rows = node.GetSegmentation(), []
        for n in range(segmentation.GetNumberOfSegments()):
            segment_id, segment = segmentation.GetNthSegmentID(n), segmentation.GetNthSegment(n)
            region = said.get(segment_id)  # of the latest answer that outlines it
            answered = region is not None and is_as_answered(segment)
            volume = region.volume_ml if answered and region.volume_ml else self._volume(node, segment_id, segment)
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

    def _volume(self, node: Any, segment_id: str, segment: slicer.vtkSegment) -> float:
        image = segment.GetRepresentation(_LABELMAP)
        scalars = image.GetPointData().GetScalars() if image is not None else None
        if scalars is None:
            return 0.0
        key, state = f"{node.GetID()} {segment_id}", (image.GetMTime(), segment.GetLabelValue())
        if self._counted.get(key, (None, 0.0))[0] != state:
            matrix = vtk.vtkMatrix4x4()
            image.GetImageToWorldMatrix(matrix)
            count = int(np.count_nonzero(vtk_to_numpy(scalars) == segment.GetLabelValue()))
            self._counted[key] = (state, count * abs(matrix.Determinant()) / 1000)
        return self._counted[key][1]


def rows_html(rows: tuple[SegmentRow, ...], text: str, muted: str) -> str:
    """A table: name, volume, and how sure the model is or that a person has changed it; "" without segments."""
    cells = "".join(_row_html(row, text, muted) for row in rows)
    return f"<table cellspacing='0' cellpadding='2'>{cells}</table>" if cells else ""


def _row_html(row: SegmentRow, text: str, muted: str) -> str:
    color = "#{:02x}{:02x}{:02x}".format(*(round(255 * min(max(c, 0.0), 1.0)) for c in row.color))
    volume = _("{volume} ml").format(volume=f"{row.volume_ml:,.1f}")
    about = []
    if row.confidence is not None:
        about.append(_("{confidence} confidence").format(confidence=f"{row.confidence:.0%}"))
    if row.confidence is None:
        about.append(_("your own"))
    elif row.edge:
        about.append(_("edge moved"))
    elif not row.as_answered:
        about.append(_("changed by hand"))
    return (
        f"<tr><td><span style='color:{color}'>\N{BLACK CIRCLE}</span>&nbsp;"
        f"<span style='color:{text}'>{html.escape(row.name)}</span></td>"
        f"<td align='right' style='padding-left:18px; color:{muted}'>{volume}</td>"
        f"<td style='padding-left:18px; color:{muted}'>{' · '.join(about)}</td></tr>"
    )
