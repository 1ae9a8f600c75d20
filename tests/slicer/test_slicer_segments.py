"""Answers as segments, on the real MRML library: voxel for voxel, in place, and nobody's work lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import slicer
from replies import answer_of, box, reply_of
from scenes import (
    HEART,
    LEFT,
    RIGHT,
    SHAPE,
    add_volume,
    affine_lps,
    edit,
    masks_of,
    oblique_ras,
    segment_names,
    tag_of,
)

from medsight_core.client import Reply
from medsight_core.errors import InputError, ServerError
from medsight_core.imaging.segmentation_file import read_segmentation

AFFINE = affine_lps(oblique_ras())


@pytest.fixture
def segments(scene):
    from MedSIGHTLib import segments

    return segments


@pytest.fixture
def undo(scene):
    from MedSIGHTLib.undo import Undo

    return Undo()


@pytest.mark.parametrize("degrees", [0.0, 20.0])
def test_segments_are_voxel_for_voxel_those_of_the_file(segments, tmp_path, degrees):
    ijk_to_ras = oblique_ras(degrees)
    volume = add_volume(ijk_to_ras)
    reply = reply_of(["right lung", "left lung", "heart"], [RIGHT, LEFT, HEART], affine_lps(ijk_to_ras))
    outlined = segments.apply_segmentation(reply, volume)
    (tmp_path / "a.seg.nrrd").write_bytes(reply.segmentation)
    stored = {segment.label: segment for segment in read_segmentation(tmp_path / "a.seg.nrrd").segments}
    found = masks_of(outlined, volume)
    assert set(found) == set(stored) == {3, 4, 5}
    for label, mask in found.items():
        assert np.array_equal(mask, stored[label].mask)
        segment = outlined.node.GetSegmentation().GetSegment(outlined.segment_ids[label])
        assert segment.GetName() == stored[label].name
        np.testing.assert_allclose(segment.GetColor(), stored[label].color, atol=1e-4)
        for tag, value in stored[label].tags.items():
            assert tag_of(segment, tag) == value
        assert tag_of(segment, "MedSIGHT.Name") == stored[label].name
        assert segment.HasTerminology()
    assert (found[3] & found[4]).any(), "the case must contain an overlap"
    assert outlined.node.GetNodeReference(outlined.node.GetReferenceImageGeometryReferenceRole()) is volume


def test_asking_again_replaces_what_is_named_and_leaves_the_rest(segments):
    affine = affine_lps(oblique_ras())
    volume = add_volume(oblique_ras())
    first = segments.apply_segmentation(
        reply_of(["right lung", "heart", "left lung"], [RIGHT, HEART, LEFT], affine), volume
    )
    segmentation = first.node.GetSegmentation()
    segmentation.AddEmptySegment("mine", "my own")
    smaller = box(SHAPE, (3, 5), (3, 5), (3, 5))
    second = segments.apply_segmentation(reply_of(["heart", "liver"], [smaller, LEFT], affine), volume)
    assert second.node is first.node
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1
    assert second.segment_ids[3] == first.segment_ids[4], "a replaced segment keeps its id and place"
    names = [segmentation.GetNthSegment(n).GetName() for n in range(segmentation.GetNumberOfSegments())]
    assert names == ["right lung", "heart", "left lung", "my own", "liver"]
    now = masks_of(first, volume)
    assert np.array_equal(now[3], RIGHT)
    assert np.array_equal(now[4], smaller)
    assert np.array_equal(now[5], LEFT)
    assert np.array_equal(masks_of(second, volume)[4], LEFT)


def test_renamed_segment_is_kept(segments):
    affine = affine_lps(oblique_ras())
    volume = add_volume(oblique_ras())
    first = segments.apply_segmentation(reply_of(["heart"], [HEART], affine), volume)
    first.node.GetSegmentation().GetSegment(first.segment_ids[3]).SetName("heart, corrected")
    second = segments.apply_segmentation(reply_of(["heart"], [RIGHT], affine), volume)
    assert second.kept == ()
    assert np.array_equal(masks_of(first, volume)[3], HEART)
    assert np.array_equal(masks_of(second, volume)[3], RIGHT)


def test_two_regions_of_one_name_become_two_segments_and_later_one(segments):
    affine = affine_lps(oblique_ras())
    volume = add_volume(oblique_ras())
    segments.apply_segmentation(reply_of(["nodule", "nodule"], [RIGHT, HEART], affine), volume)
    outlined = segments.apply_segmentation(reply_of(["nodule"], [LEFT], affine), volume)
    assert outlined.node.GetSegmentation().GetNumberOfSegments() == 1
    assert np.array_equal(masks_of(outlined, volume)[3], LEFT)


def test_segments_can_be_saved_and_come_back_as_they_were(segments, tmp_path):
    affine = affine_lps(oblique_ras())
    volume = add_volume(oblique_ras())
    segments.apply_segmentation(reply_of(["right lung", "left lung"], [RIGHT, LEFT], affine), volume)
    node = segments.apply_segmentation(reply_of(["right lung"], [HEART], affine), volume).node
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(tmp_path / "saved.seg.nrrd"))
    storage.SetCropToMinimumExtent(False)
    assert storage.WriteData(node)
    saved = {segment.name: segment.mask for segment in read_segmentation(tmp_path / "saved.seg.nrrd").segments}
    assert np.array_equal(saved["right lung"], HEART)
    assert np.array_equal(saved["left lung"], LEFT)


def test_two_volumes_have_a_segmentation_each(segments):
    affine = affine_lps(oblique_ras())
    one, two = add_volume(oblique_ras(), name="one"), add_volume(oblique_ras(), name="two")
    reply = reply_of(["heart"], [HEART], affine)
    first, second = segments.apply_segmentation(reply, one), segments.apply_segmentation(reply, two)
    assert first.node is not second.node
    assert segments.segmentation_of(one) is first.node
    assert segments.segmentation_of(two) is second.node


def test_segments_stay_on_a_volume_that_was_moved(segments):
    volume = add_volume(oblique_ras())
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    volume.SetAndObserveTransformNodeID(transform.GetID())
    outlined = segments.apply_segmentation(reply_of(["heart"], [HEART], affine_lps(oblique_ras())), volume)
    assert outlined.node.GetTransformNodeID() == transform.GetID()


def test_nothing_found_leaves_the_scene_untouched(segments):
    volume = add_volume(oblique_ras())
    assert segments.apply_segmentation(Reply(answer_of([], [], absent=["liver"])), volume) is None
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def _other_grid(reply):
    return reply_of(["heart"], [HEART], affine_lps(oblique_ras(21)))


def _flip(content: bytes) -> bytes:
    return content[:-20] + bytes([content[-20] ^ 1]) + content[-19:]


def _other_labels(reply):
    region = replace(reply.answer.regions[0], label=9)
    return replace(reply, answer=replace(reply.answer, regions=(region,)))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda reply: replace(reply, segmentation=b"nonsense"), "cannot be read: ask again"),
        (lambda reply: replace(reply, segmentation=reply.segmentation[:-40]), "cannot be read: ask again"),
        (lambda reply: replace(reply, segmentation=_flip(reply.segmentation)), "cannot be read: ask again"),
        (_other_labels, r"outlines have the labels \[3\] and its answer \[9\]"),
        (_other_grid, "do not lie on the chosen volume's voxels, so nothing was added"),
    ],
)
def test_bad_label_file_changes_nothing(segments, spoil, message):
    volume = add_volume(oblique_ras())
    reply = reply_of(["heart"], [HEART], affine_lps(oblique_ras()))
    segments.apply_segmentation(reply, volume)
    before = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(ServerError, match=message):
        segments.apply_segmentation(spoil(reply), volume)
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    node = segments.segmentation_of(volume)
    assert node.GetSegmentation().GetNumberOfSegments() == 1


def test_edited_segment_is_kept_and_the_new_one_gets_a_number(segments):
    volume = add_volume(oblique_ras())
    reply = reply_of(["heart", "left lung"], [HEART, LEFT], AFFINE)
    first = segments.apply_segmentation(reply, volume)
    mine = box(SHAPE, (14, 18), (1, 4), (1, 3))
    edit(first.node, first.segment_ids[3], volume, mine)
    second = segments.apply_segmentation(reply, volume)
    assert second.kept == ("heart",)
    assert segment_names(first.node) == ["heart", "left lung", "heart (2)"]
    assert np.array_equal(masks_of(first, volume)[3], mine)
    assert np.array_equal(masks_of(second, volume)[3], HEART)
    assert np.array_equal(masks_of(second, volume)[4], LEFT)
    third = segments.apply_segmentation(reply, volume)
    assert segment_names(first.node) == ["heart", "left lung", "heart (2)"], "the second one is the answer's own"
    assert third.segment_ids[3] == second.segment_ids[3]


def test_a_persons_own_segment_of_an_answered_name_is_kept(segments):
    volume = add_volume(oblique_ras())
    node = segments.apply_segmentation(reply_of(["left lung"], [LEFT], AFFINE), volume).node
    node.GetSegmentation().AddEmptySegment("mine", "heart")
    edit(node, "mine", volume, RIGHT)
    outlined = segments.apply_segmentation(reply_of(["heart"], [HEART], AFFINE), volume)
    assert outlined.kept == ("heart",)
    assert np.array_equal(slicer.util.arrayFromSegmentBinaryLabelmap(node, "mine", volume).T.astype(bool), RIGHT)


def test_edited_segment_is_replaced_when_told_to(segments):
    volume = add_volume(oblique_ras())
    reply = reply_of(["heart"], [HEART], AFFINE)
    first = segments.apply_segmentation(reply, volume)
    edit(first.node, first.segment_ids[3], volume, LEFT)
    second = segments.apply_segmentation(reply, volume, replace_edited=True)
    assert second.kept == ()
    assert segment_names(first.node) == ["heart"]
    assert np.array_equal(masks_of(second, volume)[3], HEART)


def test_saved_and_loaded_segments_are_known_as_edited_or_not(segments, tmp_path):
    """Slicer crops what it saves, which is no edit."""
    volume = add_volume(oblique_ras())
    node = segments.apply_segmentation(reply_of(["heart", "left lung"], [HEART, LEFT], AFFINE), volume).node
    edit(node, node.GetSegmentation().GetSegmentIdBySegmentName("left lung"), volume, RIGHT)
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(tmp_path / "saved.seg.nrrd"))
    storage.SetCropToMinimumExtent(True)
    assert storage.WriteData(node)
    loaded = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    assert storage.ReadData(loaded)
    segmentation = loaded.GetSegmentation()
    as_answered = {
        segmentation.GetNthSegment(n).GetName(): segments.is_as_answered(segmentation.GetNthSegment(n))
        for n in range(segmentation.GetNumberOfSegments())
    }
    assert as_answered == {"heart": True, "left lung": False}


@pytest.mark.parametrize("name", ["правое лёгкое", "右肺", "الرئة اليمنى", "फेफड़ा", "lung (2)", "a/b\\c.*[", "🫁"])
def test_names_in_any_script(segments, name):
    volume = add_volume(oblique_ras())
    reply = reply_of([name], [RIGHT], AFFINE)
    segments.apply_segmentation(reply, volume)
    outlined = segments.apply_segmentation(reply, volume)
    assert segment_names(outlined.node) == [name]
    edit(outlined.node, outlined.segment_ids[3], volume, LEFT)
    again = segments.apply_segmentation(reply, volume)
    assert segment_names(again.node) == [name, f"{name} (2)"]


def test_what_is_shown_in_3d_stays_in_3d(segments):
    volume = add_volume(oblique_ras())
    reply = reply_of(["heart", "left lung"], [HEART, LEFT], AFFINE)
    node = segments.apply_segmentation(reply, volume).node
    assert not node.GetSegmentation().ContainsRepresentation("Closed surface")
    node.CreateClosedSurfaceRepresentation()
    for names, masks in ((["heart"], [RIGHT]), (["heart", "left lung"], [HEART, LEFT])):
        outlined = segments.apply_segmentation(reply_of(names, masks, AFFINE), volume)
        for segment_id in outlined.segment_ids.values():
            surface = node.GetClosedSurfaceInternalRepresentation(segment_id)
            assert surface.GetNumberOfPoints() > 0


def test_segments_of_one_layer_that_stay_keep_their_voxels(segments):
    volume = add_volume(oblique_ras())
    first = segments.apply_segmentation(reply_of(["heart", "left lung"], [HEART, LEFT], AFFINE), volume)
    assert first.node.GetSegmentation().GetNumberOfLayers() == 1
    segments.apply_segmentation(reply_of(["heart"], [box(SHAPE, (1, 2), (1, 2), (1, 2))], AFFINE), volume)
    assert np.array_equal(masks_of(first, volume)[4], LEFT)
    array = slicer.util.arrayFromSegmentInternalBinaryLabelmap(first.node, first.segment_ids[4])
    assert set(np.unique(array)) == {0, 4}, "nothing of the replaced one stays in the layer that they shared"


def test_one_step_back_for_each_answer(segments, undo):
    volume = add_volume(oblique_ras())
    first = segments.apply_segmentation(reply_of(["heart", "left lung"], [HEART, LEFT], AFFINE), volume, undo=undo)
    undo.saved(first.node)
    second = segments.apply_segmentation(reply_of(["heart", "right lung"], [LEFT, RIGHT], AFFINE), volume, undo=undo)
    undo.saved(first.node)
    assert not undo.can_redo(first.node)
    undo.undo(first.node)
    assert segment_names(first.node) == ["heart", "left lung"]
    assert np.array_equal(masks_of(first, volume)[3], HEART)
    assert segments.segmentation_of(volume) is first.node
    undo.redo(first.node)
    assert np.array_equal(masks_of(second, volume)[3], LEFT)
    assert segment_names(first.node) == ["heart", "left lung", "right lung"]
    undo.undo(first.node)
    undo.undo(first.node)
    assert segment_names(first.node) == []
    assert not undo.can_undo(first.node)
    with pytest.raises(InputError, match="no answer to undo: only those since the scene was opened"):
        undo.undo(first.node)


def test_undo_does_not_take_a_persons_work_along(segments, undo):
    volume = add_volume(oblique_ras())
    first = segments.apply_segmentation(reply_of(["heart", "left lung"], [HEART, LEFT], AFFINE), volume, undo=undo)
    undo.saved(first.node)
    edit(first.node, first.segment_ids[4], volume, RIGHT)
    with pytest.raises(InputError, match="Segments were changed by hand since the last answer"):
        undo.undo(first.node)
    assert np.array_equal(masks_of(first, volume)[4], RIGHT)
