"""Volumes whose contents are known everywhere in patient space, in every way that scanners and files store them."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path
from typing import Callable, Iterator, Sequence

import numpy as np
import pydicom
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from scipy.spatial.transform import Rotation

from medsight_core.imaging.volume import Volume

Undo = Callable[[np.ndarray], np.ndarray]


def affine_of(
    spacing: Sequence[float] = (1, 1, 1),
    degrees: Sequence[float] = (0, 0, 0),
    origin: Sequence[float] = (0, 0, 0),
    tilt: float = 0.0,
) -> np.ndarray:
    """LPS affine: rotated by Euler angles; ``tilt`` shears the k axis along j as a tilted gantry does."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix() @ np.diag(np.asarray(spacing, float))
    affine[:3, 2] += tilt * affine[:3, 1]
    affine[:3, 3] = origin
    return affine


def linear(points: np.ndarray) -> np.ndarray:
    """A known function of patient coordinates (..., 3) that trilinear interpolation reproduces exactly."""
    return points @ np.array([2.0, -3.0, 0.5]) + 7.0


def voxel_centres(volume: Volume) -> np.ndarray:
    """LPS coordinates (I, J, K, 3)."""
    index = np.moveaxis(np.indices(volume.shape), 0, -1)
    return index @ volume.affine[:3, :3].T + volume.affine[:3, 3]


def linear_volume(shape: tuple[int, int, int], affine: np.ndarray, modality: str = "MR") -> Volume:
    """`linear` at every voxel centre, float64."""
    empty = Volume(np.zeros(shape), affine, modality)
    return Volume(linear(voxel_centres(empty)), affine, modality)


def all_storages(volume: Volume) -> Iterator[tuple[Volume, Undo]]:
    """The same data in all 48 orders and directions of its axes, each with the way back to the given order."""
    for order, flips in product(permutations(range(3)), product((False, True), repeat=3)):
        stored_axes = [axis for axis in range(3) if flips[axis]]
        to_source = np.zeros((4, 4))
        to_source[3, 3] = 1
        for axis, source in enumerate(order):
            to_source[source, axis] = -1 if flips[axis] else 1
            to_source[source, 3] = volume.shape[source] - 1 if flips[axis] else 0
        voxels = np.ascontiguousarray(np.flip(volume.voxels.transpose(order), stored_axes))

        def undo(array: np.ndarray, order: tuple = order, stored_axes: list = stored_axes) -> np.ndarray:
            return np.flip(array, stored_axes).transpose(np.argsort(order))

        yield Volume(voxels, volume.affine @ to_source, volume.modality), undo


def write_dicom_series(
    folder: Path, voxels: np.ndarray, affine: np.ndarray, number: int = 1, name: str = "s", **tags: object
) -> list[Path]:
    """Write int16 voxels (I, J, K) as CT slices stored unsigned with intercept -1024; files in reversed order."""
    folder.mkdir(parents=True, exist_ok=True)
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    paths = []
    for k in range(voxels.shape[2]):
        slice_ = pydicom.Dataset()
        slice_.SOPClassUID, slice_.SOPInstanceUID = CTImageStorage, generate_uid()
        slice_.StudyInstanceUID, slice_.SeriesInstanceUID, slice_.FrameOfReferenceUID = study, series, frame
        slice_.Modality, slice_.SeriesNumber, slice_.InstanceNumber = "CT", number, k + 1
        slice_.PatientName, slice_.PatientID = "Test^Patient", "0"
        slice_.Columns, slice_.Rows = voxels.shape[0], voxels.shape[1]
        slice_.PixelSpacing = [float(spacing[1]), float(spacing[0])]
        slice_.ImageOrientationPatient = [*(affine[:3, 0] / spacing[0]), *(affine[:3, 1] / spacing[1])]
        slice_.ImagePositionPatient = [float(f"{x:.6f}") for x in affine[:3, 2] * k + affine[:3, 3]]
        slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
        slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit, slice_.PixelRepresentation = 16, 16, 15, 0
        slice_.RescaleSlope, slice_.RescaleIntercept = 1, -1024
        slice_.PixelData = (voxels[:, :, k].T.astype(np.int32) + 1024).astype(np.uint16).tobytes()
        for key, value in tags.items():
            setattr(slice_, key, value)
        slice_.file_meta = pydicom.dataset.FileMetaDataset()
        slice_.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        paths.append(folder / f"{name}{voxels.shape[2] - k:04d}")
        slice_.save_as(paths[-1], enforce_file_format=True)
    return paths
