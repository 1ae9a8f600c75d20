"""Worse copies of an image, on the same voxels: other contrast, noise, thick slices. Knows no model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from scipy.ndimage import uniform_filter1d

from medsight_core.imaging.grid import PatientOrder
from medsight_core.imaging.volume import Volume


def other_contrast(volume: Volume, rng: np.random.Generator) -> Volume:
    """Grey levels bent: darker or brighter in the middle, by a power of 0.7 or 1.4 of the window of the voxels."""
    low, high = np.percentile(volume.voxels, (0.5, 99.5))
    share = np.clip((volume.voxels - low) / max(high - low, 1e-6), 0, 1)
    return _like(volume, low + (high - low) * share ** rng.choice((0.7, 1.4)))


def noisy(volume: Volume, rng: np.random.Generator) -> Volume:
    """Gaussian noise of 5 % of the window of the voxels."""
    low, high = np.percentile(volume.voxels, (0.5, 99.5))
    return _like(volume, volume.voxels + rng.normal(0, 0.05 * (high - low), volume.shape))


def thick(volume: Volume, rng: np.random.Generator) -> Volume:
    """Slices three times as thick: each voxel the mean of three along the body's length."""
    along = PatientOrder.of(volume.affine).axes[2]
    return _like(volume, uniform_filter1d(volume.voxels.astype(np.float32), 3, axis=along, mode="nearest"))


WORSE: Mapping[str, Callable[[Volume, np.random.Generator], Volume]] = {
    "contrast": other_contrast,
    "noise": noisy,
    "thick slices": thick,
}


def blank(volume: Volume) -> Volume:
    """The same grid with nothing on it."""
    return _like(volume, np.full(volume.shape, float(volume.voxels.min())))


def _like(volume: Volume, values: np.ndarray) -> Volume:
    return replace(volume, voxels=np.rint(values).astype(np.int16))
