"""Head CT: skull and soft tissue of the one scan that a package carries, and scans painted from brain label maps.

The scan lies in a project file of InVesalius: a tar of a raw array and a property list, read without unpacking it.
"""

from __future__ import annotations

import plistlib
import tarfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from scipy import ndimage

from medsight_core.errors import NotFoundError, VolumeError
from medsight_core.imaging.volume import Volume
from sample_data.generate.brain import reshaped
from sample_data.generate.brain_contrast import ct_levels
from sample_data.generate.brain_labels import PARTS, Head, labels_where
from sample_data.generate.contrast import Acquisition, along_axes, paint, profile
from sample_data.generate.deform import Deformation, Strength, warp_image
from sample_data.generate.scan import Layer, Legend, Scan

CRANIUM = Path("/usr/share/doc/invesalius-examples/examples/Cranium.inv3")
LEGEND = {"skull": (1,), "soft tissue": (2,)}
WINDOWS = (None, None, None, None, "bone", "soft-tissue", "brain")
_BONE_HU = 226.0  # the threshold of the package's own mask of bone
_TISSUE_HU = -142.0  # and of its mask of soft tissue
_SPACING = 1.5  # millimetres
_LARGEST = 1 << 27  # bytes that are read of a member
_BONES = labels_where(lambda part: part.tissue in ("bone", "marrow"))
_LEGEND_OF_MAPS = {
    "skull": _BONES,
    "soft tissue": tuple(label for label in range(1, len(PARTS) + 1) if label not in _BONES),
}


@dataclass(frozen=True)
class Cranium:
    """Hounsfield units float32 (X, Y, Z), every `_SPACING` mm, axes towards L, P and S."""

    image: np.ndarray = field(repr=False)


def read_cranium(path: Path = CRANIUM) -> Cranium:
    """The head of a project file. Raises NotFoundError when it is not there, VolumeError when it is something else.

    Sides are not told apart by what is named here; the array is taken as its package shows it, nose up.
    """
    if not path.is_file():
        raise NotFoundError(f"There is no head CT at '{path}': run 'apt-get install invesalius-examples'.")
    try:
        with tarfile.open(path) as archive:
            members = {PurePosixPath(member.name).name: member for member in archive if member.isfile()}
            main = plistlib.loads(_bytes(archive, members["main.plist"]))
            matrix, spacing = main["matrix"], np.array(main["spacing"], float)
            raw = _bytes(archive, members[PurePosixPath(matrix["filename"]).name])
            voxels = np.frombuffer(raw, np.dtype(matrix["dtype"])).reshape(matrix["shape"])
    except (OSError, tarfile.TarError, KeyError, TypeError, ValueError, plistlib.InvalidFileException) as error:
        raise VolumeError(f"'{path.name}' is not a project of InVesalius: install its examples again.") from error
    image = np.ascontiguousarray(voxels[:, ::-1].transpose(2, 1, 0))  # from (S, A, L) to (L, P, S)
    matrices = []
    for count, step in zip(image.shape, spacing):
        places = np.arange(int((count - 1) * step / _SPACING) + 1) * _SPACING / step
        matrices.append(profile(count, places, max(1.0, _SPACING / step), 0.3))
    return Cranium(_without_holder(along_axes(image, matrices)))


def real_head(cranium: Cranium, rng: np.random.Generator) -> Scan:
    """The real scan in another shape, with other noise and slices; mirrored in half of the cases."""
    image = cranium.image[::-1] if rng.random() < 0.5 else cranium.image
    image = warp_image(image, Deformation.draw(image.shape, Strength(wobble=1.5, knots=18), rng).places(image.shape))
    labels = np.where(image > _BONE_HU, np.uint8(1), np.where(image > _TISSUE_HU, np.uint8(2), np.uint8(0)))
    return _scanned(image, labels, LEGEND, _SPACING, rng)


def generated_head(head: Head, rng: np.random.Generator) -> Scan:
    """A head CT of a subject whose label map is known."""
    labels = reshaped(head, rng)
    means, spreads = ct_levels(rng)
    return _scanned(paint(labels, means, spreads, rng), labels, _LEGEND_OF_MAPS, 1.0, rng)


def draw_window(rng: np.random.Generator) -> str | None:
    """The window a head is shown in: mostly the one the engine chooses by itself."""
    return WINDOWS[rng.integers(len(WINDOWS))]


def _scanned(image: np.ndarray, labels: np.ndarray, legend: Legend, spacing: float, rng: np.random.Generator) -> Scan:
    taken, affine = Acquisition.draw(spacing, rng, thick=(0.0, 0.0, 1.0)).take(image, spacing, np.zeros(3))
    taken += np.float32(rng.uniform(2, 30)) * rng.standard_normal(taken.shape, dtype=np.float32)
    volume = Volume(np.rint(np.clip(taken, -1024, 3000)).astype(np.int16), affine, "CT")
    return Scan(volume, (Layer(labels, legend),), np.full(3, spacing), np.zeros(3))


def _without_holder(image: np.ndarray) -> np.ndarray:
    """Only the head: what it rested on becomes air."""
    tissue = ndimage.binary_opening(image > -300, iterations=2)
    parts, _ = ndimage.label(tissue)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    head = ndimage.binary_dilation(parts == sizes.argmax(), iterations=3)
    return np.where(head, np.maximum(image, -1024), np.float32(-1000))


def _bytes(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    if file is None or member.size > _LARGEST:
        raise ValueError(f"{member.name} cannot be read")
    return file.read()
