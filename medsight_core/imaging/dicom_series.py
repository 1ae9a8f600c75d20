"""A DICOM series as one array and affine.

Knows DICOM headers; geometry comes from the positions of the slices themselves, so a tilted gantry keeps its sheared
grid. No patient data leaves this module, not even in messages.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk  # noqa: N813
from pydicom.errors import InvalidDicomError

from medsight_core.errors import VolumeError
from medsight_core.imaging.volume import check_shape, compact

_TAGS = [
    "SeriesInstanceUID",
    "SeriesNumber",
    "Modality",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "BitsAllocated",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
]
_MODALITIES = {"CT": "CT", "MR": "MR", "US": "US", "CR": "XR", "DX": "XR", "XA": "XR", "RF": "XR", "MG": "XR"}
_UNEVEN = 0.01  # of the slice distance
_ROUNDING_MM = 0.01  # positions are decimal text, often with two decimals

Header = pydicom.Dataset


def read_series(folder: Path) -> tuple[np.ndarray, np.ndarray, str]:
    """Voxels (I, J, K) with rescale applied, LPS affine (4, 4) and modality of the largest series below ``folder``.

    The largest series is the one with most slices; of several equally large ones the first by SeriesNumber.
    Raises VolumeError with one sentence when there is none, or when its slices do not make one even volume.
    """
    headers = _pick_series(_headers(folder))
    if len(headers) == 1:
        _refuse_one(headers[0][1])
    headers, affine = _arrange(headers)
    first = headers[0][1]
    check_shape((int(first.Columns), int(first.Rows), len(headers)))
    voxels = compact(np.stack([_pixels(path, header) for path, header in headers], axis=-1))
    return voxels, affine, _MODALITIES.get(str(first.get("Modality", "")), "OT")


def refuse_single_file(path: Path) -> None:
    """Raise VolumeError when ``path`` is a DICOM file, saying to give its folder; return when it is not."""
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)
    except (InvalidDicomError, OSError, ValueError, EOFError):
        return
    _refuse_one(header)


def _refuse_one(header: Header) -> None:
    if _is_multiframe(header):
        raise VolumeError(
            "This is a multi-frame DICOM file, which is not supported yet: export it as single-frame slices or NIfTI."
        )
    raise VolumeError("A single DICOM slice is only one voxel thick: give the folder with all slices of the series.")


def _is_multiframe(header: Header) -> bool:
    return int(header.get("NumberOfFrames") or 1) > 1


def _headers(folder: Path) -> list[tuple[Path, Header]]:
    found: list[tuple[Path, Header]] = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "DICOMDIR"):
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)
        except (InvalidDicomError, OSError, ValueError, EOFError):
            continue  # a folder may hold other files too
        if "Rows" in header and "SeriesInstanceUID" in header:
            found.append((path, header))
    if not found:
        raise VolumeError(f"The folder '{folder.name}' holds no DICOM images: give the folder with the slices.")
    return found


def _pick_series(headers: list[tuple[Path, Header]]) -> list[tuple[Path, Header]]:
    series = defaultdict(list)
    for path, header in headers:
        series[str(header.SeriesInstanceUID)].append((path, header))

    def preference(uid: str) -> tuple[int, int, str]:
        return -len(series[uid]), int(series[uid][0][1].get("SeriesNumber") or 0), uid

    return series[min(series, key=preference)]


def _arrange(headers: list[tuple[Path, Header]]) -> tuple[list[tuple[Path, Header]], np.ndarray]:
    """The slices in order of position, and the affine that their positions define."""
    first = headers[0][1]
    for _, header in headers:
        if _is_multiframe(header):
            _refuse_one(header)
    try:
        positions = np.array([[float(x) for x in h.ImagePositionPatient] for _, h in headers])  # (K, 3)
        orientations = np.array([[float(x) for x in h.ImageOrientationPatient] for _, h in headers])  # (K, 6)
        spacings = np.array(
            [[float(x) for x in h.PixelSpacing] for _, h in headers]
        )  # (K, 2): rows apart, columns apart
    except (AttributeError, TypeError, ValueError):
        raise VolumeError(
            "The DICOM slices do not say where they lie in the patient: give a series with position, orientation and "
            "pixel spacing."
        ) from None
    if any(int(h.get("SamplesPerPixel", 1)) != 1 for _, h in headers):
        raise VolumeError("The DICOM series is in colour: give a series with one value per pixel.")
    same_size = all((h.Rows, h.Columns) == (first.Rows, first.Columns) for _, h in headers)
    if not same_size or np.ptp(orientations, axis=0).max() > 1e-3 or np.ptp(spacings, axis=0).max() > 1e-3:
        raise VolumeError(
            "The slices of the DICOM series differ in size, spacing or orientation: give a series of parallel slices."
        )
    right, down = orientations[0, :3], orientations[0, 3:]
    order = np.argsort(positions @ np.cross(right, down), kind="stable")
    positions = positions[order]
    step = _even_step(positions, np.cross(right, down))
    affine = np.eye(4)
    affine[:3, 0] = right * spacings[0, 1]
    affine[:3, 1] = down * spacings[0, 0]
    affine[:3, 2] = step
    affine[:3, 3] = positions[0]
    return [headers[k] for k in order], affine


def _even_step(positions: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """From one slice's position to the next, LPS millimetres (3,); VolumeError unless all steps agree."""
    gaps = np.diff(positions, axis=0)
    along = gaps @ normal
    if along.min() < 1e-3:
        raise VolumeError(
            "Two slices of the DICOM series lie at the same position, as with several phases or echoes in one series: "
            "export one of them alone."
        )
    typical = gaps[np.argsort(along)[len(along) // 2]]
    distance = float(np.linalg.norm(typical))
    worst = float(np.linalg.norm(gaps - typical, axis=1).max())
    if worst > max(_UNEVEN * distance, _ROUNDING_MM):
        raise VolumeError(
            f"The slices of the DICOM series are unevenly spaced ({along.min():.2f} to {along.max():.2f} mm): "
            "add the missing slices or resample the series."
        )
    return (positions[-1] - positions[0]) / len(gaps)


def _pixels(path: Path, header: Header) -> np.ndarray:
    """One slice (columns, rows) with rescale slope and intercept applied, through GDCM (all common compressions)."""
    if _is_cut_off(path, header):  # GDCM would return it with made-up pixels
        raise VolumeError("A slice of the DICOM series is cut off: copy or export the series again.")
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        pixels = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        raise VolumeError("A slice of the DICOM series cannot be decoded: export the series again.") from error
    return pixels.reshape(int(header.Rows), int(header.Columns)).T


def _is_cut_off(path: Path, header: Header) -> bool:
    """Whether the file is too short for the pixels that an uncompressed slice must have."""
    syntax = header.file_meta.get("TransferSyntaxUID")
    if syntax is None or syntax.is_compressed or syntax.is_deflated:
        return False
    return path.stat().st_size < int(header.Rows) * int(header.Columns) * int(header.get("BitsAllocated", 8)) // 8
