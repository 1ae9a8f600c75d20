"""A segment as a mask on its volume's voxels, cropped to what it holds. MRML, no Qt; belongs to the scene's thread."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

_LABELMAP = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()


@dataclass(frozen=True, eq=False)
class Outline:
    """mask: bool (K, J, I), of the voxels from index ``first`` (k, j, i) of the volume on; never empty."""

    mask: np.ndarray = field(repr=False)
    first: tuple[int, int, int]


def outline_of(node: Any, segment_id: str, volume_node: Any) -> Outline | None:
    """The segment of a segmentation node; None when it is gone, empty or outside the volume.

    What a person has drawn on finer or coarser voxels is taken to those of the volume.
    """
    segment = node.GetSegmentation().GetSegment(segment_id) if node is not None else None
    image = segment.GetRepresentation(_LABELMAP) if segment is not None else None
    if image is None or image.IsEmpty():
        return None
    label, grid = segment.GetLabelValue(), _grid(volume_node)
    resample = slicer.vtkOrientedImageDataResample
    if not resample.DoGeometriesMatch(image, grid):
        image, label = slicer.vtkOrientedImageData(), 1  # of this segment alone: others may share its labelmap
        node.GetBinaryLabelmapRepresentation(segment_id, image)
        resample.ResampleOrientedImageToReferenceOrientedImage(image, grid, image, False)
    first, shape = image.GetExtent()[::2][::-1], image.GetDimensions()[::-1]
    mask = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(shape) == label
    return _cropped(mask, first, grid.GetDimensions()[::-1])


def _grid(volume_node: Any) -> slicer.vtkOrientedImageData:
    grid = slicer.vtkOrientedImageData()
    grid.SetDimensions(volume_node.GetImageData().GetDimensions())
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    grid.SetImageToWorldMatrix(matrix)
    return grid


def _cropped(mask: np.ndarray, first: tuple[int, ...], shape: tuple[int, ...]) -> Outline | None:
    """What of ``mask``, whose first voxel is ``first``, lies in a volume of this ``shape`` (all K, J, I)."""
    places = []
    for axis in range(3):  # one after the other, each on what the former left: most of a volume is empty
        other = tuple(n for n in range(3) if n != axis)
        filled = np.flatnonzero(mask.any(axis=other)) + first[axis]
        filled = filled[(filled >= 0) & (filled < shape[axis])]
        if not len(filled):
            return None
        low, high = int(filled[0]), int(filled[-1]) + 1
        mask = mask[(slice(None),) * axis + (slice(low - first[axis], high - first[axis]),)]
        places.append(low)
    k, j, i = places
    return Outline(mask.copy(), (k, j, i))  # of its own, so that the whole volume's mask can go
