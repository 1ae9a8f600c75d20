"""How well masks agree with a reference: as the authors coded it, and as we think it should be measured.

Knows arrays of one picture only: no files, no models.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import binary_erosion, distance_transform_edt, find_objects

_EPSILON = 1e-8  # of the authors' Dice: 1 when both masks are empty


def official_dice(logits: np.ndarray, reference: np.ndarray) -> float:
    """Dice of each map with the same reference, averaged over the maps (model-spec 8.2).

    The maps (n, m, m) are stretched over the whole picture, whatever part of it the model saw, and cut at 0.
    reference: bool (rows, columns).
    """
    maps = torch.from_numpy(logits.astype(np.float32))[None]
    stretched = F.interpolate(maps, reference.shape, mode="bilinear", align_corners=False)[0].numpy() > 0
    shared = (stretched & reference).sum(axis=(1, 2))
    areas = stretched.sum(axis=(1, 2)) + reference.sum()
    return float(((2 * shared + _EPSILON) / (areas + _EPSILON)).mean())


def dice(mask: np.ndarray, reference: np.ndarray) -> float:
    """Dice of two masks, bool (rows, columns); ValueError when both are empty, which has no Dice."""
    area = int(mask.sum()) + int(reference.sum())
    if not area:
        raise ValueError("two empty masks have no Dice")
    return 2 * int((mask & reference).sum()) / area


def surface_dice(
    mask: np.ndarray, reference: np.ndarray, tolerance: float, spacing: Sequence[float] = (1.0, 1.0)
) -> float:
    """Share of both outlines that lies within ``tolerance`` of the other (normalised surface Dice, NSD).

    mask, reference: bool (rows, columns), not both empty. spacing: of rows and columns; ``tolerance`` is in its unit,
    which is pixels when it is left out. An outline is the mask's own pixels with a neighbour, by edge, that is not;
    outside the picture nothing is. 0 when one is empty.
    """
    if not mask.any() or not reference.any():
        return 0.0
    # Far from both there is nothing to measure: the picture may be a hundred times as large as what is outlined.
    box = find_objects((mask | reference).astype(np.uint8))[0]
    outlines = [part & ~binary_erosion(part) for part in (np.pad(each[box], 1) for each in (mask, reference))]
    near = [distance_transform_edt(~other, sampling=spacing)[own] <= tolerance for own, other in _both(outlines)]
    return float(np.concatenate(near).mean())


def _both(pair: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    first, second = pair
    return [(first, second), (second, first)]
