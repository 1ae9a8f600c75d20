"""Made-up chests: lungs, heart, spine, ribs and what lies around them as simple shapes, never the same twice.

A phantom is a label map of `chest_anatomy`, which is reshaped and painted as those of real patients are. Millimetres
from the middle of the chest: x to the left, y to the back, z to the head. Nothing here was measured on a person.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from sample_data.generate import chest_anatomy as anatomy
from sample_data.generate.deform import Deformation, Strength, warp_labels
from sample_data.generate.scan import Scan

SPACING = 2.5  # millimetres
_HALF = (200.0, 150.0)  # of the field of view, across and along
_LOW, _HIGH = -190.0, 175.0
STRENGTH = Strength(turn=(5, 5, 7), scale=0.1, shear=0.05, wobble=1.6, knots=16)

# Heights at which the body's half width and depth are given.
_HEIGHTS = (-190.0, -60.0, 50.0, 110.0, 145.0, 175.0)
_WIDTHS = (150.0, 163.0, 168.0, 165.0, 125.0, 70.0)
_DEPTHS = (108.0, 112.0, 112.0, 100.0, 85.0, 66.0)
# How much of the body's width the lungs' cavity takes but for the wall, and at which heights.
_SHARES = (1.0, 1.0, 0.85, 0.55, 0.2, 0.0)
_SHARE_HEIGHTS = (-190.0, 20.0, 80.0, 120.0, 138.0, 145.0)


def phantom_chest(seed: int, rng: np.random.Generator) -> Scan:
    """A scan of the patient of a seed, who never was."""
    labels = phantom_labels(np.random.default_rng([seed]))
    labels = warp_labels(labels, Deformation.draw(labels.shape, STRENGTH, rng).places(labels.shape))
    height = labels.shape[2]
    labels = labels[:, :, int(height * rng.uniform(0, 0.4)) : height - int(height * rng.uniform(0, 0.15))]
    values = anatomy.hounsfield(labels, rng)
    return anatomy.scanned(values, anatomy.add_findings(labels, values, SPACING, rng), SPACING, rng)


def phantom_labels(rng: np.random.Generator) -> np.ndarray:
    """Labels uint8 (X, Y, Z) of a chest, every `SPACING` mm, axes towards L, P and S."""
    x, y, z = _grid()
    width, depth = (np.interp(z, _HEIGHTS, sizes) * rng.uniform(0.88, 1.1) for sizes in (_WIDTHS, _DEPTHS))
    body = _rounded(x / width, y / depth, rng.uniform(2.1, 2.8))
    if rng.random() < 0.5:
        body = body | _breasts(x, y, z, depth, rng)
    labels = np.where(body, np.uint8(anatomy.INNER), np.uint8(0))
    labels = anatomy.shells(labels, _depth_below_skin(body))

    share = np.interp(z, _SHARE_HEIGHTS, _SHARES) * rng.uniform(0.95, 1.03)
    wall = rng.uniform(24, 38)
    back = depth - 0.8 * wall  # of the cavity
    cavity = _rounded(x / np.maximum(1e-3, (width - wall) * share), y / np.maximum(1e-3, back * share), 2.3)
    spine_y = back - rng.uniform(4, 14) + 0.0006 * (z - 30) ** 2 * rng.uniform(-0.6, 0.3)

    _add_bones(labels, cavity, (x, y, z), spine_y, width, rng)
    _add_lungs(labels, cavity, (x, y, z), spine_y, rng)
    _add_spine(labels, (x, y, z), spine_y, rng)
    _add_gas(labels, (x, y, z), rng)
    return np.where(body, labels, np.uint8(0))


def _grid() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, y, z = (
        np.arange(low, high, SPACING, dtype=np.float32)
        for low, high in ((-_HALF[0], _HALF[0]), (-_HALF[1], _HALF[1]), (_LOW, _HIGH))
    )
    return x[:, None, None], y[None, :, None], z[None, None, :]


def _rounded(u: np.ndarray, v: np.ndarray, power: float) -> np.ndarray:
    """Whether points are within a rounded rectangle of half width and depth 1."""
    return np.abs(u) ** power + np.abs(v) ** power < 1


def _depth_below_skin(body: np.ndarray) -> np.ndarray:
    return SPACING * np.stack([ndimage.distance_transform_edt(plane) for plane in np.moveaxis(body, 2, 0)], axis=2)


def _breasts(x: np.ndarray, y: np.ndarray, z: np.ndarray, depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    size, place = rng.uniform(38, 62), rng.uniform(60, 80)
    return ((np.abs(x) - place) / size) ** 2 + ((y + depth * 0.85) / size) ** 2 + ((z + 10) / size) ** 2 < 1


def _add_lungs(
    labels: np.ndarray,
    cavity: np.ndarray,
    grid: tuple[np.ndarray, np.ndarray, np.ndarray],
    spine_y: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Two lungs around the heart and the great vessels, on two domes of the diaphragm; the right one is higher."""
    x, y, z = grid
    middle = rng.uniform(-4, 6)
    heart_at = np.array([rng.uniform(18, 34), rng.uniform(-42, -22), rng.uniform(-45, -15)])
    heart_size = np.array([rng.uniform(52, 74), rng.uniform(42, 58), rng.uniform(48, 66)])
    u, v, w = (p - c for p, c in zip(grid, heart_at))
    u, w = u + 0.35 * w, w - 0.2 * u  # the apex points left and down
    heart = sum((p / size) ** 2 for p, size in zip((u, v, w), heart_size)) < 1
    # Narrow in front, wide around the spine and the great vessels.
    half = np.interp(y, (-110, -60, 0, 60, 110), (5, 12, 26, 24, 16)) * rng.uniform(0.8, 1.3)
    half = half * np.interp(z, (-190, -20, 60, 140), (0.9, 1.0, 1.1, 1.5))
    aorta = _tube(x - middle - 22, y - spine_y + 24, rng.uniform(10, 16)) & (z < 70)
    air = cavity & (np.abs(x - middle) >= half) & ~aorta & ~heart
    for side, lung in ((-1, anatomy.RIGHT_LUNG), (1, anatomy.LEFT_LUNG)):
        top = rng.uniform(-40, 5) - (0 if side < 0 else rng.uniform(5, 22))
        dome = top - rng.uniform(0.005, 0.010) * ((x - 72 * side) ** 2 + (y + 15) ** 2)
        labels[air & (side * (x - middle) > 0) & (z > np.maximum(dome, -150))] = lung
    labels[heart & cavity & (z > -60)] = anatomy.HEART


def _add_bones(
    labels: np.ndarray,
    cavity: np.ndarray,
    grid: tuple[np.ndarray, np.ndarray, np.ndarray],
    spine_y: np.ndarray,
    width: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Ribs that fall from the back to the front, breastbone, shoulder blades and collar bones."""
    x, y, z = grid
    around = SPACING * np.stack([ndimage.distance_transform_edt(~plane) for plane in np.moveaxis(cavity, 2, 0)], axis=2)
    wall = (around > 1.5) & (around < rng.uniform(8, 11))
    step, slope = rng.uniform(21, 26), rng.uniform(0.3, 0.6)
    along = (z - slope * y + rng.uniform(0, step)) / step
    arches = (
        wall & (along - np.floor(along) < rng.uniform(0.36, 0.5)) & (z < 135) & (z > -120 + 0.4 * np.minimum(-y, 60))
    )
    front = (y < -30) & (np.abs(x) < 20)
    labels[arches & ~front] = anatomy.RIBS
    labels[wall & front & (np.abs(x) < 16) & (z > -15) & (z < 95)] = anatomy.BONE
    blade = np.abs(around - rng.uniform(17, 22)) < 3.5
    outward = np.abs(np.abs(x) - 0.6 * width)
    labels[blade & (y > 15) & (outward < 34 + 0.2 * (z - 60)) & (z > 15) & (z < 130)] = anatomy.BONE
    collar = _tube(z - 122 - 0.08 * np.abs(x), y + 58 - 0.3 * np.abs(x), 7)
    labels[collar & (np.abs(x) > 18) & (np.abs(x) < 120)] = anatomy.BONE


def _add_spine(
    labels: np.ndarray,
    grid: tuple[np.ndarray, np.ndarray, np.ndarray],
    spine_y: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Vertebrae around a canal, one below the other: lumbar, thoracic, cervical."""
    x, y, z = grid
    size = np.interp(z, (_LOW, 0, _HIGH), (23, 18, 13)) * rng.uniform(0.88, 1.12)
    y = y - spine_y
    canal_y = size * 0.9 + 8
    body = _tube(x / 1.15, y, size)
    arch = _tube(x, y - canal_y, 15) & (y > size * 0.6)
    step = rng.uniform(23, 28)
    level = z / step - np.floor(z / step)
    spinous = (np.abs(x) < 4) & (y > canal_y) & (y < canal_y + 38) & (level < 0.6)
    transverse = (np.abs(y - canal_y + 4) < 5.5) & (np.abs(x) < 36) & (level < 0.45)
    column = (body | arch | spinous | transverse) & ~_tube(x, y - canal_y, 8)
    lumbar_top, thoracic_top = rng.uniform(-115, -80), rng.uniform(138, 158)
    for label, low, high in (
        (anatomy.LUMBAR, _LOW - 1, lumbar_top),
        (anatomy.THORACIC, lumbar_top, thoracic_top),
        (anatomy.CERVICAL, thoracic_top, _HIGH),
    ):
        labels[column & (z > low) & (z <= high)] = label


def _add_gas(labels: np.ndarray, grid: tuple[np.ndarray, np.ndarray, np.ndarray], rng: np.random.Generator) -> None:
    """The windpipe and its two branches, and often a bubble in the stomach."""
    x, y, z = grid
    fork, place = rng.uniform(35, 55), rng.uniform(5, 25)
    size = rng.uniform(7, 10)
    gas = _tube(x - 2, y - place, size) & (z > fork)
    gas |= _tube(np.abs(x - 2) - 0.8 * (fork - z), y - place, size * 0.75) & (z <= fork) & (z > fork - 40)
    if rng.random() < 0.7:
        u, v, w = x - rng.uniform(50, 80), y + rng.uniform(20, 50), z + rng.uniform(85, 120)
        gas |= (u / rng.uniform(20, 38)) ** 2 + (v / rng.uniform(12, 25)) ** 2 + (w / rng.uniform(15, 30)) ** 2 < 1
    labels[gas & np.isin(labels, (anatomy.INNER, anatomy.HEART))] = anatomy.GAS


def _tube(u: np.ndarray, v: np.ndarray, radius: float | np.ndarray) -> np.ndarray:
    return u**2 + v**2 < np.square(radius)
