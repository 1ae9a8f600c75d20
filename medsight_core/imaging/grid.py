"""Voxel grids as affine maps: arrays brought into patient order, and exact trilinear resampling between two grids.

Pure index arithmetic: which grid is a volume and which a stack of planes is known to `medsight_core.imaging.plane`
alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
from scipy import ndimage

# Coordinates this close to a voxel centre (in voxels) are on it: headers keep affines in float32 or in rounded text,
# and a copy must not turn into an interpolation because of that.
_SNAP = 1e-4
_SLAB_POINTS = 1 << 20  # points resampled at once; three float64 coordinates each


@dataclass(frozen=True)
class PatientOrder:
    """How a stored (I, J, K) array becomes one whose axes run along patient left, posterior and superior.

    axes: stored axis that lies nearest to L, to P and to S.
    flips: whether that axis runs the other way (right, anterior, inferior).
    """

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    @classmethod
    def of(cls, affine: np.ndarray) -> PatientOrder:
        """The order for an index-to-LPS ``affine`` (4, 4); for oblique axes the assignment with the least tilt."""
        directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
        axes = max(permutations(range(3)), key=lambda p: sum(abs(directions[d, p[d]]) for d in range(3)))
        flips = tuple(bool(directions[d, axes[d]] < 0) for d in range(3))
        return cls(axes, flips)  # type: ignore[arg-type]

    def arrange(self, array: np.ndarray) -> np.ndarray:
        """A view of a stored (I, J, K) array with its axes in L, P, S order."""
        return array.transpose(self.axes)[tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)]

    def arrange_affine(self, affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Index-to-LPS affine (4, 4) of the arranged array; ``shape`` is the stored one."""
        to_stored = np.zeros((4, 4))
        to_stored[3, 3] = 1.0
        for d, (axis, flip) in enumerate(zip(self.axes, self.flips)):
            to_stored[axis, d] = -1.0 if flip else 1.0
            to_stored[axis, 3] = shape[axis] - 1 if flip else 0.0
        return affine @ to_stored


def resample_into(out: np.ndarray, source: np.ndarray, matrix: np.ndarray, fill: float) -> None:
    """Fill ``out`` (3-D float32) with ``source`` (3-D), trilinearly interpolated at ``matrix`` @ (index of out, 1).

    matrix: (4, 4), from an index of ``out`` to an index of ``source``.
    Points up to half a voxel beyond the outermost centres are still inside and take the edge value; points farther out
    become ``fill``. Where the grids coincide the values are copied, not interpolated. Works slab by slab, so that
    little memory is needed beyond ``out`` itself.
    """
    reach = np.abs(matrix[:3, :3]) * (np.asarray(out.shape) - 1)  # voxels travelled in the source, per axis of out
    follow = max(permutations(range(3)), key=lambda p: sum(reach[a, p[a]] for a in range(3)))
    out, matrix, reach = out.transpose(follow), matrix[:, [*follow, 3]], reach[:, follow]  # axis by axis as in source
    separable = (reach - np.diag(np.diag(reach))).max() < _SNAP
    longest = int(np.argmax(out.shape))
    slab = max(1, _SLAB_POINTS * out.shape[longest] // out.size)
    for start in range(0, out.shape[longest], slab):
        part = np.moveaxis(np.moveaxis(out, longest, 0)[start : start + slab], 0, longest)
        shifted = matrix.copy()
        shifted[:3, 3] += start * matrix[:3, longest]
        (_resample_by_axis if separable else _resample_freely)(part, source, shifted, fill)


def _resample_by_axis(out: np.ndarray, source: np.ndarray, matrix: np.ndarray, fill: float) -> None:
    """For grids whose axes run along each other: one axis after another."""
    steps, touched = [], []
    for axis in range(3):
        position = matrix[axis, 3] + matrix[axis, axis] * np.arange(out.shape[axis])
        lower, upper, weight, inside = _neighbours(position, source.shape[axis])
        start = lower.min()
        steps.append((axis, lower - start, upper - start, weight, inside))
        touched.append(slice(start, upper.max() + 1))
    # numpy.take copies all that it is given into C order: it gets what is touched, one or two slices for a plane.
    block = source[tuple(touched)]
    # The axes that shrink most go first.
    for axis, lower, upper, weight, _ in sorted(steps, key=lambda step: len(step[1]) / source.shape[step[0]]):
        near = np.take(block, lower, axis=axis)
        if weight.any():
            near = near.astype(np.float32, copy=False)
            far = np.take(block, upper, axis=axis).astype(np.float32, copy=False)
            shape = [1, 1, 1]
            shape[axis] = -1
            near = near + (far - near) * weight.reshape(shape)
        block = near
    out[...] = block
    for axis, _, _, _, inside in steps:
        if not inside.all():
            np.moveaxis(out, axis, 0)[~inside] = fill


def _neighbours(position: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Lower and upper voxel, weight of the upper (float32), and whether the position is inside, along one axis."""
    position = _settle(position)
    inside = (position >= -0.5) & (position <= count - 0.5)
    position = np.clip(position, 0, count - 1)
    lower = np.floor(position).astype(np.intp)
    upper = np.minimum(lower + 1, count - 1)
    return lower, upper, (position - lower).astype(np.float32), inside


def _settle(position: np.ndarray) -> np.ndarray:
    """Positions without the rounding noise of headers, so that equal geometry gives equal bits."""
    nearest = np.rint(position)
    return np.where(np.abs(position - nearest) < _SNAP, nearest, np.round(position, 6))


def _resample_freely(out: np.ndarray, source: np.ndarray, matrix: np.ndarray, fill: float) -> None:
    """For turned or sheared grids: point by point, in the order in which the source lies in memory."""
    by_memory = sorted(range(3), key=lambda axis: -abs(source.strides[axis]))
    out, source = out.transpose(by_memory), source.transpose(by_memory)
    matrix = matrix[[*by_memory, 3]][:, [*by_memory, 3]]
    index = np.indices(out.shape, dtype=np.float64, sparse=True)
    position = np.empty((3, *out.shape))
    inside = np.ones(out.shape, bool)
    for axis in range(3):
        position[axis] = matrix[axis, 3] + sum(matrix[axis, o] * index[o] for o in range(3))
        inside &= position[axis] >= -0.5 - _SNAP
        inside &= position[axis] <= source.shape[axis] - 0.5 + _SNAP
    values = ndimage.map_coordinates(source, position, output=np.float32, order=1, mode="nearest", prefilter=False)
    values[~inside] = fill
    out[...] = values
