"""Segments as masks on their volume's voxels, on the real MRML library."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import slicer
import vtk
from replies import reply_of
from scenes import HEART, LEFT, RIGHT, SHAPE, add_volume, affine_lps, oblique_ras
from vtk.util.numpy_support import numpy_to_vtk


@pytest.fixture
def lib(scene):
    from MedSIGHTLib import outline, segments

    return SimpleNamespace(outline_of=outline.outline_of, apply=segments.apply_segmentation)


def whole(outline, shape=SHAPE) -> np.ndarray:
    """The mask (I, J, K) in the whole volume."""
    mask = np.zeros(shape[::-1], bool)
    part = tuple(slice(start, start + size) for start, size in zip(outline.first, outline.mask.shape))
    mask[part] = outline.mask
    return mask.T


def test_segments_are_told_apart_whether_they_share_a_layer_or_overlap(lib):
    volume = add_volume(oblique_ras())
    masks = dict(zip(("right lung", "left lung", "heart"), (RIGHT, LEFT, HEART)))
    outlined = lib.apply(reply_of(list(masks), list(masks.values()), affine_lps(oblique_ras())), volume)
    segmentation = outlined.node.GetSegmentation()
    assert segmentation.GetNumberOfLayers() == 2, "two share one, or nothing is proven"
    for name, mask in masks.items():
        outline = lib.outline_of(outlined.node, segmentation.GetSegmentIdBySegmentName(name), volume)
        np.testing.assert_array_equal(whole(outline), mask)
        assert outline.mask.shape == tuple(np.ptp(np.argwhere(mask.T), axis=0) + 1), "cropped"


def test_what_lies_outside_the_volume_is_left_out(lib):
    volume = add_volume(oblique_ras())
    outlined = lib.apply(reply_of(["heart"], [HEART], affine_lps(oblique_ras())), volume)
    segment = outlined.node.GetSegmentation().GetSegment(outlined.segment_ids[3])
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    image = slicer.vtkOrientedImageData()
    image.SetExtent(-3, SHAPE[0] + 1, -2, SHAPE[1] - 1, 1, SHAPE[2] + 5)
    image.SetImageToWorldMatrix(matrix)
    voxels = np.full(image.GetNumberOfPoints(), 3, np.uint8)
    image.GetPointData().SetScalars(numpy_to_vtk(voxels, deep=True))
    segment.AddRepresentation("Binary labelmap", image)
    segment.SetLabelValue(3)
    expected = np.ones(SHAPE, bool)
    expected[..., 0] = False
    np.testing.assert_array_equal(whole(lib.outline_of(outlined.node, outlined.segment_ids[3], volume)), expected)
    image.SetExtent(-3, -1, 0, 1, 0, 1)
    image.GetPointData().SetScalars(numpy_to_vtk(np.full(12, 3, np.uint8), deep=True))
    assert lib.outline_of(outlined.node, outlined.segment_ids[3], volume) is None


def test_segment_or_node_that_is_gone_has_none(lib):
    volume = add_volume(oblique_ras())
    outlined = lib.apply(reply_of(["heart"], [HEART], affine_lps(oblique_ras())), volume)
    assert lib.outline_of(outlined.node, "no such segment", volume) is None
    assert lib.outline_of(None, outlined.segment_ids[3], volume) is None
