"""Small images, and labelmaps of two lungs on their grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813

NAMES = [{"name": "right lung", "idx": 1}, {"name": "left lung", "idx": 2}]


def write_image(path: Path, seed: int = 3) -> Path:
    """Noise on the same grid as `write_label`'s."""
    values = np.random.default_rng(seed).integers(-1000, 400, (12, 24, 20)).astype(np.int16)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((2.0, 2.0, 3.0))
    sitk.WriteImage(image, str(path))
    return path


def write_label(path: Path, right: int = 100, left: int = 50, spacing=(2.0, 2.0, 3.0)) -> Path:
    """A labelmap with so many voxels of each lung."""
    values = np.zeros((12, 24, 20), np.uint8)
    values.reshape(-1)[:right] = 1
    values.reshape(-1)[right : right + left] = 2
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(spacing)
    sitk.WriteImage(image, str(path))
    return path
