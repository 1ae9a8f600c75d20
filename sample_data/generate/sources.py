"""The sources of generated images: what each shows and names, whose images they are, and who is held out.

Nobody is on both sides: label maps and fetuses are split by subject, made-up patients by their number, and of images
that exist once nothing is held out. Knows where real images and labels lie; how planes are cut from scans is `study`'s
business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from medsight_core.errors import InputError, NotFoundError
from medsight_core.imaging.volume import read_volume
from sample_data.fetch import fetch, reference_masks
from sample_data.generate import abdomen, brain, brain_labels, chest, chest_anatomy, chest_phantom, fetal, head_ct
from sample_data.generate.scan import Scan

HELD_OUT_SHARE = 0.2  # of label maps and of fetuses, the last by name

Subjects = tuple[Sequence[str], Sequence[str]]  # to train on, and held out
Shown = tuple[Scan, str | None]  # a scan, and the window to show it in


@dataclass(frozen=True)
class Material:
    """Where real images and labels lie; None for what is not there.

    labels: folder of brain label maps. fetal: folder of HC18. studies: folder that `sample_data.fetch` fills.
    cranium: InVesalius' head CT.
    """

    labels: Path | None = None
    fetal: Path | None = None
    studies: Path = Path("studies")
    cranium: Path = head_ct.CRANIUM


@dataclass(frozen=True)
class Kind:
    """What sources of one kind have in common.

    tag, title: of their files and sentences. table: the k of their region codes [Mk_j] (model-spec 3.1).
    sagittal_table: that of sagittal planes, whose structures have no sides. shares: how often each orientation is
    shown. per_scan: planes cut from one scan.
    """

    tag: str
    title: str
    table: int
    sagittal_table: int
    shares: Mapping[str, float]
    per_scan: int = 8


@dataclass(frozen=True)
class Source:
    """One source of images.

    name: also its folder's. names: what its scans are labelled with.
    subjects: whose images there are, None for endlessly many made-up patients; NotFoundError when they are missing.
    scan: a scan of a subject, never twice the same. origin, licence: of what it is made from.
    """

    name: str
    kind: Kind
    names: tuple[str, ...]
    subjects: Callable[[Material], Subjects | None]
    scan: Callable[[Material, str, np.random.Generator], Shown]
    origin: str
    licence: str

    def can_hold_out(self, material: Material) -> bool:
        """Whether there are subjects that are not trained on."""
        subjects = self.subjects(material)
        return subjects is None or bool(subjects[1])

    def draw_subject(self, material: Material, held_out: bool, rng: np.random.Generator) -> str:
        """A subject to train on, or a held-out one. Raises InputError when there is none of these."""
        subjects = self.subjects(material)
        if subjects is None:  # even numbers are trained on, odd ones are not
            return f"{self.name}-{2 * int(rng.integers(1 << 30)) + held_out}"
        if not subjects[held_out]:
            raise InputError(f"There is only one subject of {self.name}, so none can be held out: train on it.")
        return str(rng.choice(list(subjects[held_out])))


def sources(wanted: Sequence[str] = ()) -> tuple[Source, ...]:
    """The sources of some names or first words of names ("brain" means "brain-maps", ...), or all.

    Raises InputError for a word that means none.
    """
    chosen: list[Source] = []
    for word in wanted:
        found = [source for source in SOURCES if f"{source.name}-".startswith(f"{word}-")]
        if not found:
            known = ", ".join(source.name for source in SOURCES)
            raise InputError(f"There is no source {word!r}: use {known}, or the first word of some.")
        chosen += [source for source in found if source not in chosen]
    return tuple(chosen) if wanted else SOURCES


def split(subjects: Sequence[str]) -> Subjects:
    """The first to train on, the last to hold out."""
    first = len(subjects) - round(HELD_OUT_SHARE * len(subjects))
    return tuple(subjects[:first]), tuple(subjects[first:])


def _map_subjects(material: Material) -> Subjects:
    return split(list(_maps(material)))


def _head(material: Material, subject: str) -> brain_labels.Head:
    return brain_labels.read_head(_maps(material)[subject])


def _maps(material: Material) -> dict[str, Path]:
    if material.labels is None:
        raise NotFoundError("Brain label maps are needed: give their folder with --labels.")
    return {path.name.partition(".")[0]: path for path in brain_labels.label_maps(material.labels)}


def _fetuses(material: Material) -> Subjects:
    return split(list(_records(material)))


def _records(material: Material) -> dict[str, list[fetal.Record]]:
    if material.fetal is None:
        raise NotFoundError("Fetal heads are needed: give the folder of HC18 with --fetal.")
    return _records_by_fetus(material.fetal)


@lru_cache(maxsize=4)
def _records_by_fetus(folder: Path) -> dict[str, list[fetal.Record]]:
    found: dict[str, list[fetal.Record]] = {}
    for record in fetal.records(folder):
        found.setdefault(record.fetus, []).append(record)
    return found


@lru_cache(maxsize=4)
def _atlas(studies: Path, sample_id: str) -> brain.Atlas:
    return brain.Atlas.of(sample_id, read_volume(fetch(studies, [sample_id])[sample_id]), reference_masks(sample_id))


@lru_cache(maxsize=1)
def _chest(studies: Path) -> chest.Chest:
    return chest.Chest.of(read_volume(fetch(studies, ["ct-chest"])["ct-chest"]), reference_masks("ct-chest"))


_cranium = lru_cache(maxsize=1)(head_ct.read_cranium)


def _sample(sample_id: str) -> Callable[[Material], Subjects]:
    """The only subject of a source that is a sample of `sample_data.fetch`."""

    def subjects(material: Material) -> Subjects:
        fetch(material.studies, [sample_id])
        return (sample_id,), ()

    return subjects


def _cranium_subjects(material: Material) -> Subjects:
    _cranium(material.cranium)
    return ("cranium",), ()


def _made_up(material: Material) -> None:
    return None


def _map_scan(material: Material, subject: str, rng: np.random.Generator) -> Shown:
    return brain.generated_brain(_head(material, subject), rng), None


def _atlas_scan(material: Material, subject: str, rng: np.random.Generator) -> Shown:
    return brain.real_brain(_atlas(material.studies, subject), rng), None


def _chest_scan(material: Material, subject: str, rng: np.random.Generator) -> Shown:
    return chest.real_chest(_chest(material.studies), rng), chest_anatomy.draw_window(rng)


def _painted_chest_scan(material: Material, subject: str, rng: np.random.Generator) -> Shown:
    return chest.painted_chest(_chest(material.studies), rng), chest_anatomy.draw_window(rng)


def _phantom_chest_scan(material: Material, subject: str, rng: np.random.Generator) -> Shown:
    return chest_phantom.phantom_chest(_number(subject), rng), chest_anatomy.draw_window(rng)


def _cranium_scan(material: Material, subject: str, rng: np.random.Generator) -> Shown:
    return head_ct.real_head(_cranium(material.cranium), rng), head_ct.draw_window(rng)


def _head_ct_scan(material: Material, subject: str, rng: np.random.Generator) -> Shown:
    return head_ct.generated_head(_head(material, subject), rng), head_ct.draw_window(rng)


def _fetal_scan(material: Material, subject: str, rng: np.random.Generator) -> Shown:
    own = _records(material)[subject]
    return fetal.fetal_scan(own[rng.integers(len(own))], rng), None


def _abdomen_scan(material: Material, subject: str, rng: np.random.Generator) -> Shown:
    return abdomen.phantom_abdomen(_number(subject), rng), abdomen.draw_window(rng)


def _number(subject: str) -> int:
    return int(subject.rpartition("-")[2])


# Tables 0, 5 and 10 are what the authors' model uses for such images; nobody knows what 6, 7 and 8 are in it. A brain
# has 32 names with sides, as many as a table has codes, and sagittal planes none with a side: they take another table.
_BRAIN = Kind("MRI_brain", "brain MRI", 10, 8, {"axial": 0.45, "coronal": 0.30, "sagittal": 0.25})
_CHEST = Kind("CT_chest", "chest CT", 5, 5, {"axial": 0.70, "coronal": 0.20, "sagittal": 0.10})
_HEAD_CT = Kind("CT_head", "head CT", 6, 6, {"axial": 0.60, "coronal": 0.20, "sagittal": 0.20})
_FETAL = Kind("US_fetal-head", "fetal ultrasound", 7, 7, {"axial": 1.0}, per_scan=1)
_ABDOMEN = Kind("CT_abdomen", "abdominal CT", 0, 0, {"axial": 0.85, "coronal": 0.15})

_BRAIN_NAMES = tuple(brain_labels.LEGEND)
_COLIN_NAMES = tuple(
    f"{side} {name}"
    for name in ("hippocampus", "amygdala", "caudate nucleus", "putamen", "pallidum", "thalamus")
    for side in ("left", "right")
)
_CHEST_NAMES = (*chest_anatomy.LEGEND, *chest_anatomy.FINDINGS)
_HEAD_NAMES = tuple(head_ct.LEGEND)

_MAPS = ("SynthSeg's training label maps", "Apache-2.0")
_MNI = ("ICBM 152 average, PyPI melage", "Apache-2.0, McGill's notice")
_COLIN = ("Colin 27, Debian mricron-data", "BSD-3-Clause, McGill's notice")
_SLICERIO = ("CTChest4, PyPI slicerio", "MIT")
_INVESALIUS = ("Cranium, Debian invesalius-examples", "GPL-2.0")
_HC18 = ("HC18, van den Heuvel et al. 2018", "CC BY 4.0")
_SHAPES = ("made-up shapes", "Apache-2.0")

SOURCES: tuple[Source, ...] = (
    Source("brain-maps", _BRAIN, (*_BRAIN_NAMES, *brain.FINDINGS), _map_subjects, _map_scan, *_MAPS),
    Source("brain-mni", _BRAIN, _BRAIN_NAMES, _sample("mr-brain"), _atlas_scan, *_MNI),
    Source("brain-colin", _BRAIN, _COLIN_NAMES, _sample("mr-brain-colin"), _atlas_scan, *_COLIN),
    Source("chest-ct", _CHEST, _CHEST_NAMES, _sample("ct-chest"), _chest_scan, *_SLICERIO),
    Source("chest-maps", _CHEST, _CHEST_NAMES, _sample("ct-chest"), _painted_chest_scan, *_SLICERIO),
    Source("chest-phantom", _CHEST, _CHEST_NAMES, _made_up, _phantom_chest_scan, *_SHAPES),
    Source("head-ct-cranium", _HEAD_CT, _HEAD_NAMES, _cranium_subjects, _cranium_scan, *_INVESALIUS),
    Source("head-ct-maps", _HEAD_CT, _HEAD_NAMES, _map_subjects, _head_ct_scan, *_MAPS),
    Source("fetal", _FETAL, tuple(fetal.LEGEND), _fetuses, _fetal_scan, *_HC18),
    Source("abdomen", _ABDOMEN, abdomen.NAMES, _made_up, _abdomen_scan, *_SHAPES),
)
