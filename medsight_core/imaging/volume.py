"""A medical volume in patient space, and how it is read from a file or a DICOM folder.

Knows file formats and voxel geometry; knows nothing of planes, windows or models. Every affine is LPS millimetres,
whatever convention the file uses.
"""

from __future__ import annotations

import hashlib
import logging
import math
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, TypeVar, Union
from weakref import WeakKeyDictionary

import nibabel
import numpy as np
import SimpleITK as sitk  # noqa: N813

from medsight_core import packing
from medsight_core.errors import InputError, NotFoundError, TooLargeError, VolumeError
from medsight_core.protocol import MAX_VOXELS

MODALITIES = ("CT", "MR", "US", "XR", "OT")
_IMAGE_IO = {".nrrd": "NrrdImageIO", ".nhdr": "NrrdImageIO", ".mha": "MetaImageIO", ".mhd": "MetaImageIO"}
ITK_EXTENSIONS = tuple(_IMAGE_IO)
NIFTI_EXTENSIONS = (".nii", ".nii.gz")
EXTENSION_PACKED = ".packed"  # as clients send volumes; nobody keeps files of it
EXTENSIONS = NIFTI_EXTENSIONS + ITK_EXTENSIONS

PathLike = Union[str, Path]

_LONGEST_HEADER = 1 << 16  # bytes; headers with embedded tables stay far below

# Bytes that `compact` keeps for a stored voxel; 4 for all others.
_KEPT_SIZES = {np.dtype(kind): np.dtype(kind).itemsize for kind in (np.int8, np.uint8, np.int16)}
_KEPT_ITK_SIZES = {sitk.sitkInt8: 1, sitk.sitkUInt8: 1, sitk.sitkInt16: 2}

_NIFTI_FAILURES = (
    nibabel.filebasedimages.ImageFileError,
    nibabel.spatialimages.HeaderDataError,
    nibabel.wrapstruct.WrapStructError,
    OSError,
    EOFError,
    ValueError,
    TypeError,
    zlib.error,
)

# Our sentences replace what the libraries would write on stderr.
sitk.ProcessObject.SetGlobalWarningDisplay(False)
logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels with their place in the patient.

    voxels: numeric array (I, J, K); read-only once it is in a volume.
    affine: (4, 4) float64, from a voxel index (centres at whole numbers) to LPS millimetres; may be oblique or sheared.
    modality: one of `MODALITIES`; CT voxels are Hounsfield units.

    Raises VolumeError for anything that is not such a volume, TooLargeError above `MAX_VOXELS` voxels.
    """

    voxels: np.ndarray
    affine: np.ndarray
    modality: str

    def __post_init__(self) -> None:  # noqa: D105
        voxels = np.asarray(self.voxels).view()
        affine = np.array(self.affine, dtype=np.float64)
        check_shape(voxels.shape)
        _check_voxels(voxels)
        _check_affine(affine)
        voxels.flags.writeable = affine.flags.writeable = False
        object.__setattr__(self, "voxels", voxels)
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "modality", check_modality(self.modality))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along i, j and k."""
        i, j, k = self.voxels.shape
        return i, j, k

    @property
    def spacing(self) -> np.ndarray:
        """Distance of neighbouring voxel centres along i, j and k in millimetres, float64 (3,)."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres (exact for sheared voxels too)."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    @cached_property
    def background(self) -> float:
        """Value that stands for "nothing here": the darkest voxel, for CT no darker than air (-1024)."""
        darkest = float(self.voxels.min())
        return max(darkest, -1024.0) if self.modality == "CT" else darkest

    def fingerprint(self) -> str:
        """Hash (hexadecimal) of pixels, geometry and modality; equal volumes have equal fingerprints."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.blake2b(digest_size=20)
        digest.update(repr((self.voxels.dtype.str, self.shape, self.modality)).encode())
        digest.update(self.affine.tobytes())
        for k in range(self.shape[2]):  # slice by slice: no second copy of a large volume
            digest.update(np.ascontiguousarray(self.voxels[:, :, k].T).data)
        return digest.hexdigest()


Told = TypeVar("Told")


def once_a_volume(tell: Callable[[Volume], Told]) -> Callable[[Volume], Told]:
    """What ``tell`` finds out about a volume, found out once for as long as the volume lives; volumes do not change."""
    known: WeakKeyDictionary[Volume, Told] = WeakKeyDictionary()

    @wraps(tell)
    def told(volume: Volume) -> Told:
        if volume not in known:
            known[volume] = tell(volume)
        return known[volume]

    return told


def read_volume(path: PathLike, modality: str | None = None) -> Volume:
    """The volume in a file (.nii, .nii.gz, .nrrd, .nhdr, .mha, .mhd) or in a folder of DICOM slices.

    modality: overrides what the image says; upper or lower case. Formats that do not store it are guessed: values like
        Hounsfield units are CT, everything else MR.
    Of a DICOM folder with several series the one with most slices is read; see `dicom_series.read_series`.

    Raises NotFoundError when nothing is there, TooLargeError, VolumeError when it cannot be used, InputError for an
    unknown modality. Each message is one sentence.
    """
    wanted = None if modality is None else check_modality(modality)
    path = Path(path)
    if not path.exists():
        raise NotFoundError(f"There is no image at '{path}': check the path.")
    if path.is_dir():
        from medsight_core.imaging.dicom_series import read_series  # imports this module

        voxels, affine, stored = read_series(path)
        return Volume(voxels, affine, wanted or stored)
    name = path.name.lower()
    if name.endswith(NIFTI_EXTENSIONS):
        voxels, affine = _read_nifti(path)
    elif name.endswith(ITK_EXTENSIONS):
        voxels, affine = _read_itk(path)
    elif name.endswith(EXTENSION_PACKED):
        with path.open("rb") as file:
            voxels, affine = packing.unpack_volume(file)
        check_shape(voxels.shape)
        voxels = compact(voxels)
    else:
        from medsight_core.imaging.dicom_series import refuse_single_file

        refuse_single_file(path)
        raise VolumeError(
            f"'{path.name}' is not a volume that can be read: give {', '.join(EXTENSIONS)} or a folder of DICOM slices."
        )
    return Volume(voxels, affine, wanted or guess_modality(voxels))


def announced_bytes(path: PathLike) -> int:
    """Bytes that the voxels of an image file (no folder) will take at most, told from its header alone.

    0 for a file that `read_volume` refuses: it is for who decides before reading, not for who judges the file.
    """
    path = Path(path)
    try:
        if path.name.lower().endswith(NIFTI_EXTENSIONS):
            image = nibabel.Nifti1Image.from_filename(path)
            stored: Any = image.dataobj
            shape, plain = image.shape, (stored.slope, stored.inter) == (1.0, 0.0)
            size = _KEPT_SIZES.get(image.get_data_dtype().newbyteorder("="), 4) if plain else 4
        elif path.name.lower().endswith(EXTENSION_PACKED):
            with path.open("rb") as file:
                return packing.announced_bytes(file)
        else:
            refuse_foreign_data(path)
            reader = sitk.ImageFileReader()
            reader.SetImageIO(_IMAGE_IO[path.suffix.lower()])
            reader.SetFileName(str(path))
            reader.ReadImageInformation()
            shape, size = reader.GetSize(), _KEPT_ITK_SIZES.get(reader.GetPixelID(), 4)
    except (*_NIFTI_FAILURES, InputError, RuntimeError, KeyError):
        return 0
    return math.prod(shape) * size


def check_modality(value: str) -> str:
    """One of `MODALITIES`, from any spelling of it in upper or lower case; InputError otherwise."""
    word = value.strip().upper()
    if word not in MODALITIES:
        raise InputError(f"Unknown modality {value!r}: use one of {', '.join(MODALITIES)}.")
    return word


def check_shape(shape: tuple[int, ...]) -> None:
    """Raise VolumeError or TooLargeError unless an array of this shape can be a volume."""
    sizes = " x ".join(str(n) for n in shape)
    if len(shape) != 3:
        raise VolumeError(f"The image has {len(shape)} dimensions ({sizes}): give a three-dimensional volume.")
    if min(shape) < 2:
        raise VolumeError(
            f"The image is only one voxel thick ({sizes}): give a volume with at least two voxels along every axis."
        )
    if math.prod(shape) > MAX_VOXELS:
        raise TooLargeError(f"The image has {sizes} voxels and the limit is {MAX_VOXELS}: crop or downsample it first.")


def guess_modality(voxels: np.ndarray) -> str:
    """ "CT" for values that look like Hounsfield units (air far below zero, tissue above), otherwise "MR"."""
    low, high = float(voxels.min()), float(voxels.max())
    return "CT" if low < -300 and 100 < high < 50000 else "MR"


def compact(voxels: np.ndarray) -> np.ndarray:
    """The same values in the smallest usual type: whole numbers as (u)int8, int16 or int32, all else as float32."""
    if voxels.dtype == bool:
        return voxels.astype(np.uint8)
    if voxels.dtype.kind not in "iu":
        return voxels.astype(np.float32, copy=False)
    if voxels.dtype.itemsize == 1:
        return voxels
    low, high = int(voxels.min()), int(voxels.max())
    for kind in (np.int16, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return voxels.astype(kind, copy=False)
    return voxels.astype(np.float32)


def _check_voxels(voxels: np.ndarray) -> None:
    if voxels.dtype.kind not in "iuf" or voxels.dtype.itemsize > 8 or voxels.dtype == np.float16:
        raise VolumeError(f"Voxels of type {voxels.dtype} cannot be used: store them as int16 or float32.")
    if voxels.dtype.kind == "f":
        bad = sum(voxels[:, :, k].size - int(np.isfinite(voxels[:, :, k]).sum()) for k in range(voxels.shape[2]))
        if bad:
            raise VolumeError(f"The image has {bad} voxels that are NaN or infinite: replace them with numbers first.")


def _check_affine(affine: np.ndarray) -> None:
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or not np.array_equal(affine[3], (0, 0, 0, 1)):
        raise VolumeError("The image's position in the patient is not a finite 4 x 4 matrix: repair its header.")
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    if sizes.min() < 1e-6 or abs(np.linalg.det(affine[:3, :3])) < 1e-3 * sizes.prod():
        raise VolumeError("The image's axes do not span three dimensions: repair the directions in its header.")


def _read_nifti(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Voxels and LPS affine. Not through ITK, which refuses or bends sheared sforms."""
    try:
        image = nibabel.Nifti1Image.from_filename(path)
        shape = image.shape
        while len(shape) > 3 and shape[-1] == 1:  # a time axis of one point is still a volume
            shape = shape[:-1]
        check_shape(shape)
        if image.get_data_dtype().kind not in "iuf":
            raise VolumeError(f"'{path.name}' has colours or complex numbers: give a volume with one value per voxel.")
        stored: Any = image.dataobj
        voxels = rescale(stored.get_unscaled().reshape(shape, order="F"), float(stored.slope), float(stored.inter))
    except InputError:
        raise
    except _NIFTI_FAILURES as error:
        raise _unreadable(path) from error
    unit = {"meter": 1000.0, "micron": 0.001}.get(image.header.get_xyzt_units()[0], 1.0)
    affine = np.diag([-unit, -unit, unit, 1.0]) @ image.affine  # NIfTI is RAS
    return voxels, affine


def rescale(raw: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """``raw * slope + intercept`` as `compact` stores it; whole numbers stay whole where they can."""
    if slope == 1.0 and intercept == 0.0:
        return compact(np.asarray(raw))
    if raw.dtype.kind in "iu" and slope.is_integer() and intercept.is_integer() and raw.dtype.itemsize <= 4:
        return compact(raw.astype(np.int64) * int(slope) + int(intercept))
    return (raw.astype(np.float64) * slope + intercept).astype(np.float32)


def _read_itk(path: Path) -> tuple[np.ndarray, np.ndarray]:
    refuse_foreign_data(path)
    reader = sitk.ImageFileReader()
    reader.SetImageIO(_IMAGE_IO[path.suffix.lower()])
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        if reader.GetNumberOfComponents() != 1:
            raise VolumeError(
                f"'{path.name}' has {reader.GetNumberOfComponents()} values per voxel (colour, vectors or time): "
                "give a volume with one value per voxel."
            )
        check_shape(tuple(reader.GetSize()))
        image = reader.Execute()
    except RuntimeError as error:
        raise _unreadable(path) from error
    return compact(sitk.GetArrayFromImage(image).T), itk_affine(image)


def itk_affine(image: sitk.Image) -> np.ndarray:
    """Index-to-LPS affine (4, 4) of a three-dimensional SimpleITK image, sheared directions included."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return affine


def refuse_foreign_data(path: Path) -> None:
    """Headers may name any file as their pixels: only one beside a detached header is read, so none reaches farther."""
    with path.open("rb") as file:
        head = file.read(_LONGEST_HEADER)
    if _IMAGE_IO[path.suffix.lower()] == "MetaImageIO":
        targets = re.findall(rb"(?m)^\s*ElementDataFile\s*[=:][ \t]*([^\r\n]*)", head)
        complete = bool(targets)
    else:
        header, *rest = re.split(rb"\r?\n\r?\n", head, maxsplit=1)
        targets = re.findall(rb"(?im)^data ?file\s*:[ \t]*([^\r\n]*)", header)
        complete = bool(targets or rest)
    if not complete:
        raise _unreadable(path)
    detached = path.suffix.lower() in (".nhdr", ".mhd")
    for target in targets:
        beside = detached and not re.search(rb"[/\\%]|\.\.|^LIST", target)
        if not beside and target.strip() != b"LOCAL":
            raise VolumeError(f"'{path.name}' keeps its voxels in another place: store header and voxels in one file.")


def _unreadable(path: Path) -> VolumeError:
    return VolumeError(f"'{path.name}' cannot be read: the file is damaged or not what its extension says.")
