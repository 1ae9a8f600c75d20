"""What tests put into a scene: volumes on tilted grids, slice views, and looks at what came of it."""

from __future__ import annotations

import math

import numpy as np
import slicer
import vtk
from replies import box

SHAPE = (20, 24, 16)  # (I, J, K)
RIGHT = box(SHAPE, (2, 10), (3, 12), (2, 9))
LEFT = box(SHAPE, (8, 15), (10, 20), (5, 12))  # overlaps RIGHT
HEART = box(SHAPE, (15, 18), (1, 4), (1, 3))


def oblique_ras(degrees: float = 20.0) -> np.ndarray:
    """IJKToRAS of an anisotropic grid, turned about two axes."""
    a = math.radians(degrees)
    about_s = np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])
    about_l = np.array([[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])
    matrix = np.eye(4)
    matrix[:3, :3] = about_s @ about_l @ np.diag([-0.7, -0.9, 2.5])
    matrix[:3, 3] = 30, -20, 10
    return matrix


def add_volume(ijk_to_ras: np.ndarray, voxels: np.ndarray | None = None, name: str = "CT"):
    """``voxels`` (I, J, K)."""
    if voxels is None:
        voxels = np.random.default_rng(0).integers(-1000, 2000, SHAPE).astype(np.int16)
    return slicer.util.addVolumeFromArray(np.ascontiguousarray(voxels.T), ijk_to_ras, name)


def affine_lps(ijk_to_ras: np.ndarray) -> np.ndarray:
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ ijk_to_ras


def slice_view(orientation: str = "Axial", at=(0.0, 0.0, 0.0), name: str = "Red"):
    node = slicer.vtkMRMLSliceNode()
    node.SetSingletonTag(name)
    node.SetName(name)
    node.SetLayoutName(name)
    node = slicer.mrmlScene.AddNode(node)
    for preset in ("Axial", "Sagittal", "Coronal"):
        node.AddSliceOrientationPreset(preset, _preset(preset))
    node.SetOrientation(orientation)
    node.JumpSliceByCentering(*at)
    return node


def _preset(name: str) -> vtk.vtkMatrix3x3:
    """Slicer's default views: columns are the directions to the right, up and out of the screen, RAS."""
    rows = {
        "Axial": (-1, 0, 0, 0, 1, 0, 0, 0, 1),
        "Sagittal": (0, 0, 1, -1, 0, 0, 0, 1, 0),
        "Coronal": (-1, 0, 0, 0, 0, 1, 0, 1, 0),
    }
    matrix = vtk.vtkMatrix3x3()
    matrix.DeepCopy(rows[name])
    return matrix


def masks_of(outlined, volume) -> dict[int, np.ndarray]:
    return {
        label: slicer.util.arrayFromSegmentBinaryLabelmap(outlined.node, segment_id, volume).T.astype(bool)
        for label, segment_id in outlined.segment_ids.items()
    }


def tag_of(segment, name: str) -> str:
    value = vtk.mutable("")
    assert segment.GetTag(name, value), name
    return str(value)


def segment_names(node) -> list[str]:
    segmentation = node.GetSegmentation()
    return [segmentation.GetNthSegment(n).GetName() for n in range(segmentation.GetNumberOfSegments())]


def edit(node, segment_id: str, volume, mask: np.ndarray) -> None:
    """What a person does in the Segment Editor: other voxels (I, J, K)."""
    array = np.ascontiguousarray(mask.T.astype(np.uint8))
    slicer.util.updateSegmentBinaryLabelmapFromArray(array, node, segment_id, volume)
