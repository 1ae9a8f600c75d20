"""A label that leaves out what has not changed, made whole: each version can be read and learned from by itself.

Reads and writes files; knows no HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from medsight_core.data.correction import Claim, Correction
from medsight_core.data.correction_store import CorrectionStore
from medsight_core.errors import InputError
from medsight_core.imaging.label_file import LabelFile, LabelSegment, read_label_file, write_label_file


def complete(
    file: LabelFile,
    names: Sequence[str],
    claim: Claim,
    versions: Sequence[Correction],
    store: CorrectionStore,
    path: Path,
) -> tuple[LabelFile, Claim]:
    """The label with its unchanged segments, rewritten at ``path``; and the claim for its new values.

    file, names: what was handed in, on the image's grid. versions: of the image's label.
    Raises InputError when the base version is not there or has no such segment, or ``path`` is no NRRD file.
    """
    if path.suffix != ".nrrd":
        raise InputError("Only a .seg.nrrd or .nrrd file can leave out what is unchanged: send one, or all segments.")
    base = next((version for version in versions if version.version == claim.base_version), None)
    if base is None:
        raise InputError(f"There is no version {claim.base_version} to take the rest from: hand in all segments.")
    unknown = [name for name in claim.unchanged if not any(name in (s.given, s.name) for s in base.segments)]
    if unknown:
        raise InputError(f"Version {base.version} has no segment {unknown[0]!r} that could be unchanged: hand it in.")
    handed_in = [replace(segment, name=name) for segment, name in zip(file.segments, names)]
    handed_in += _without_voxels(file, claim)
    before = read_label_file(store.file(base.image_id, base.version)).on(file.grid)
    whole = _in_order(base, before, claim.unchanged, handed_in)
    write_label_file(path, whole, file.grid)
    named = {number: segment.name for number, segment in enumerate(whole, 1)}
    return read_label_file(path).on(file.grid), replace(claim, names=named, unchanged=())


def _in_order(
    base: Correction, file: LabelFile, unchanged: Sequence[str], handed_in: Sequence[LabelSegment]
) -> list[LabelSegment]:
    """The base version's segments in its order, each unchanged or as it was handed in now, then the new ones."""
    absent = LabelSegment(1, "", np.zeros(file.grid.shape, np.uint8))  # named by the base, without a voxel in its file
    whole, left = [], list(handed_in)
    for number, known in enumerate(base.segments):
        names = (known.given, known.name)
        kept = next((name for name in unchanged if name in names), None)
        if kept is not None:
            whole.append(replace(file.segments[number] if number < len(file.segments) else absent, name=kept))
        whole += [segment for segment in left if segment.name in names]
        left = [segment for segment in left if segment.name not in names]
    return [*whole, *left]


def _without_voxels(file: LabelFile, claim: Claim) -> list[LabelSegment]:
    """What a labelmap cannot hold and the client names all the same: it says that the thing is not there."""
    numbers = {segment.label for segment in file.segments}
    if any(segment.name for segment in file.segments):
        return []
    empty = np.zeros(file.grid.shape, np.uint8)
    return [LabelSegment(1, name, empty) for number, name in claim.names.items() if number not in numbers]
