"""Soft masks: how probable each voxel of a region is, in 8 bits, so that whoever asked can move the outline's edge.

Both sides of the wire share this file: the server packs, the client reads. A soft mask is cropped to the box that holds
it and lies on the voxels of the volume that was asked about, so it carries no geometry of its own. It may be needed
long after its answer, so it stays packed until it is. Knows neither models, HTTP nor Slicer.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Mapping

from medsight_core.errors import ServerError

if TYPE_CHECKING:  # the client needs no arrays until somebody moves an edge
    import numpy as np

LEAST = 0.1  # what is less probable is left out: half a volume is a little probable
_VERSION = 1
_FULL = 255
_MAX_VOXELS = 1 << 29
_LEVEL = 6  # of zlib


@dataclass(frozen=True)
class SoftMask:
    """One region's probabilities.

    threshold: at which the answer's outline was drawn. first: index (i, j, k) of the box's first voxel in the volume.
    shape: (I, J, K) of the box. packed: its values, compressed, I fastest as VTK and NRRD keep them.
    """

    threshold: float
    first: tuple[int, int, int]
    shape: tuple[int, int, int]
    packed: bytes = field(repr=False)

    def mask(self, threshold: float) -> np.ndarray:
        """The voxels that are more probable than this, bool (K, J, I) of the box.

        Raises ServerError when what came is damaged.
        """
        return self.values() > _FULL * threshold

    def values(self) -> np.ndarray:
        """255 times the probability, uint8 (K, J, I) of the box, 0 below `LEAST`. Raises ServerError as `mask`."""
        import numpy as np

        count, unpacker = prod(self.shape), zlib.decompressobj()
        try:
            content = unpacker.decompress(self.packed, count + 1)
        except zlib.error:
            content = b""
        if len(content) != count:
            raise ServerError("The soft mask that the server sent is damaged: ask again.")
        return np.frombuffer(content, np.uint8).reshape(self.shape[::-1])


def eight_bits(probability: np.ndarray) -> np.ndarray:
    """Probabilities 0..1 as uint8; rounded so that one of exactly a half stays "not more than a half"."""
    import numpy as np

    return np.clip(np.ceil(_FULL * probability - 0.5), 0, _FULL).astype(np.uint8)


def pack(values: np.ndarray, mask: np.ndarray, threshold: float) -> SoftMask:
    """Crop and compress ``values``, uint8 (I, J, K) of `eight_bits` on the whole volume.

    mask: the region's outline, bool (I, J, K), never empty. The soft mask gives just this at ``threshold``, bit for
    bit: where rounding says otherwise, the value moves to the next one.
    """
    import numpy as np

    edge = int(_FULL * threshold)  # the greatest value that is not above the threshold
    values = np.where(mask, np.maximum(values, edge + 1), np.minimum(values, edge)).astype(np.uint8)
    box = []
    for axis in range(3):
        filled = np.flatnonzero(values.any(axis=tuple(n for n in range(3) if n != axis)))
        box.append(slice(int(filled[0]), int(filled[-1]) + 1))
    cropped = values[tuple(box)]
    i, j, k = (part.start for part in box)
    return SoftMask(threshold, (i, j, k), cropped.shape, zlib.compress(cropped.tobytes(order="F"), _LEVEL))


def write_soft(masks: Mapping[int, SoftMask]) -> bytes:
    """Soft masks by `Region.label` as one file: a line of JSON, then the packed values one after the other."""
    regions = [
        {
            "label": label,
            "threshold": mask.threshold,
            "first": list(mask.first),
            "shape": list(mask.shape),
            "bytes": len(mask.packed),
        }
        for label, mask in masks.items()
    ]
    head = json.dumps({"version": _VERSION, "regions": regions})
    return head.encode() + b"\n" + b"".join(mask.packed for mask in masks.values())


def read_soft(content: bytes) -> dict[int, SoftMask]:
    """The soft masks of such a file, still packed; ValueError when it is none or not whole."""
    head, _, packed = content.partition(b"\n")
    masks, place = {}, 0
    try:
        told = json.loads(head)
        if told["version"] != _VERSION:
            raise ValueError("another version")
        for region in told["regions"]:
            size = int(region["bytes"])
            first, shape = _three(region["first"]), _three(region["shape"])
            if not 0 < prod(shape) <= _MAX_VOXELS or min(*first, size) < 0 or place + size > len(packed):
                raise ValueError("not whole")
            threshold = float(region["threshold"])
            masks[int(region["label"])] = SoftMask(threshold, first, shape, packed[place : place + size])
            place += size
    except (KeyError, TypeError) as error:
        raise ValueError(f"no soft masks: {error}") from None
    return masks


def _three(values: list[int]) -> tuple[int, int, int]:
    i, j, k = (int(value) for value in values)
    return i, j, k
