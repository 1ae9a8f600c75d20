"""Which corrected labels a model may learn from, and in plain sentences why the others are left out.

Of each image the latest version that a reviewer approved counts, or the latest that was handed in, where the site says
so. It reads sidecars and hashes; it knows no voxels, no HTTP, and nothing of how anything is learned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from medsight_core.data.correction import Correction
from medsight_core.data.correction_store import CorrectionStore
from medsight_core.data.review import APPROVED, SUBMITTED
from medsight_core.files import file_hash
from medsight_core.model.config import MedSightConfig

Status = Callable[[Correction], str]


@dataclass(frozen=True)
class Case:
    """An image and what is outlined on it.

    id: of the image. image, label: files on the same voxels; no label where nobody outlined anything.
    segments: canonical names of the label file's segments, in its order; "" for one that nothing can be learned from;
    there may be more of them than the file has. absent: names that are not there. version: of the label, 0 where it
    has none. modality: None to take it from the file.
    """

    id: str
    image: Path
    label: Path | None
    segments: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    version: int = 0
    modality: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names that something is outlined of, each once."""
        return tuple(dict.fromkeys(name for name in self.segments if name))


def corrected_cases(
    store: CorrectionStore,
    images: Mapping[str, Path],
    status: Status,
    known: Collection[str],
    submitted_too: bool = False,
) -> tuple[list[Case], list[str]]:
    """The cases that may be learned from, by image id, and sentences about what is left out.

    images: files by image id. status: what reviewers say of a version, one of `review.STATUSES` or "". known: names
    that the model has. submitted_too: learn from what nobody has reviewed yet as well.
    """
    wanted = (APPROVED, SUBMITTED) if submitted_too else (APPROVED,)
    cases, told, waiting = [], [], 0
    for image_id in sorted(images):
        versions = store.versions(image_id)
        accepted = [version for version in _latest_of_each_tag(versions) if status(version) in wanted]
        if not accepted:
            waiting += bool(versions)
            continue
        case, said = _case(max(accepted, key=lambda version: version.version), images[image_id], store, known)
        told += said
        if case is not None:
            cases.append(case)
    if waiting:
        told.append(f"{waiting} corrected image{'s' * (waiting > 1)} left out: not {' or '.join(wanted)}.")
    return cases, told


def known_to(config: MedSightConfig) -> set[str]:
    """The names that a model can learn more about."""
    offered = (name for names in config.modality_names.values() for name in names)
    return {*config.class_names, *config.names_of_codes.values(), *offered} - {""}


def data_hash(cases: Iterable[Case]) -> str:
    """One text for exactly these images and labels, as a change record keeps it; their order does not matter."""
    lines = sorted(
        " ".join([*(file_hash(path) for path in (case.image, case.label) if path), *case.segments, "-", *case.absent])
        for case in cases
    )
    return f"SHA256:{hashlib.sha256(chr(10).join(lines).encode()).hexdigest()}"


def _latest_of_each_tag(versions: Iterable[Correction]) -> list[Correction]:
    """Tags are different labels of an image; a version that was followed by another is history."""
    return list({version.tag: version for version in versions}.values())


def _case(
    correction: Correction, image: Path, store: CorrectionStore, known: Collection[str]
) -> tuple[Case | None, list[str]]:
    where = f"Image {correction.image_id!r}, version {correction.version}"
    if correction.image_hash != file_hash(image):
        return None, [f"{where}: left out, the image was replaced since it was outlined; hand it in again."]
    told = []
    strangers = [segment.name for segment in correction.segments if segment.name not in known]
    if strangers:
        told.append(f"{where}: the model does not know {', '.join(map(repr, strangers))}, left out.")
    outlined = tuple(s.name if s.voxels and s.name in known else "" for s in correction.segments)
    absent = tuple(s.name for s in correction.segments if not s.voxels and s.name in known)
    if not any(outlined) and not absent:
        return None, [*told, f"{where}: left out, it outlines nothing that the model knows."]
    label = store.file(correction.image_id, correction.version)
    return Case(correction.image_id, image, label, outlined, absent, correction.version), told
