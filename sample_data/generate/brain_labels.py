"""Whole-head label maps with FreeSurfer's numbers, and what each of them is made of.

A map is read into labels of our own, so that left, right and tissue are table look-ups: one number for each row of
`PARTS`. Knows nothing of images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from scipy import ndimage

from medsight_core.errors import NotFoundError, VolumeError
from medsight_core.imaging.grid import PatientOrder
from medsight_core.imaging.volume import NIFTI_EXTENSIONS, read_volume

_SCALP = 6.0  # millimetres of the soft tissue below the skin that are fat


@dataclass(frozen=True)
class Part:
    """A label of ours.

    ids: of FreeSurfer that become it. tissue: what it looks like, a key of the contrasts. name: what it is called as a
    whole or as a part of something, "" when it has no name. in_brain: whether it belongs to the brain.
    """

    ids: tuple[int, ...]
    tissue: str
    name: str = ""
    in_brain: bool = False


_PAIRED = (
    ((2, 25), (41, 57), "white matter", "cerebral white matter"),  # 25 and 57 are lesions of the white matter
    ((3,), (42,), "cortex", "cerebral cortex"),
    ((4,), (43,), "fluid", "lateral ventricle"),
    ((136,), (163,), "choroid plexus", "lateral ventricle"),
    ((5,), (44,), "fluid", ""),  # the inferior horn, too small to be asked for
    ((137,), (164,), "choroid plexus", ""),
    ((7,), (46,), "cerebellar white matter", "cerebellar white matter"),
    ((8,), (47,), "cerebellar cortex", "cerebellar cortex"),
    ((10,), (49,), "thalamus", "thalamus"),
    ((11,), (50,), "striatum", "caudate nucleus"),
    ((12,), (51,), "striatum", "putamen"),
    ((13,), (52,), "pallidum", "pallidum"),
    ((17,), (53,), "hippocampus", "hippocampus"),
    ((18,), (54,), "hippocampus", "amygdala"),
    ((26,), (58,), "striatum", "nucleus accumbens"),
    ((28,), (60,), "brainstem", "ventral diencephalon"),
    ((30,), (62,), "vessel", ""),
)
_SINGLE = (
    Part((14,), "fluid", "third ventricle", True),
    Part((72,), "fluid", "", True),
    Part((15,), "fluid", "fourth ventricle", True),
    Part((16,), "brainstem", "brainstem", True),
    Part((24,), "fluid"),
    Part((85, 530), "nerve"),
    Part((512,), "nerve"),
    Part((506,), "eye"),
    Part((508,), "lens"),
    Part((509,), "mucosa"),
    Part((502,), "vessel"),
    Part((514,), "vein"),
    Part((507,), "muscle"),
    Part((), "fat"),  # the outer part of 507
    Part((511,), "skin"),
    Part((515,), "bone"),
    Part((516,), "marrow"),
)

# Label n is PARTS[n - 1]: the left of each pair, the rights in the same order, then what has no side.
_PAIRS = len(_PAIRED)
PARTS: tuple[Part, ...] = (
    *(Part(left, tissue, f"left {name}" if name else "", True) for left, _, tissue, name in _PAIRED),
    *(Part(right, tissue, f"right {name}" if name else "", True) for _, right, tissue, name in _PAIRED),
    *_SINGLE,
)


def labels_where(wanted: Callable[[Part], bool]) -> tuple[int, ...]:
    """The labels whose `Part` is as ``wanted`` says."""
    return tuple(label for label, part in enumerate(PARTS, start=1) if wanted(part))


LEGEND: dict[str, tuple[int, ...]] = {}
for _label, _part in enumerate(PARTS, start=1):
    if _part.name:
        LEGEND[_part.name] = (*LEGEND.get(_part.name, ()), _label)
LEGEND["brain"] = labels_where(lambda part: part.in_brain)

# Labels with left and right exchanged, uint8 (256,).
MIRRORED = np.arange(256, dtype=np.uint8)
MIRRORED[1 : 2 * _PAIRS + 1] = np.roll(MIRRORED[1 : 2 * _PAIRS + 1], _PAIRS)


@dataclass(frozen=True)
class Head:
    """A subject's label map: uint8 (X, Y, Z), labels of ours, 1 mm, axes towards L, P and S; cut to the head."""

    subject: str
    labels: np.ndarray = field(repr=False)


def label_maps(folder: str | Path) -> tuple[Path, ...]:
    """The label maps in a folder, by name. Raises NotFoundError when there are none."""
    found = tuple(sorted(path for path in Path(folder).glob("*") if path.name.endswith(NIFTI_EXTENSIONS)))
    if not found:
        raise NotFoundError(
            f"There are no label maps in '{folder}': give a folder with .nii.gz files of FreeSurfer's numbers."
        )
    return found


@cache  # a few megabytes each, and wanted again and again
def read_head(path: Path) -> Head:
    """The head in a label map.

    Raises VolumeError when its numbers are not FreeSurfer's, its voxels are not 1 mm, or what is labelled left lies on
    the patient's right.
    """
    volume = read_volume(path, modality="OT")
    if not np.allclose(volume.spacing, 1, atol=0.02):
        raise VolumeError(f"'{path.name}' has voxels of {volume.spacing.round(2)} mm: resample the label map to 1 mm.")
    raw = PatientOrder.of(volume.affine).arrange(volume.voxels).astype(np.int32)
    labels = _table(raw, path)[raw]
    _check_sides(labels, path)
    labels = _only_the_head(labels)
    inside = np.argwhere(labels[::2, ::2, ::2])
    low, high = 2 * inside.min(axis=0), 2 * inside.max(axis=0) + 2
    labels = np.ascontiguousarray(labels[tuple(slice(max(0, a - 4), b + 4) for a, b in zip(low, high))])
    return Head(path.name.partition(".")[0], _with_scalp(labels))


def _table(raw: np.ndarray, path: Path) -> np.ndarray:
    table = np.zeros(1024, np.uint8)
    for label, part in enumerate(PARTS, start=1):
        table[list(part.ids)] = label
    if raw.min() < 0 or raw.max() >= len(table) or (raw == 2).sum() == 0 or (raw == 41).sum() == 0:
        raise VolumeError(f"'{path.name}' is not a label map with FreeSurfer's numbers (2 and 41 are white matter).")
    return table


def _check_sides(labels: np.ndarray, path: Path) -> None:
    """The affine decides where left is; a map whose names disagree with it must not teach anything."""
    across = np.arange(len(labels))
    for left, right in zip(range(1, _PAIRS + 1), range(_PAIRS + 1, 2 * _PAIRS + 1)):
        of_left, of_right = ((labels == label).sum(axis=(1, 2)) for label in (left, right))
        if of_left.sum() and of_right.sum() and across @ of_left / of_left.sum() <= across @ of_right / of_right.sum():
            raise VolumeError(
                f"In '{path.name}' the {PARTS[left - 1].name or 'left side'} lies on the patient's right: repair the "
                "directions in its header."
            )


def _only_the_head(labels: np.ndarray) -> np.ndarray:
    """Without specks in the air."""
    parts, _ = ndimage.label(labels > 0)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.where(parts == sizes.argmax(), labels, np.uint8(0))


def _with_scalp(labels: np.ndarray) -> np.ndarray:
    """Soft tissue near the air becomes fat: the maps have one number for muscle and fat."""
    (muscle,), (fat,) = (
        labels_where(lambda part: part.tissue == "muscle"),
        labels_where(lambda part: part.tissue == "fat"),
    )
    coarse = labels[::2, ::2, ::2] > 0
    near = 2 * ndimage.distance_transform_edt(np.pad(coarse, ((1, 1), (1, 1), (0, 1))))[1:-1, 1:-1, :-1] < _SCALP
    near = near.repeat(2, 0).repeat(2, 1).repeat(2, 2)[tuple(slice(0, n) for n in labels.shape)]
    return np.where(near & (labels == muscle), np.uint8(fat), labels)
