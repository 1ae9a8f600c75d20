"""Fetal heads in ultrasound: the pictures of HC18 (van den Heuvel et al. 2018, CC BY 4.0), turned, scaled and shaded.

A picture becomes a scan of two equal slices, so that it is framed as the engine frames one. Whose picture it is stands
before the first underscore of its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from medsight_core.data.images import read_image, read_mask
from medsight_core.errors import InputError, NotFoundError
from medsight_core.imaging.volume import Volume
from sample_data.generate.contrast import smooth_field
from sample_data.generate.scan import Layer, Scan

LEGEND = {"fetal head": (1,)}


@dataclass(frozen=True)
class Record:
    """A picture with the filled mask of the head; fetus: whose it is."""

    fetus: str
    image: Path
    mask: Path


def records(folder: str | Path) -> tuple[Record, ...]:
    """The records of a folder, by name. Raises NotFoundError when there are none."""
    found = []
    for mask in sorted(Path(folder).glob("*_mask.png")):
        image = mask.with_name(mask.name.replace("_mask", ""))
        if image.is_file():
            found.append(Record(image.name.partition("_")[0], image, mask))
    if not found:
        raise NotFoundError(
            f"There are no fetal heads in '{folder}': give a folder with NNN_HC.png and NNN_HC_mask.png."
        )
    return tuple(found)


def fetal_scan(record: Record, rng: np.random.Generator) -> Scan:
    """The record as a scan; changed in five of six cases. Raises InputError when mask and picture do not fit."""
    image = np.asarray(read_image(record.image).convert("L"), np.float32).T  # columns become L, rows P
    mask = read_mask(record.mask).T
    if image.shape != mask.shape:
        raise InputError(
            f"'{record.mask.name}' has another size than its picture: give masks as large as their pictures."
        )
    if rng.random() > 1 / 6:
        image, mask = _changed(image, mask, rng)
    grey = np.rint(np.clip(image, 0, 255)).astype(np.uint8)
    volume = Volume(np.stack([grey, grey], axis=2), np.eye(4), "US")
    labels = np.stack([mask, mask], axis=2).astype(np.uint8)
    return Scan(volume, (Layer(labels, LEGEND),), np.ones(3), np.zeros(3))


def _changed(image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    for axis in range(2):  # a head has no sides here
        if rng.random() < 0.5:
            image, mask = np.flip(image, axis), np.flip(mask, axis)
    angle, scale = np.deg2rad(rng.uniform(-25, 25)), np.exp(rng.uniform(-0.25, 0.25))
    stretch = np.exp(rng.uniform(-0.08, 0.08))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.diag([1 / (scale * stretch), stretch / scale])
    centre = (np.array(image.shape) - 1) / 2
    offset = centre - matrix @ (centre + rng.uniform(-0.06, 0.06, 2) * image.shape)
    image = ndimage.affine_transform(image, matrix, offset, order=1)
    mask = ndimage.affine_transform(mask.astype(np.float32), matrix, offset, order=1) > 0.5
    image = 255 * (image / 255) ** np.exp(rng.uniform(-0.4, 0.4))
    image *= np.exp(rng.uniform(0, 0.35) * smooth_field((*image.shape, 2), 5, rng)[..., 0])
    image *= 1 + rng.uniform(0, 0.3) * ndimage.gaussian_filter(rng.standard_normal(image.shape), rng.uniform(0.5, 1.2))
    return ndimage.gaussian_filter(image, rng.uniform(0, 1.2)), mask
