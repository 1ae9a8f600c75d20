"""Small made-up heads with FreeSurfer's numbers, stored as real label maps are."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np

SHAPE = (92, 108, 90)
# To the NIfTI array of the real maps: its axes run to the right, inferior and anterior.
REAL_DIRECTIONS = np.array([[-1.0, 0, 0, 40], [0, 0, 1.0, -50], [0, -1.0, 0, 44], [0, 0, 0, 1]])
_BALLS = (5, 7, 8, 10, 11, 12, 13, 17, 18, 26, 28)  # of the left
_RIGHT = {2: 41, 3: 42, 4: 43, 5: 44, 7: 46, 8: 47, 10: 49, 11: 50, 12: 51, 13: 52, 17: 53, 18: 54, 26: 58, 28: 60}


def tiny_head(seed: int = 0) -> np.ndarray:
    """FreeSurfer's numbers (X, Y, Z), axes towards L, P and S; the ventricle is larger on the left."""
    rng = np.random.default_rng(seed)
    middle = (np.array(SHAPE) - 1) / 2
    x, y, z = np.meshgrid(*(np.arange(n) - m for n, m in zip(SHAPE, middle)), indexing="ij", sparse=True)
    size = rng.uniform(0.95, 1.05)

    def ball(radii: tuple[float, float, float], at: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
        return sum(((p - c) / (size * r)) ** 2 for p, c, r in zip((x, y, z), at, radii)) < 1

    labels = np.zeros(SHAPE, np.int32)
    for number, radii in ((507, (42, 49, 41)), (515, (35, 42, 34)), (24, (33, 40, 32))):
        labels[ball(radii)] = number
    left = np.broadcast_to(x > 0, SHAPE)
    for number, radii in ((3, (31, 38, 30)), (2, (27, 34, 26))):
        labels[ball(radii) & left] = number
        labels[ball(radii) & ~left] = _RIGHT[number]
    for side in (1, -1):
        for number, (j, k) in zip(_BALLS, np.ndindex(4, 3)):
            at = (15 * side, -21 + 13 * j, -12 + 12 * k)
            labels[ball((4, 4, 4), at)] = number if side > 0 else _RIGHT[number]
    labels[ball((4, 10, 4), (6, 0, 4))] = 4
    labels[ball((3, 8, 3), (-6, 0, 4))] = 43
    for number, at in ((14, (0, 0, -4)), (15, (0, 18, -12)), (16, (0, 8, -16))):
        labels[ball((4, 4, 4), at)] = number
    return labels


def save_map(path: Path, labels: np.ndarray, affine: np.ndarray = REAL_DIRECTIONS) -> Path:
    """Write labels (X, Y, Z), axes towards L, P and S, as NIfTI stores them with an affine (RAS) of axis directions."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    order = [int(np.argmax(np.abs(lps[axis, :3]))) for axis in range(3)]  # array axis of L, P, S
    for axis in range(3):
        if lps[axis, order[axis]] < 0:
            labels = np.flip(labels, axis)
    nibabel.save(nibabel.Nifti1Image(labels.transpose(np.argsort(order)).astype(np.float32), affine), path)
    return path
