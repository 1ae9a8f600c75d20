"""Chest CT from the one labelled scan that a package carries: reshaped, or painted anew from its labels.

Its ten-millimetre slices are interpolated first. Knows this one data set and its faults: the patient's table, shoulder
blades and breastbone among the ribs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from medsight_core.imaging.grid import PatientOrder
from medsight_core.imaging.volume import Volume
from sample_data.generate import chest_anatomy as anatomy
from sample_data.generate.contrast import along_axes
from sample_data.generate.deform import Deformation, Strength, warp_image, warp_labels
from sample_data.generate.scan import Scan

SPACING = 2.0  # millimetres
_LABEL_OF = {
    "ribs": anatomy.RIBS,
    "cervical spine": anatomy.CERVICAL,
    "thoracic spine": anatomy.THORACIC,
    "lumbar spine": anatomy.LUMBAR,
    "right lung": anatomy.RIGHT_LUNG,
    "left lung": anatomy.LEFT_LUNG,
    "soft tissue": anatomy.INNER,
}
_RIB_TO_LUNG = 20.0  # millimetres; beyond the lungs' middle height, bone farther from them is shoulder
_STERNUM = 24.0  # millimetres from the middle; bone in front of the lungs' centre that is nearer to it is no rib
_AIR = -1000.0
_GAS = -500.0
_AROUND = 8  # points kept around the patient
# Where lungs lie in the body is what tells them from all else: chests are turned less than heads.
STRENGTH = Strength(turn=(6, 6, 8), scale=0.15, shear=0.05, wobble=2.2, knots=20)


@dataclass(frozen=True)
class Chest:
    """Hounsfield units float32 and labels uint8 (X, Y, Z) of `chest_anatomy`, every `SPACING` mm, axes to L, P, S."""

    image: np.ndarray = field(repr=False)
    labels: np.ndarray = field(repr=False)

    @classmethod
    def of(cls, volume: Volume, masks: dict[str, np.ndarray]) -> Chest:
        """From the image and its reference masks as `sample_data.fetch` names them."""
        order = PatientOrder.of(volume.affine)
        spacing = volume.spacing[list(order.axes)]
        matrices = [_finer(n, step) for n, step in zip(order.arrange(volume.voxels).shape, spacing)]
        image = along_axes(order.arrange(volume.voxels), matrices)
        best = np.full(image.shape, 0.5, np.float32)
        labels = np.zeros(image.shape, np.uint8)
        for name, mask in masks.items():
            share = along_axes(order.arrange(mask), matrices)
            wins = share > best
            labels[wins] = _LABEL_OF[name]
            best[wins] = share[wins]
        labels = _mended(labels, image)
        places = np.argwhere(labels[::2, ::2, ::2])
        around = tuple(
            slice(max(0, 2 * a - _AROUND), 2 * b + _AROUND) for a, b in zip(places.min(axis=0), places.max(axis=0))
        )
        return cls(np.ascontiguousarray(image[around]), np.ascontiguousarray(labels[around]))


def real_chest(chest: Chest, rng: np.random.Generator) -> Scan:
    """The real image in another shape, with findings, with or without its table."""
    image, labels = _reshaped(chest, rng)
    outside = labels == anatomy.OUTSIDE
    if rng.random() < 0.6:
        image[outside] = np.minimum(image[outside], _AIR)
    image[~outside] = image[~outside] * np.float32(rng.uniform(0.93, 1.07)) + np.float32(rng.normal(0, 12))
    layers = anatomy.add_findings(labels, image, SPACING, rng)
    return anatomy.scanned(image, layers, SPACING, rng)


def painted_chest(chest: Chest, rng: np.random.Generator) -> Scan:
    """Another patient with the same organs: an image of the labels alone, in another shape."""
    _, labels = _reshaped(chest, rng, with_image=False)
    values = anatomy.hounsfield(labels, rng)
    layers = anatomy.add_findings(labels, values, SPACING, rng)
    return anatomy.scanned(values, layers, SPACING, rng)


def _reshaped(chest: Chest, rng: np.random.Generator, with_image: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Image and labels changed in shape, and cut to a random part of the height. Never mirrored: hearts are left."""
    places = Deformation.draw(chest.labels.shape, STRENGTH, rng).places(chest.labels.shape)
    height = chest.labels.shape[2]
    part = slice(int(height * rng.uniform(0, 0.35)), height - int(height * rng.uniform(0, 0.1)))
    places = [place[:, :, part] for place in places]
    labels = warp_labels(chest.labels, places)
    return warp_image(chest.image, places) if with_image else np.empty(0, np.float32), labels


def _finer(count: int, spacing: float) -> np.ndarray:
    """Weights of linear interpolation from ``count`` points to every `SPACING` mm."""
    places = np.arange(int((count - 1) * spacing / SPACING) + 1) * SPACING / spacing
    gap = np.abs(np.arange(count)[None, :] - places[:, None])
    return np.maximum(0, 1 - gap).astype(np.float32)


def _mended(labels: np.ndarray, image: np.ndarray) -> np.ndarray:
    """The body without holes, shells of it below the skin, gas, and bone that is no rib."""
    body = np.stack([ndimage.binary_fill_holes(plane) for plane in np.moveaxis(labels > 0, 2, 0)], axis=2)
    labels = np.where(body & (labels == 0), np.uint8(anatomy.INNER), labels)
    labels[(labels == anatomy.INNER) & (image < _GAS)] = anatomy.GAS
    lung = (labels == anatomy.RIGHT_LUNG) | (labels == anatomy.LEFT_LUNG)
    far = SPACING * ndimage.distance_transform_edt(~lung) > _RIB_TO_LUNG
    middle = int(np.argwhere(lung.any(axis=(0, 1))).mean())
    far[:, :, :middle] = False
    labels[(labels == anatomy.RIBS) & (far | _sternum(lung))] = anatomy.BONE
    depth = np.stack([ndimage.distance_transform_edt(plane) for plane in np.moveaxis(body, 2, 0)], axis=2)
    return anatomy.shells(labels, SPACING * depth)


def _sternum(lung: np.ndarray) -> np.ndarray:
    """The region of the breastbone, bool (X, Y, Z), by where the lungs are."""
    x, y, _ = np.nonzero(lung)
    near = np.abs(np.arange(lung.shape[0]) - (x.min() + x.max()) / 2) * SPACING < _STERNUM
    front = np.arange(lung.shape[1]) < y.mean()
    return (near[:, None] & front)[:, :, None]
