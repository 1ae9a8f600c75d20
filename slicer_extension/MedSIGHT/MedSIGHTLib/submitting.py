"""A case's segments on their way to the server: taken from the scene, sent without it, marked as kept in it.

Three steps, because only the middle one is slow and only the others may touch MRML. Until the server has said that it
keeps them, nothing here changes, so whatever fails can be tried again. Free of Qt, so that scripts can use it.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from medsight_core.client import Annotator, Segment, Submitted
from medsight_core.errors import InputError
from MedSIGHTLib import mrml
from MedSIGHTLib.case_segments import CaseSegment, mark_kept, segments_of_case
from MedSIGHTLib.case_store import case_of, set_case
from MedSIGHTLib.conversation_store import load_conversation
from MedSIGHTLib.fetching import latest_of
from MedSIGHTLib.open_case import OpenCase
from MedSIGHTLib.segments import segmentation_of
from MedSIGHTLib.submission_file import Piece, write_pieces
from MedSIGHTLib.translating import _


@dataclass(frozen=True, eq=False)
class Prepared:
    """All that handing in needs once the scene is out of reach; the volume node is for the last step only."""

    case: OpenCase
    segments: tuple[CaseSegment, ...]
    shape: tuple[int, int, int]
    affine: np.ndarray
    prompt: str
    answer: str
    model_version: str
    nothing_there: bool
    volume_node: slicer.vtkMRMLScalarVolumeNode = field(repr=False)


def prepare_submission(volume_node: Any, nothing_there: bool = False) -> Prepared:
    """Take a case's segments from the scene; belongs to the scene's thread.

    nothing_there: that nothing is outlined is meant so.
    Raises InputError with a sentence when there is nothing to hand in, VolumeError when the volume has no voxels.
    """
    case = case_of(volume_node)
    if case is None:
        raise InputError(
            _("The chosen volume is no case of the worklist: press Next case, or choose the case's volume.")
        )
    snapshot = mrml.snapshot(volume_node)
    segments = segments_of_case(volume_node, case)
    twice = [name for name, count in Counter(segment.name for segment in segments).items() if count > 1]
    if twice:
        raise InputError(
            _("Several segments are called '{name}': rename, merge or remove all but one.").format(name=twice[0])
        )
    if not any(segment.outline for segment in segments) and not nothing_there:
        raise InputError(
            _("Nothing is outlined: outline something, or tick 'Nothing to outline' if that is what you mean.")
        )
    if case.base_version and len(segments) == case.base_segments and all(segment.kept for segment in segments):
        raise InputError(
            _("Nothing has changed since version {base_version}, so nothing was sent.").format(
                base_version=case.base_version
            )
        )
    turns = load_conversation(volume_node).turns
    last = turns[-1] if turns else None
    return Prepared(
        case,
        segments,
        snapshot.voxels.shape,
        snapshot.affine,
        last.prompt if last else "",
        last.answer.text if last else "",
        last.answer.model.version if last else "",
        nothing_there,
        volume_node,
    )


def send_submission(prepared: Prepared, annotator: Annotator, only_changed: bool = False) -> Submitted:
    """Write the file and hand it in; slow, touches no scene.

    only_changed: leave out what the base version has just so, for a server that takes it from there. Raises the
    client's errors.
    """
    left_out = [segment.name for segment in prepared.segments if only_changed and segment.kept]
    sent = [segment for segment in prepared.segments if segment.name not in left_out]
    pieces = [
        Piece(
            number,
            segment.name,
            segment.color,
            segment.terminology,
            segment.outline.mask if segment.outline else None,
            segment.outline.first if segment.outline else (0, 0, 0),
        )
        for number, segment in enumerate(sent, 1)
    ]
    folder = Path(tempfile.mkdtemp(prefix="medsight-"))
    try:
        path = folder / "label.seg.nrrd"
        write_pieces(path, pieces, prepared.shape, prepared.affine)
        return annotator.submit(
            prepared.case.id,
            path,
            segments=[Segment(piece.label, s.name, s.made_by) for piece, s in zip(pieces, sent)],
            prompt=prepared.prompt,
            answer=prepared.answer,
            model_version=prepared.model_version,
            base_version=prepared.case.base_version,
            image_hash=prepared.case.image_hash,
            nothing_there=prepared.nothing_there,
            unchanged=left_out,
            key=_key(prepared, annotator.name),
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def finish_submission(prepared: Prepared, submitted: Submitted, annotator: str) -> None:
    """The server keeps it: mark what it has, so that only what is edited from now on is new; the scene's thread.

    Nothing when the volume has gone meanwhile.
    """
    volume_node = prepared.volume_node
    if volume_node.GetScene() is None:
        return
    node = segmentation_of(volume_node)
    for segment in prepared.segments:
        mark_kept(node, segment.segment_id, submitted.version, segment.made_by, segment.digest)
    case = case_of(volume_node) or prepared.case
    flagged = bool(submitted.notices)
    set_case(
        volume_node,
        replace(
            case,
            base_version=submitted.version,
            base_segments=len(prepared.segments),
            base_annotator=annotator,
            status="" if flagged else "submitted",
            level="",
            comment="",
            reviewer="",
            submitted=True,
        ),
    )


def send_review(case: OpenCase, annotator: Annotator, status: str, level: str, comment: str) -> None:
    """Say of a case's label, of the version that was looked at, what to think of it; slow, touches no scene.

    Raises InputError when another version has come in meanwhile, and the client's errors.
    """
    latest = latest_of(annotator.versions(case.id))
    if latest is not None and latest.version != case.base_version:
        raise InputError(
            _(
                "Version {version} came in since you loaded version {base_version}, so nothing was said "
                "of it: press Skip until the case comes again, and look at it anew."
            ).format(version=latest.version, base_version=case.base_version)
        )
    annotator.review(case.id, status, level=level, comment=comment)


def _key(prepared: Prepared, annotator: str) -> str:
    """Equal for an equal hand-in: the server may have kept what was sent before its reply was lost."""
    case = prepared.case
    said = (case.id, case.image_hash, case.base_version, annotator, *(segment.digest for segment in prepared.segments))
    return hashlib.sha256(repr(said).encode()).hexdigest()
