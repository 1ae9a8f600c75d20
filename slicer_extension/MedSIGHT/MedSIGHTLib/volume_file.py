"""A volume's voxels and geometry once they are out of the scene: their hash, and a NRRD file. numpy only.

Made for the thread beside the event loop. The voxels are the scene's own, as copying a large volume would be felt; who
sends them asks for `Snapshot.content` before and after, to see whether somebody has changed them meanwhile.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from medsight_core.errors import VolumeError
from medsight_core.packing import content_of
from MedSIGHTLib.translating import _

_PIECE = 1 << 24  # bytes at a time, so that other threads get on


@dataclass(frozen=True, eq=False)
class Snapshot:
    """voxels: contiguous array (K, J, I), read and never written. affine: (4, 4), voxel index (I, J, K) to LPS mm."""

    voxels: np.ndarray = field(repr=False)
    affine: np.ndarray

    def content(self) -> str:
        """Equal for equal voxels on an equal grid, whatever they are called and wherever they came from."""
        return content_of(self.voxels.transpose(), self.affine)

    def write(self, path: Path) -> None:
        """Write an uncompressed NRRD file; VolumeError when there is no room for it."""
        directions = " ".join(vector_text(column) for column in self.affine[:3, :3].T)
        lines = (
            "NRRD0004",
            f"type: {_type_name(self.voxels.dtype)}",
            "dimension: 3",
            "space: left-posterior-superior",
            "sizes: " + " ".join(str(count) for count in self.voxels.shape[::-1]),
            f"space directions: {directions}",
            "kinds: domain domain domain",
            f"endian: {sys.byteorder}",
            "encoding: raw",
            f"space origin: {vector_text(self.affine[:3, 3])}",
        )
        try:
            with open(path, "wb") as file:
                file.write(("\n".join(lines) + "\n\n").encode())
                data = memoryview(self.voxels).cast("B")
                for start in range(0, len(data), _PIECE):
                    file.write(data[start : start + _PIECE])
        except OSError:
            raise VolumeError(
                _("The chosen volume cannot be written to the temporary folder: see whether the disk is full.")
            ) from None


def vector_text(numbers: np.ndarray) -> str:
    """A vector as a NRRD header has it, with all its digits."""
    return "(" + ",".join(repr(float(number)) for number in numbers) + ")"


def _type_name(kind: np.dtype) -> str:
    if kind.kind == "f":
        return {4: "float", 8: "double"}[kind.itemsize]
    return f"{'u' if kind.kind == 'u' else ''}int{8 * kind.itemsize}"
