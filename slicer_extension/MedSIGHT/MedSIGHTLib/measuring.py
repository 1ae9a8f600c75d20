"""How large an outline is and what it holds, in patient space. numpy only; knows no scene.

Positions come from the volume's own affine, so tilted, stretched and sheared grids are measured as they lie.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

_REACH = 3  # voxels: longer steps find hardly any more voxels that lie between two others
_PAIRS = 1 << 22  # distances at a time, 32 MB


@dataclass(frozen=True)
class Measurements:
    """Of one outline.

    volume_ml: its voxels' volume, millilitres. diameter_mm: `largest_diameter`. mean: of the volume's voxels inside, in
    the volume's own unit; None when those are no finite numbers.
    """

    volume_ml: float
    diameter_mm: float
    mean: float | None


def measure(
    mask: np.ndarray, voxels: np.ndarray, affine: np.ndarray, first: tuple[int, int, int] = (0, 0, 0)
) -> Measurements | None:
    """Measure a bool ``mask`` (K, J, I) whose first voxel has the index ``first`` (k, j, i) in ``voxels`` (K, J, I).

    affine: (4, 4), voxel index (I, J, K) to millimetres. None when the mask is empty.
    """
    count = int(mask.sum())
    if not count:
        return None
    inside = voxels[tuple(slice(start, start + size) for start, size in zip(first, mask.shape))][mask]
    mean = float(inside.mean(dtype=np.float64))
    volume = count * abs(float(np.linalg.det(affine[:3, :3]))) / 1000
    return Measurements(volume, largest_diameter(mask, affine), mean if np.isfinite(mean) else None)


def largest_diameter(mask: np.ndarray, affine: np.ndarray) -> float:
    """The largest distance between two points of a mask's surface, millimetres; 0 when the mask is empty.

    IBSI's "maximum 3D diameter" (L0JK): the surface runs halfway between the voxels inside and those outside, through
    the middles of the faces between them; so a single voxel is as long as its longest edge.
    mask: bool (K, J, I). affine: (4, 4), voxel index (I, J, K) to millimetres.
    """
    indexes = _corners(mask)
    if not len(indexes):
        return 0.0
    axes = np.asarray(affine, float)[:3, :3]
    points = (indexes - indexes.mean(axis=0)) @ axes.T
    points = points[_may_be_an_end(points, np.abs(axes).sum())]
    # Two ends of the surface lie half an edge beyond their voxels' centres. They are furthest apart when both lie on
    # faces of the same kind, which makes it one whole edge for the pair.
    return float(max(_furthest(points, points + edge) for edge in axes.T))


def _corners(mask: np.ndarray) -> np.ndarray:
    """Indexes (n, 3) as (i, j, k) of voxels, among them all those at the ends of the mask.

    A voxel that lies midway between two others of the mask is at no end of it, whatever the affine is.
    """
    padded = np.pad(mask, _REACH)
    ends = padded.copy()  # of the runs of voxels along a row, so that the rest needs to look at few
    ends[..., 1:-1] &= ~(padded[..., :-2] & padded[..., 2:])
    places, flat = np.flatnonzero(ends), padded.reshape(-1)
    _, height, width = padded.shape
    for k, j, i in product(range(-_REACH, _REACH + 1), repeat=3):
        if (k, j, i) > (0, 0, 0):  # the opposite step is the same one
            step = (k * height + j) * width + i
            places = places[~(flat[places + step] & flat[places - step])]
    return np.stack(np.unravel_index(places, padded.shape)[::-1], axis=1)


def _may_be_an_end(points: np.ndarray, slack: float) -> np.ndarray:
    """Which points (n, 3) can be one end of the largest distance; ``slack`` is what a pair may gain by its edges."""
    radii = np.linalg.norm(points, axis=1)
    known = max(np.linalg.norm(points - points[np.argmax(radii)], axis=1))
    return radii >= known - radii.max() - slack


def _furthest(points: np.ndarray, others: np.ndarray) -> float:
    """The largest distance between one of ``points`` (n, 3) and one of ``others`` (m, 3)."""
    largest, step = 0.0, max(_PAIRS // len(others), 1)
    squares = (others**2).sum(axis=1)
    for start in range(0, len(points), step):
        some = points[start : start + step]
        largest = max(largest, float((squares - 2 * some @ others.T + (some**2).sum(axis=1)[:, None]).max()))
    return float(np.sqrt(largest))
