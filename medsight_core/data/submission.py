"""From a file that an annotator hands in to a `Correction`: checked against its image, named, and told who made what.

Reads files; writes none, and knows no HTTP. What is refused is refused with one sentence, what is kept in spite of
something odd comes with one (`notices`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path

import numpy as np

from medsight_core.data.completion import complete
from medsight_core.data.correction import DRAWN, EDITED, Claim, CorrectedSegment, Correction
from medsight_core.data.correction_store import CorrectionStore
from medsight_core.engine.spelling import canonical_question
from medsight_core.errors import InputError, VolumeError
from medsight_core.files import file_hash
from medsight_core.imaging.label_file import LabelFile, LabelSegment, read_label_file
from medsight_core.imaging.same_grid import Grid
from medsight_core.imaging.volume import read_volume
from medsight_core.terminology import NAMES, coding


def read_submission(
    image_id: str, image: Path, label: Path, tag: str, claim: Claim, codes: Mapping[str, str], store: CorrectionStore
) -> Correction:
    """The correction that a label file is, fit to be kept.

    image, label: the files; a label that leaves out what is unchanged is made whole in place. codes: the model's region
    code by name. store: of what was kept so far.
    Raises InputError or VolumeError for a label that does not fit its image, has no voxel or no name.
    """
    versions = store.versions(image_id)
    content = file_hash(image)
    _check_same_image(content, claim, versions)
    volume = read_volume(image)
    grid = Grid(volume.shape, volume.affine)
    file = read_label_file(label).on(grid)
    if claim.unchanged:
        file, claim = complete(file, _names(file, claim), claim, versions, store, label)
    names = _names(file, claim)
    voxels = [int(np.count_nonzero(segment.mask)) for segment in file.segments]
    if not any(voxels) and not claim.nothing_there:
        raise InputError(
            "The segmentation is empty: outline something, or hand it in with nothing_there if that is what you mean."
        )
    known = {*NAMES, *codes}
    earlier = _Earlier(store, _began_from(claim, versions), grid)

    def corrected(number: int, name: str, count: int, segment: LabelSegment | None) -> CorrectedSegment:
        canonical = canonical_name(name, known)
        return CorrectedSegment(
            label=number,
            name=canonical or name,
            given=name,
            code=claim.codes.get(name) or codes.get(canonical, ""),
            made_by=claim.makers.get(name) or earlier.maker(canonical or name, segment),
            voxels=count,
            known=bool(canonical),
            terminology=coding(canonical),
        )

    outlined = [corrected(s.label, name, count, s) for s, name, count in zip(file.segments, names, voxels)]
    # A labelmap cannot hold what has no voxel; that the client names it all the same says that it is not there.
    numbers = {segment.label for segment in file.segments}
    named = {} if any(segment.name for segment in file.segments) else claim.names
    absent = [corrected(number, name, 0, None) for number, name in named.items() if number not in numbers]
    return Correction(
        image_id=image_id,
        image_hash=content,
        tag=tag,
        submitted=_now(),
        label_hash=file_hash(label),
        segments=(*outlined, *absent),
        prompt=claim.prompt,
        answer=claim.answer,
        model_version=claim.model_version,
        annotator=claim.annotator,
        base_version=claim.base_version,
        key=claim.key,
    )


def found_label(image_id: str, image: Path, label: Path, tag: str) -> Correction:
    """The sidecar of a label that lay in the datastore without having been handed in here."""
    return Correction(image_id, file_hash(image), tag, _now(), file_hash(label), found=True)


def notices(kept: Correction, versions: Sequence[Correction]) -> list[str]:
    """What an annotator should know of a correction that was kept. versions: those that were kept before it."""
    told = []
    latest, other = _latest(kept, versions), rival(kept, versions)
    if other is not None:
        told.append(
            f"Version {other.version} was handed in by somebody else, or since you began: both are kept, and yours, "
            f"version {kept.version}, is the current one; compare the two."
        )
    if latest is not None and latest.image_hash != kept.image_hash:
        told.append(
            f"The image was replaced after version {latest.version}: that one outlines the former image, yours is "
            "taken for one of the image that is here now."
        )
    unknown = [segment.given for segment in kept.segments if not segment.known]
    if unknown:
        told.append(
            f"MedSIGHT does not know {', '.join(map(repr, unknown))}: the outline is kept, but nothing can be learned "
            "from it until it has a known name, such as 'right lung'."
        )
    return told


def rival(kept: Correction, versions: Sequence[Correction]) -> Correction | None:
    """The latest earlier version, if the annotator cannot have known it: by its number, or by who handed it in."""
    latest = _latest(kept, versions)
    if latest is None:
        return None
    if kept.base_version is not None:
        return latest if latest.version > kept.base_version else None
    return latest if latest.annotator != kept.annotator else None


def canonical_name(name: str, known: Collection[str]) -> str:
    """The known name that is meant, forgiving case, synonyms and slips; "" when there is not exactly one."""
    if name in known:
        return name
    read = canonical_question(name, known)
    return read if read in known else ""


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _latest(kept: Correction, versions: Sequence[Correction]) -> Correction | None:
    """The latest version of the same tag; tags are different labels of an image."""
    return next((version for version in reversed(versions) if version.tag == kept.tag), None)


def _check_same_image(content: str, claim: Claim, versions: Sequence[Correction]) -> None:
    base = next((version for version in versions if version.version == claim.base_version), None)
    seen = claim.image_hash or (base.image_hash if base else content)
    if seen != content:
        raise VolumeError(
            "The image was replaced since this segmentation was begun: load it again, check every outline on it, and "
            "hand in what is right."
        )


def _names(file: LabelFile, claim: Claim) -> list[str]:
    names = [segment.name or claim.names.get(segment.label, "") for segment in file.segments]
    nameless = [segment.label for segment, name in zip(file.segments, names) if not name]
    if nameless:
        example = f'[{{"name": "right lung", "idx": {nameless[0]}}}]'
        raise InputError(
            f"Nobody says what label {', '.join(map(str, nameless))} is: send its name in the params' label_info, "
            f"as in {example}."
        )
    return names


def _began_from(claim: Claim, versions: Sequence[Correction]) -> Correction | None:
    """The version that an annotator began from; the latest when the client does not say."""
    if claim.base_version is None:
        return versions[-1] if versions else None
    return next((version for version in versions if version.version == claim.base_version), None)


class _Earlier:
    """The version that somebody began from; its file is read only when a client does not say who made what."""

    def __init__(self, store: CorrectionStore, correction: Correction | None, grid: Grid) -> None:
        self._store, self._correction, self._grid = store, correction, grid

    def maker(self, name: str, segment: LabelSegment | None) -> str:
        """Who made a segment: whoever did before when no voxel differs, else who edited or drew it now."""
        before = {known.name: known for known in self._correction.segments} if self._correction else {}
        if name not in before:
            return DRAWN
        same = self._segments.get(name)
        if segment is None or same is None or not np.array_equal(same.mask, segment.mask):
            return EDITED
        return before[name].made_by

    @cached_property
    def _segments(self) -> dict[str, LabelSegment]:
        if self._correction is None:
            return {}
        try:
            path = self._store.file(self._correction.image_id, self._correction.version)
            file = read_label_file(path).on(self._grid)
        except InputError:  # of a former image, or damaged since: no reason to refuse what is handed in now
            return {}
        return {known.name: segment for known, segment in zip(self._correction.segments, file.segments)}
