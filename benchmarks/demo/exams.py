"""Whose images the shipped model is judged on: subjects that it never trained on, and real volumes.

An exam is an image with what is known to be in it, on the image's own voxels. Knows no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from medsight_core.imaging.grid import PatientOrder
from medsight_core.imaging.volume import Volume, read_volume
from medsight_core.protocol import PlaneRequest
from sample_data.fetch import fetch, reference_masks
from sample_data.generate.scan import Scan
from sample_data.generate.sources import SOURCES, Material, Source

SEED = 20261126  # another one than any training set's
_PATIENT_AXIS = {"sagittal": 0, "coronal": 1, "axial": 2}  # LPS axis that an orientation looks along
_LEAST_SHARE = 0.0015  # of a slice: smaller pieces of a structure are not asked for
_SITES = {
    "brain-maps": "brain",
    "chest-phantom": "chest",
    "head-ct-maps": "head",
    "fetal": "fetal",
    "abdomen": "abdomen",
}
_HEADS = ("brain", "head", "fetal")
_ANYWHERE = {"body", "soft tissue", "lesion", "tumour", "nodule", "cervical spine"}  # a head may show them, and a trunk


@dataclass(frozen=True)
class Exam:
    """An image and its truth.

    site: "brain", "chest", "abdomen", "head" or "fetal". truth: bool (I, J, K) of each name that it shows.
    names: all that such images are labelled with; one without truth is not there. known: whether it was trained on.
    """

    site: str
    subject: str
    volume: Volume = field(repr=False)
    truth: Mapping[str, np.ndarray] = field(repr=False)
    names: tuple[str, ...]
    known: bool = False

    def slices(self, orientation: str) -> int:
        """Number of slices that `plane` can be asked for."""
        return self.volume.shape[self._axis(orientation)]

    def plane(self, orientation: str, index: int) -> PlaneRequest:
        """The request for a stored slice."""
        return PlaneRequest(orientation, index)

    def on_slice(self, mask: np.ndarray, orientation: str, index: int) -> np.ndarray:
        """What of a mask (I, J, K) lies on a slice, bool (rows, columns)."""
        return mask.take(index, axis=self._axis(orientation))

    def visible(self, orientation: str, index: int) -> tuple[list[str], list[str]]:
        """Names that a slice clearly shows, and those that it does not show at all."""
        shown, absent = [], []
        for name in self.names:
            mask = self.truth.get(name)
            part = self.on_slice(mask, orientation, index) if mask is not None else np.zeros(1, bool)
            if part.mean() >= _LEAST_SHARE:
                shown.append(name)
            elif not part.any():
                absent.append(name)
        return shown, absent

    def _axis(self, orientation: str) -> int:
        return PatientOrder.of(self.volume.affine).axes[_PATIENT_AXIS[orientation]]


def held_out_exams(material: Material, scans: Mapping[str, int]) -> Iterator[Exam]:
    """``scans[site]`` exams of subjects that no training set holds."""
    for source in SOURCES:
        site = _SITES.get(source.name)
        for unit in range(scans.get(site, 0) if site else 0):
            rng = np.random.default_rng([SEED, len(source.name), unit])
            yield _exam(site or "", source, material, source.draw_subject(material, True, rng), rng)


def real_exams(studies: Path) -> Iterator[Exam]:
    """The sample volumes, which are real images; the shipped model was trained on changed copies of them."""
    for sample_id, site in (("mr-brain", "brain"), ("mr-brain-colin", "brain"), ("ct-chest", "chest")):
        volume = read_volume(fetch(studies, [sample_id])[sample_id])
        truth = dict(reference_masks(sample_id))
        yield Exam(site, sample_id, volume, truth, tuple(truth), known=True)


def foreign_names(exam: Exam, others: Iterable[Exam]) -> list[str]:
    """Names of other exams that such an image cannot show: those of a trunk for a head, and of a head for a trunk.

    What lies in the same half is not among them: a chest CT shows a liver, whether labelled or not.
    """
    half = exam.site in _HEADS
    found = {name for other in others if (other.site in _HEADS) != half for name in other.names}
    return sorted(found - set(exam.names) - _ANYWHERE)


def _exam(site: str, source: Source, material: Material, subject: str, rng: np.random.Generator) -> Exam:
    scan, _ = source.scan(material, subject, rng)
    truth = {name: mask for name, mask in voxel_truth(scan).items() if mask.any()}
    return Exam(site, f"{source.name}/{subject}", scan.volume, truth, source.names)


def voxel_truth(scan: Scan) -> dict[str, np.ndarray]:
    """What each voxel's centre shows: bool (I, J, K) by name."""
    affine, shape = scan.volume.affine, scan.volume.shape
    truth = {}
    order = PatientOrder.of(affine).axes
    places, inside = [], []
    for axis, along in enumerate(order):
        position = affine[axis, 3] + affine[axis, along] * np.arange(shape[along])
        index = np.rint((position - scan.origin[axis]) / scan.spacing[axis]).astype(np.intp)
        inside.append((index >= 0) & (index < scan.layers[0].labels.shape[axis]))
        places.append(np.clip(index, 0, scan.layers[0].labels.shape[axis] - 1))
    stored = [order.index(axis) for axis in range(3)]  # (L, P, S) arrays into the volume's own order
    covered = inside[0][:, None, None] & inside[1][:, None] & inside[2]
    for layer in scan.layers:
        labels = np.where(covered, layer.labels[np.ix_(*places)], 0)
        for name, values in layer.legend.items():
            truth[name] = np.isin(labels, values).transpose(stored)
    return truth
