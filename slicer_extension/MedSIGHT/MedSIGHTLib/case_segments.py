"""The segments of a case, and what about them is a person's work: who made each, and what is as the server has it.

A segment that the server keeps is marked with the version, who made it there, and a digest of its name and voxels; so
an edit that is taken back is none. MRML only, no Qt; belongs to the scene's thread.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import slicer

from MedSIGHTLib.fingerprint import fingerprint
from MedSIGHTLib.open_case import OpenCase
from MedSIGHTLib.outline import Outline, outline_of
from MedSIGHTLib.segments import TAG_OUTLINE, is_as_answered, segmentation_of, tag_of

MODEL, EDITED, DRAWN = "model", "edited", "drawn"
_TAG_KEPT = "MedSIGHT.Kept"
_UNSAID = "-"


@dataclass(frozen=True, eq=False)
class CaseSegment:
    """One segment as it is now.

    outline: on the voxels of the case's image; None without a voxel. digest: of its name and outline. made_by: "model",
    "edited" or "drawn", "" where the server does not know it either. kept: whether the base version has it just so.
    """

    segment_id: str
    name: str
    color: tuple[float, float, float]
    terminology: str
    outline: Outline | None
    digest: str
    made_by: str
    kept: bool


def segments_of_case(volume_node: slicer.vtkMRMLScalarVolumeNode, case: OpenCase) -> tuple[CaseSegment, ...]:
    """In the order of the segmentation."""
    node = segmentation_of(volume_node)
    segmentation = node.GetSegmentation() if node is not None else None
    count = segmentation.GetNumberOfSegments() if segmentation is not None else 0
    return tuple(_segment(node, segmentation.GetNthSegmentID(n), volume_node, case) for n in range(count))


def has_work(volume_node: slicer.vtkMRMLScalarVolumeNode, case: OpenCase) -> bool:
    """Whether a person's work on the case is not on the server; what a model outlined can be asked for again."""
    segments = segments_of_case(volume_node, case)
    by_hand = any(not segment.kept and segment.made_by != MODEL for segment in segments)
    return by_hand or sum(segment.kept for segment in segments) < case.base_segments


def mark_kept(node: Any, segment_id: str, version: int, made_by: str, digest: str) -> None:
    """The server has the segment like this from now on; nothing when it is gone."""
    segment = node.GetSegmentation().GetSegment(segment_id) if node is not None else None
    if segment is not None:
        segment.SetTag(_TAG_KEPT, f"{version} {made_by or _UNSAID} {digest}")


def digest_of(name: str, outline: Outline | None) -> str:
    """Equal for an equal name and equal voxels."""
    voxels = fingerprint(outline.mask, outline.first) if outline is not None else "empty"
    return hashlib.sha256(f"{name}\n{voxels}".encode()).hexdigest()[:32]


def _segment(node: Any, segment_id: str, volume_node: Any, case: OpenCase) -> CaseSegment:
    segment = node.GetSegmentation().GetSegment(segment_id)
    outline, name = outline_of(node, segment_id, volume_node), " ".join(segment.GetName().split())
    digest = digest_of(name, outline)
    kept = tag_of(segment, _TAG_KEPT)
    version, maker, known = kept.split(" ") if kept.count(" ") == 2 else ("", "", "")
    if digest == known:
        made_by = "" if maker == _UNSAID else maker
    elif not known and is_as_answered(segment):
        made_by = MODEL
    else:
        made_by = EDITED if known or tag_of(segment, TAG_OUTLINE) else DRAWN
    return CaseSegment(
        segment_id,
        name,
        segment.GetColor(),
        tag_of(segment, slicer.vtkSegment.GetTerminologyEntryTagName()),
        outline,
        digest,
        made_by,
        digest == known and version == str(case.base_version),
    )
