"""A picture of an outline: the plane of the volume that shows most of it, in the display that people know.

numpy and VTK, no scene. Everything is in LPS millimetres, so a tilted or sheared volume is drawn as the patient lies.
"""

from __future__ import annotations

from itertools import product
from typing import Sequence

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from MedSIGHTLib.mrml import FRAMES
from MedSIGHTLib.report_page import KeyImage

_SIDE = 384  # pixels of the longer side
_SAMPLES = 50_000  # voxels of an outline that are enough to choose a plane by
_FILL = 0.25  # of the outline's colour over the picture
_ORIENTATIONS = ("sagittal", "coronal", "axial")  # of planes across L, P and S


def key_image(
    voxels: np.ndarray,
    mask: np.ndarray,
    affine: np.ndarray,
    first: tuple[int, int, int],
    window: tuple[float, float],
    color: Sequence[float],
) -> KeyImage:
    """Draw a bool ``mask`` (K, J, I), not empty, whose first voxel has the index ``first`` (k, j, i) in ``voxels``.

    voxels: (K, J, I). affine: (4, 4), voxel index (I, J, K) to LPS mm. window: the values that are black and white.
    color: red, green, blue in 0..1.
    """
    axis, place = _best_plane(mask, affine, first)
    plane, size = _grid(voxels.shape, affine, axis, place)
    to_index = np.linalg.inv(affine) @ plane
    low, high = window
    grey = np.clip((_slice(voxels, (0, 0, 0), to_index, size, True, low) - low) / max(high - low, 1e-6), 0, 1)
    inside = _slice(mask.astype(np.uint8), first, to_index, size, False, 0) > 0
    opacity = np.where(inside, _FILL, 0.0) + np.where(_edge(inside), 1 - _FILL, 0.0)
    pixels = grey[..., None] * (1 - opacity[..., None]) + np.clip(color, 0, 1) * opacity[..., None]
    return KeyImage(_png(np.round(255 * pixels).astype(np.uint8)), _ORIENTATIONS[axis])


def _best_plane(mask: np.ndarray, affine: np.ndarray, first: tuple[int, int, int]) -> tuple[int, float]:
    """Across which patient axis (0 L, 1 P, 2 S) most of the outline's voxels lie in one plane, and where, millimetres.

    Voxels and not their area: across thick slices a picture shows little, however far it reaches.
    """
    places = np.flatnonzero(mask)
    places = places[:: len(places) // _SAMPLES + 1]
    indexes = np.stack(np.unravel_index(places, mask.shape), axis=1) + first
    points = indexes[:, ::-1] @ affine[:3, :3].T + affine[:3, 3]
    best = (0, 0, 0.0)
    for axis in (2, 1, 0):  # of equal ones the axial plane
        thickness = np.abs(affine[axis, :3]).sum()  # of one voxel along the axis
        slabs = np.floor((points[:, axis] - points[:, axis].min()) / thickness + 0.5).astype(int)
        counts = np.bincount(slabs)
        if counts.max() > best[0]:
            place = float(points[slabs == np.argmax(counts), axis].mean())
            best = (counts.max(), axis, place)
    return best[1:]


def _grid(shape: tuple[int, ...], affine: np.ndarray, axis: int, place: float) -> tuple[np.ndarray, tuple[int, int]]:
    """(4, 4) from pixel (column, row, 0) to LPS for a picture that covers the volume, and its columns and rows."""
    right, down = np.array(FRAMES[axis])
    corners = np.array(list(product(*((-0.5, count - 0.5) for count in shape[::-1]))))
    points = corners @ affine[:3, :3].T + affine[:3, 3]
    low, high = (extreme(points @ np.stack([right, down]).T, axis=0) for extreme in (np.min, np.max))
    spacing = float((high - low).max()) / _SIDE
    plane = np.eye(4)
    plane[:3, 0], plane[:3, 1] = right * spacing, down * spacing
    plane[:3, 2] = np.cross(right, down)
    plane[:3, 3] = right * (low[0] + spacing / 2) + down * (low[1] + spacing / 2)
    plane[axis, 3] = place
    columns, rows = (max(round(float(extent) / spacing), 1) for extent in high - low)
    return plane, (columns, rows)


def _slice(
    array: np.ndarray,
    first: tuple[int, int, int],
    to_index: np.ndarray,
    size: tuple[int, int],
    smooth: bool,
    outside: float,
) -> np.ndarray:
    """(rows, columns) of what ``array`` (K, J, I) holds on a plane; to_index: from pixel to voxel index (I, J, K)."""
    image = vtk.vtkImageData()
    k, j, i = first
    depth, height, width = array.shape
    image.SetExtent(i, i + width - 1, j, j + height - 1, k, k + depth - 1)
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(array).reshape(-1)))
    axes = vtk.vtkMatrix4x4()
    axes.DeepCopy(to_index.ravel())
    reslice = vtk.vtkImageReslice()
    reslice.SetInputData(image)
    reslice.SetResliceAxes(axes)
    reslice.SetOutputDimensionality(2)
    reslice.SetOutputOrigin(0, 0, 0)
    reslice.SetOutputSpacing(1, 1, 1)
    reslice.SetOutputExtent(0, size[0] - 1, 0, size[1] - 1, 0, 0)
    reslice.SetInterpolationMode(vtk.VTK_RESLICE_LINEAR if smooth else vtk.VTK_RESLICE_NEAREST)
    reslice.SetOutputScalarType(vtk.VTK_DOUBLE)
    reslice.SetBackgroundLevel(outside)
    reslice.Update()
    return vtk_to_numpy(reslice.GetOutput().GetPointData().GetScalars()).reshape(size[::-1])


def _edge(inside: np.ndarray) -> np.ndarray:
    """The pixels of a mask (rows, columns) that have a neighbour outside it."""
    around = np.pad(inside, 1)
    return inside & ~(around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:])


def _png(pixels: np.ndarray) -> bytes:
    """A PNG file of ``pixels`` (rows, columns, 3), uint8."""
    rows, columns, _ = pixels.shape
    image = vtk.vtkImageData()
    image.SetDimensions(columns, rows, 1)
    image.GetPointData().SetScalars(numpy_to_vtk(pixels[::-1].reshape(-1, 3)))  # VTK counts rows from the bottom
    writer = vtk.vtkPNGWriter()
    writer.WriteToMemoryOn()
    writer.SetInputData(image)
    writer.Write()
    return vtk_to_numpy(writer.GetResult()).tobytes()
