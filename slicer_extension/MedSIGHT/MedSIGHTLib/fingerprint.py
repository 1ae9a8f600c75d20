"""A short text that says which voxels an outline holds, to see later whether a person has changed it.

The same for the same voxels however much empty space is stored around them: Slicer crops what it saves. numpy only.
"""

from __future__ import annotations

import hashlib

import numpy as np


def fingerprint(voxels: np.ndarray, first: tuple[int, int, int] = (0, 0, 0), value: int | bool = True) -> str:
    """Of the voxels (K, J, I) that hold ``value``; the first voxel has the index ``first`` (k, j, i) in the volume."""
    box = _box_of(voxels, value)
    if box is None:
        return "empty"
    bounds = [part + int(start) for (low, high), start in zip(box, first) for part in (low, high)]
    digest = hashlib.sha256(",".join(map(str, bounds)).encode())
    digest.update(np.packbits(voxels[tuple(slice(*part) for part in box)] == value).tobytes())
    return digest.hexdigest()[:32]


def _box_of(voxels: np.ndarray, value: int | bool) -> tuple[tuple[int, int], ...] | None:
    """First index and the one after the last along each axis, slice by slice.

    A slice stays in the processor's cache; a mask of all of a large volume is new memory, which costs many times more.
    """
    held = np.empty(voxels.shape[1:], bool)
    filled = [np.zeros(count, bool) for count in voxels.shape]
    for k, part in enumerate(voxels):
        if np.equal(part, value, out=held).any():
            filled[0][k] = True
            filled[1] |= held.any(axis=1)
            filled[2] |= held.any(axis=0)
    if not filled[0].any():
        return None
    places = [np.flatnonzero(axis) for axis in filled]
    return tuple((int(place[0]), int(place[-1]) + 1) for place in places)
