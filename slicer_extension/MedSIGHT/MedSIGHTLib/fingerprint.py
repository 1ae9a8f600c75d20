"""A short text that says which voxels an outline holds, to see later whether a person has changed it.

The same for the same voxels however much empty space is stored around them: Slicer crops what it saves. numpy only.
"""

from __future__ import annotations

import hashlib

import numpy as np


def fingerprint(mask: np.ndarray, first: tuple[int, int, int] = (0, 0, 0)) -> str:
    """Of a bool ``mask`` (K, J, I) whose first voxel has the index ``first`` (k, j, i) in the volume."""
    bounds = []
    for axis in range(3):  # one after the other, each on what the former left: most of a volume is empty
        other = tuple(n for n in range(3) if n != axis)
        filled = np.flatnonzero(mask.any(axis=other))
        if not len(filled):
            return "empty"
        low, high = int(filled[0]), int(filled[-1]) + 1
        mask = mask[(slice(None),) * axis + (slice(low, high),)]
        bounds += [low + int(first[axis]), high + int(first[axis])]
    digest = hashlib.sha256(",".join(map(str, bounds)).encode())
    digest.update(np.packbits(mask).tobytes())
    return digest.hexdigest()[:32]
