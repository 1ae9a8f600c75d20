"""Going to a segment and dimming the others, on the real MRML library."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import slicer
from replies import reply_of
from scenes import HEART, LEFT, add_volume, affine_lps, oblique_ras, slice_view


@pytest.fixture
def modules(scene):
    from MedSIGHTLib import segments, showing

    return SimpleNamespace(segments=segments, showing=showing)


def test_show_segment_moves_the_slices_and_knows_when_it_is_gone(scene, modules):
    volume = add_volume(oblique_ras())
    node = slice_view()
    outlined = modules.segments.apply_segmentation(reply_of(["heart"], [HEART], affine_lps(oblique_ras())), volume)
    segment_id = outlined.segment_ids[3]
    outlined.node.GetDisplayNode().SetSegmentVisibility(segment_id, False)
    assert modules.showing.show_segment(outlined.node, segment_id)
    assert outlined.node.GetDisplayNode().GetSegmentVisibility(segment_id)
    middle = (oblique_ras() @ [16, 2, 1.5, 1])[:3]
    shown = [node.GetSliceToRAS().GetElement(row, 3) for row in range(3)]
    np.testing.assert_allclose(shown, middle, atol=2.5)
    outlined.node.GetSegmentation().RemoveSegment(segment_id)
    assert not modules.showing.show_segment(outlined.node, segment_id)


def test_the_camera_turns_around_the_segment_from_where_it_stands(scene, modules):
    volume = add_volume(oblique_ras())
    outlined = modules.segments.apply_segmentation(reply_of(["heart"], [HEART], affine_lps(oblique_ras())), volume)
    camera = scene.AddNewNodeByClass("vtkMRMLCameraNode")
    camera.SetPosition(0, 500, 0)
    camera.SetFocalPoint(0, 0, 0)
    assert modules.showing.show_segment(outlined.node, outlined.segment_ids[3])
    center = outlined.node.GetSegmentCenterRAS(outlined.segment_ids[3])
    np.testing.assert_allclose(camera.GetFocalPoint(), center)
    np.testing.assert_allclose(np.subtract(camera.GetPosition(), camera.GetFocalPoint()), (0, 500, 0), atol=1e-9)
    scene.RemoveNode(camera)


def test_spotlight_dims_the_others_and_gives_their_own_opacity_back(scene, modules):
    volume = add_volume(oblique_ras())
    reply = reply_of(["heart", "left lung"], [HEART, LEFT], affine_lps(oblique_ras()))
    outlined = modules.segments.apply_segmentation(reply, volume)
    heart, lung, display = outlined.segment_ids[3], outlined.segment_ids[4], outlined.node.GetDisplayNode()
    display.SetSegmentOpacity3D(lung, 0.6)
    spotlight = modules.showing.Spotlight()
    spotlight.turn_to(outlined.node, heart)
    spotlight.turn_to(outlined.node, heart)
    assert display.GetSegmentOpacity3D(heart) == 1.0
    assert display.GetSegmentOpacity3D(lung) == pytest.approx(0.09)
    assert display.GetSegmentOpacity2DFill(lung) < 0.2
    spotlight.off()
    assert display.GetSegmentOpacity3D(lung) == pytest.approx(0.6)
    assert display.GetSegmentOpacity2DFill(lung) == 1.0
    spotlight.turn_to(outlined.node, lung)
    slicer.mrmlScene.RemoveNode(outlined.node)
    spotlight.off()
