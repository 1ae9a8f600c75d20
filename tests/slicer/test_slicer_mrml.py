"""Volumes out, planes out and segments in, on the real MRML library."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK
import slicer
import vtk
from replies import answer_of, box, reply_of

from medsight_core.client import Reply
from medsight_core.errors import InputError, ServerError, VolumeError
from medsight_core.imaging.plane import plane_for, sample
from medsight_core.imaging.segmentation_file import read_segmentation
from medsight_core.imaging.volume import read_volume

SHAPE = (20, 24, 16)  # (I, J, K)
RIGHT = box(SHAPE, (2, 10), (3, 12), (2, 9))
LEFT = box(SHAPE, (8, 15), (10, 20), (5, 12))  # overlaps RIGHT
HEART = box(SHAPE, (15, 18), (1, 4), (1, 3))


@pytest.fixture
def mrml(scene):
    from MedSIGHTLib import mrml

    return mrml


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


def masks_of(outlined, volume) -> dict[int, np.ndarray]:
    return {
        label: slicer.util.arrayFromSegmentBinaryLabelmap(outlined.node, segment_id, volume).T.astype(bool)
        for label, segment_id in outlined.segment_ids.items()
    }


@pytest.mark.parametrize("kind", [np.int16, np.uint8, np.float32, np.float64])
def test_exported_volume_is_the_same_voxels_in_the_same_place(mrml, tmp_path, kind):
    voxels = np.random.default_rng(1).normal(100, 50, SHAPE).astype(kind)
    volume = add_volume(oblique_ras(), voxels)
    path = mrml.export_volume(volume, tmp_path)
    image = SimpleITK.ReadImage(str(path))
    assert np.array_equal(SimpleITK.GetArrayFromImage(image).T, voxels)
    assert SimpleITK.GetArrayFromImage(image).dtype == kind
    read = read_volume(path)
    np.testing.assert_allclose(read.affine, affine_lps(oblique_ras()), atol=1e-9)
    assert volume.GetStorageNode() is None


@pytest.mark.parametrize("degrees", [0.0, 20.0])
def test_segments_are_voxel_for_voxel_those_of_the_file(mrml, tmp_path, degrees):
    ijk_to_ras = oblique_ras(degrees)
    volume = add_volume(ijk_to_ras)
    reply = reply_of(["right lung", "left lung", "heart"], [RIGHT, LEFT, HEART], affine_lps(ijk_to_ras))
    outlined = mrml.apply_segmentation(reply, volume)
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
            assert _tag(segment, tag) == value
        assert _tag(segment, "MedSIGHT.Name") == stored[label].name
        assert segment.HasTerminology()
    assert (found[3] & found[4]).any(), "the case must contain an overlap"
    assert outlined.node.GetNodeReference(outlined.node.GetReferenceImageGeometryReferenceRole()) is volume


def test_asking_again_replaces_what_is_named_and_leaves_the_rest(mrml):
    affine = affine_lps(oblique_ras())
    volume = add_volume(oblique_ras())
    first = mrml.apply_segmentation(
        reply_of(["right lung", "heart", "left lung"], [RIGHT, HEART, LEFT], affine), volume
    )
    segmentation = first.node.GetSegmentation()
    segmentation.AddEmptySegment("mine", "my own")
    smaller = box(SHAPE, (3, 5), (3, 5), (3, 5))
    second = mrml.apply_segmentation(reply_of(["heart", "liver"], [smaller, LEFT], affine), volume)
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


def test_renamed_segment_is_kept(mrml):
    affine = affine_lps(oblique_ras())
    volume = add_volume(oblique_ras())
    first = mrml.apply_segmentation(reply_of(["heart"], [HEART], affine), volume)
    first.node.GetSegmentation().GetSegment(first.segment_ids[3]).SetName("heart, corrected")
    second = mrml.apply_segmentation(reply_of(["heart"], [RIGHT], affine), volume)
    assert np.array_equal(masks_of(first, volume)[3], HEART)
    assert np.array_equal(masks_of(second, volume)[3], RIGHT)


def test_two_regions_of_one_name_become_two_segments_and_later_one(mrml):
    affine = affine_lps(oblique_ras())
    volume = add_volume(oblique_ras())
    mrml.apply_segmentation(reply_of(["nodule", "nodule"], [RIGHT, HEART], affine), volume)
    outlined = mrml.apply_segmentation(reply_of(["nodule"], [LEFT], affine), volume)
    assert outlined.node.GetSegmentation().GetNumberOfSegments() == 1
    assert np.array_equal(masks_of(outlined, volume)[3], LEFT)


def test_segments_can_be_saved_and_come_back_as_they_were(mrml, tmp_path):
    affine = affine_lps(oblique_ras())
    volume = add_volume(oblique_ras())
    mrml.apply_segmentation(reply_of(["right lung", "left lung"], [RIGHT, LEFT], affine), volume)
    node = mrml.apply_segmentation(reply_of(["right lung"], [HEART], affine), volume).node
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(tmp_path / "saved.seg.nrrd"))
    storage.SetCropToMinimumExtent(False)
    assert storage.WriteData(node)
    saved = {segment.name: segment.mask for segment in read_segmentation(tmp_path / "saved.seg.nrrd").segments}
    assert np.array_equal(saved["right lung"], HEART)
    assert np.array_equal(saved["left lung"], LEFT)


def test_two_volumes_have_a_segmentation_each(mrml):
    affine = affine_lps(oblique_ras())
    one, two = add_volume(oblique_ras(), name="one"), add_volume(oblique_ras(), name="two")
    reply = reply_of(["heart"], [HEART], affine)
    first, second = mrml.apply_segmentation(reply, one), mrml.apply_segmentation(reply, two)
    assert first.node is not second.node
    assert mrml.segmentation_of(one) is first.node
    assert mrml.segmentation_of(two) is second.node


def test_segments_stay_on_a_volume_that_was_moved(mrml):
    volume = add_volume(oblique_ras())
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    volume.SetAndObserveTransformNodeID(transform.GetID())
    outlined = mrml.apply_segmentation(reply_of(["heart"], [HEART], affine_lps(oblique_ras())), volume)
    assert outlined.node.GetTransformNodeID() == transform.GetID()


def test_nothing_found_leaves_the_scene_untouched(mrml):
    volume = add_volume(oblique_ras())
    assert mrml.apply_segmentation(Reply(answer_of([], [], absent=["liver"])), volume) is None
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
def test_bad_label_file_changes_nothing(mrml, spoil, message):
    volume = add_volume(oblique_ras())
    reply = reply_of(["heart"], [HEART], affine_lps(oblique_ras()))
    mrml.apply_segmentation(reply, volume)
    before = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(ServerError, match=message):
        mrml.apply_segmentation(spoil(reply), volume)
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    node = mrml.segmentation_of(volume)
    assert node.GetSegmentation().GetNumberOfSegments() == 1


def test_volumes_that_cannot_be_sent(mrml, tmp_path):
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    with pytest.raises(VolumeError, match="holds no voxels: load it again"):
        mrml.export_volume(empty, tmp_path)
    color = slicer.util.addVolumeFromArray(np.zeros((4, 5, 6, 3), np.uint8), nodeClassName="vtkMRMLVectorVolumeNode")
    with pytest.raises(VolumeError, match="has 3 values per voxel: choose a grey-value volume"):
        mrml.export_volume(color, tmp_path)
    bent = add_volume(oblique_ras())
    grid = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLGridTransformNode")
    grid.SetAndObserveTransformFromParent(slicer.vtkOrientedGridTransform())
    bent.SetAndObserveTransformNodeID(grid.GetID())
    with pytest.raises(VolumeError, match="under a transform that bends it: harden the transform"):
        mrml.export_volume(bent, tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(VolumeError, match="cannot be written to the temporary folder"):
        mrml.export_volume(add_volume(oblique_ras()), tmp_path / "file")


def test_ras_and_lps(mrml):
    points = np.array([[1.0, 2.0, 3.0], [0.0, -5.0, 7.0]])
    assert mrml.lps(points).tolist() == [[-1.0, -2.0, 3.0], [0.0, 5.0, 7.0]]
    assert np.array_equal(mrml.lps(mrml.lps(points)), points)


def red_slice(orientation: str = "Axial", at=(0.0, 0.0, 0.0)):
    node = slicer.vtkMRMLSliceNode()
    node.SetSingletonTag("Red")
    node.SetName("Red")
    node.SetLayoutName("Red")
    node = slicer.mrmlScene.AddNode(node)
    for name in ("Axial", "Sagittal", "Coronal"):
        node.AddSliceOrientationPreset(name, _preset(name))
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


@pytest.mark.parametrize(
    ("orientation", "named"), [("Axial", "axial"), ("Sagittal", "sagittal"), ("Coronal", "coronal")]
)
def test_red_slice_shows_the_model_what_the_named_plane_would(mrml, tmp_path, orientation, named):
    """Against the imaging layer, the home of coordinates: same pixels for a volume along the patient's axes."""
    ijk_to_ras = np.diag([-1.0, -1.0, 1.0, 1.0])
    ijk_to_ras[:3, 3] = 12, 40, -7
    volume = add_volume(ijk_to_ras)
    index = np.array([6, 9, 11])
    node = red_slice(orientation, (ijk_to_ras @ [*index, 1])[:3])
    assert node.GetID() == mrml.RED_SLICE
    read = read_volume(mrml.export_volume(volume, tmp_path))
    axis = {"sagittal": 0, "coronal": 1, "axial": 2}[named]
    shown = plane_for(read, mrml.current_plane(volume))
    expected = plane_for(read, type(mrml.current_plane(volume))(named, index=int(index[axis])))
    np.testing.assert_allclose([*shown.right, *shown.down], [*expected.right, *expected.down], atol=1e-9)
    picture, reference = sample(read, shown), sample(read, expected)
    assert picture.shape[0] == picture.shape[1]
    assert np.array_equal(
        np.sort(picture[picture != read.background]), np.sort(reference[reference != read.background])
    )


def test_oblique_slice_of_an_oblique_moved_volume_meets_the_right_voxels(mrml, tmp_path):
    """The bright voxel under the crosshair is in the plane, though volume, view and transform are all tilted."""
    voxels = np.zeros(SHAPE, np.float32)
    index = np.array([12, 7, 9])
    voxels[tuple(index)] = 1000
    volume = add_volume(oblique_ras(), voxels)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy([0.8, -0.6, 0, 5, 0.6, 0.8, 0, -9, 0, 0, 1, 14, 0, 0, 0, 1])
    transform.SetMatrixTransformToParent(matrix)
    volume.SetAndObserveTransformNodeID(transform.GetID())
    point = slicer.util.arrayFromVTKMatrix(matrix) @ oblique_ras() @ [*index, 1]
    node = red_slice("Axial", point[:3])
    tilt = vtk.vtkTransform()
    tilt.Concatenate(node.GetSliceToRAS())
    tilt.RotateX(25)
    node.GetSliceToRAS().DeepCopy(tilt.GetMatrix())
    node.UpdateMatrices()
    request = mrml.current_plane(volume)
    read = read_volume(mrml.export_volume(volume, tmp_path))
    plane = plane_for(read, request)
    picture = sample(read, plane, fill=0)
    assert picture.max() > 250
    brightest = plane.to_lps(*np.unravel_index(np.argmax(picture), picture.shape))
    assert np.linalg.norm(brightest - (read.affine @ [*index, 1])[:3]) < 0.7
    assert request.spacing == pytest.approx(0.7)


def test_flipped_and_turned_view_does_not_swap_left_and_right(mrml):
    volume = add_volume(np.diag([-1.0, -1.0, 1.0, 1.0]))
    node = red_slice("Axial", (-10, -12, 8))
    straight = mrml.slice_plane(node, volume)
    for flip in ((-1, 1, 1), (1, -1, 1), (-1, -1, 1), (1, 1, -1)):
        turned = vtk.vtkTransform()
        turned.Concatenate(node.GetSliceToRAS())
        turned.RotateZ(90)
        turned.Scale(*flip)
        view = slicer.vtkMRMLSliceNode()
        view.GetSliceToRAS().DeepCopy(turned.GetMatrix())
        seen = mrml.slice_plane(view, volume)
        for field in ("origin", "right", "down", "spacing", "shape"):
            assert getattr(seen, field) == pytest.approx(getattr(straight, field)), field
    assert straight.right == pytest.approx((1, 0, 0))
    assert straight.down == pytest.approx((0, 1, 0))


def test_red_slice_beside_the_volume_and_missing_red_slice(mrml):
    volume = add_volume(np.diag([-1.0, -1.0, 1.0, 1.0]))
    with pytest.raises(InputError, match="There is no red slice view: choose a layout with one"):
        mrml.current_plane(volume)
    red_slice("Axial", (0, 0, 500))
    with pytest.raises(InputError, match="red slice does not cut the chosen volume: scroll it into the volume"):
        mrml.current_plane(volume)


def test_huge_fine_plane_is_sent_coarser(mrml):
    volume = add_volume(np.diag([-0.001, -1.0, 1.0, 1.0]), np.zeros((2000, 30, 3), np.uint8))
    red_slice("Axial", (-1, -15, 1))
    request = mrml.current_plane(volume)
    assert max(request.shape) <= 1024
    assert request.spacing * request.shape[0] >= 29


def test_show_segment_moves_the_slices_and_knows_when_it_is_gone(mrml):
    volume = add_volume(oblique_ras())
    node = red_slice()
    outlined = mrml.apply_segmentation(reply_of(["heart"], [HEART], affine_lps(oblique_ras())), volume)
    segment_id = outlined.segment_ids[3]
    outlined.node.GetDisplayNode().SetSegmentVisibility(segment_id, False)
    assert mrml.show_segment(outlined.node, segment_id)
    assert outlined.node.GetDisplayNode().GetSegmentVisibility(segment_id)
    middle = (oblique_ras() @ [16, 2, 1.5, 1])[:3]
    shown = [node.GetSliceToRAS().GetElement(row, 3) for row in range(3)]
    np.testing.assert_allclose(shown, middle, atol=2.5)
    outlined.node.GetSegmentation().RemoveSegment(segment_id)
    assert not mrml.show_segment(outlined.node, segment_id)


def test_modality_comes_from_dicom_only(mrml):
    volume = add_volume(oblique_ras())
    assert mrml.modality_of(volume) is None
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(volume) or hierarchy.CreateItem(hierarchy.GetSceneItemID(), volume)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "CT")
    assert mrml.modality_of(volume) == "CT"
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "SEG")
    assert mrml.modality_of(volume) is None


def test_volume_state_follows_voxels_and_geometry(mrml):
    volume = add_volume(oblique_ras())
    before = mrml.volume_state(volume)
    assert mrml.volume_state(volume) == before
    slicer.util.arrayFromVolume(volume)[0, 0, 0] += 1
    slicer.util.arrayFromVolumeModified(volume)
    changed = mrml.volume_state(volume)
    volume.SetOrigin(1, 2, 3)
    assert len({before, changed, mrml.volume_state(volume)}) == 3


def _tag(segment, name: str) -> str:
    value = vtk.mutable("")
    assert segment.GetTag(name, value), name
    return str(value)
