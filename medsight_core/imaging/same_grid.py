"""Whether two voxel grids are one and the same, and if not, in which respect they differ, in words.

Sheared and turned grids are grids like any other: everything is judged in patient space.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medsight_core.errors import VolumeError

_TOLERANCE = 0.05  # of the smallest voxel edge: headers round, and that much moves no outline


@dataclass(frozen=True, eq=False)
class Grid:
    """Voxels along i, j and k, and the affine (4, 4) from a voxel index to LPS millimetres."""

    shape: tuple[int, ...]
    affine: np.ndarray

    @property
    def spacing(self) -> np.ndarray:
        """Distance of neighbouring voxel centres along each axis in millimetres, (3,)."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)


def check_same_grid(found: Grid, wanted: Grid) -> None:
    """Raise VolumeError naming every difference between a segmentation's grid and its image's, unless there is none."""
    differences = grid_differences(found, wanted)
    if differences:
        raise VolumeError(
            f"The segmentation does not lie on the image's voxels: {', '.join(differences)}; "
            "export it again with the image as its reference geometry."
        )


def crop_offset(found: Grid, wanted: Grid) -> tuple[int, int, int] | None:
    """Voxel of the wanted grid at which a grid begins that is a piece cut out of it; None when it is no such piece."""
    steps = np.linalg.solve(wanted.affine, found.affine[:, 3])
    i, j, k = (int(step) for step in np.rint(steps[:3]))
    if min(i, j, k) < 0 or any(f + n > w for f, n, w in zip((i, j, k), found.shape, wanted.shape)):
        return None
    piece = wanted.affine.copy()
    piece[:, 3] = wanted.affine @ (i, j, k, 1)
    return None if grid_differences(found, Grid(found.shape, piece)) else (i, j, k)


def grid_differences(found: Grid, wanted: Grid) -> list[str]:
    """In what a grid differs from the wanted one: size, spacing, direction, origin; empty when it does not."""
    differences = []
    if tuple(found.shape) != tuple(wanted.shape):
        differences.append(f"its size is {_sizes(found.shape)} and the image's {_sizes(wanted.shape)}")
    tolerance = _TOLERANCE * float(wanted.spacing.min())
    reach = np.maximum(np.asarray(wanted.shape, float) - 1, 1)  # steps: small errors of a header add up over them
    if (np.abs(found.spacing - wanted.spacing) * reach > tolerance).any():
        differences.append(f"its spacing is {_lengths(found.spacing)} mm and the image's {_lengths(wanted.spacing)} mm")
    turns = _unit_axes(found) - _unit_axes(wanted)  # chords between unit vectors, (3, 3)
    chords = np.linalg.norm(turns, axis=0)
    for axis in np.flatnonzero(chords * wanted.spacing * reach > tolerance):
        degrees = np.degrees(2 * np.arcsin(min(1.0, chords[axis] / 2)))
        differences.append(f"its direction along {'ijk'[axis]} is turned by {degrees:.3g} degrees")
    away = float(np.linalg.norm(found.affine[:3, 3] - wanted.affine[:3, 3]))
    if away > tolerance:
        differences.append(f"its origin is {away:.3g} mm away")
    return differences


def _unit_axes(grid: Grid) -> np.ndarray:
    return grid.affine[:3, :3] / grid.spacing


def _sizes(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)


def _lengths(values: np.ndarray) -> str:
    return " x ".join(f"{value:.4g}" for value in values)
