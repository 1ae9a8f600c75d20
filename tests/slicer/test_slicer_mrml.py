"""Volumes out and planes out, on the real MRML library."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import SimpleITK
import slicer
import vtk
from scenes import SHAPE, add_volume, affine_lps, oblique_ras, slice_view

from medsight_core.errors import InputError, VolumeError
from medsight_core.imaging.grid import PatientOrder
from medsight_core.imaging.plane import plane_for, sample
from medsight_core.imaging.volume import Volume, read_volume
from medsight_core.protocol import PlaneRequest


@pytest.fixture
def mrml(scene):
    from MedSIGHTLib import mrml

    return mrml


def written(mrml, volume, folder):
    path = folder / "volume.nrrd"
    mrml.snapshot(volume).write(path)
    return path


@pytest.mark.parametrize("kind", [np.int16, np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_exported_volume_is_the_same_voxels_in_the_same_place(mrml, tmp_path, kind):
    voxels = np.random.default_rng(1).normal(100, 50, SHAPE).astype(kind)
    volume = add_volume(oblique_ras(), voxels)
    path = written(mrml, volume, tmp_path)
    image = SimpleITK.ReadImage(str(path))
    assert np.array_equal(SimpleITK.GetArrayFromImage(image).T, voxels)
    assert SimpleITK.GetArrayFromImage(image).dtype == kind
    read = read_volume(path)
    np.testing.assert_allclose(read.affine, affine_lps(oblique_ras()), atol=1e-9)
    assert volume.GetStorageNode() is None


def test_volumes_that_cannot_be_sent(mrml, tmp_path):
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    with pytest.raises(VolumeError, match="holds no voxels: load it again"):
        mrml.snapshot(empty)
    color = slicer.util.addVolumeFromArray(np.zeros((4, 5, 6, 3), np.uint8), nodeClassName="vtkMRMLVectorVolumeNode")
    with pytest.raises(VolumeError, match="has 3 values per voxel: choose a grey-value volume"):
        mrml.snapshot(color)
    bent = add_volume(oblique_ras())
    grid = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLGridTransformNode")
    grid.SetAndObserveTransformFromParent(slicer.vtkOrientedGridTransform())
    bent.SetAndObserveTransformNodeID(grid.GetID())
    with pytest.raises(VolumeError, match="under a transform that bends it: harden the transform"):
        mrml.snapshot(bent)
    (tmp_path / "file").touch()
    with pytest.raises(VolumeError, match="cannot be written to the temporary folder"):
        written(mrml, add_volume(oblique_ras()), tmp_path / "file")


def test_ras_and_lps(mrml):
    points = np.array([[1.0, 2.0, 3.0], [0.0, -5.0, 7.0]])
    assert mrml.lps(points).tolist() == [[-1.0, -2.0, 3.0], [0.0, 5.0, 7.0]]
    assert np.array_equal(mrml.lps(mrml.lps(points)), points)


@pytest.mark.parametrize(
    ("orientation", "named"), [("Axial", "axial"), ("Sagittal", "sagittal"), ("Coronal", "coronal")]
)
def test_red_slice_shows_the_model_what_the_named_plane_would(mrml, tmp_path, orientation, named):
    """Against the imaging layer, the home of coordinates: same pixels for a volume along the patient's axes."""
    ijk_to_ras = np.diag([-1.0, -1.0, 1.0, 1.0])
    ijk_to_ras[:3, 3] = 12, 40, -7
    volume = add_volume(ijk_to_ras)
    index = np.array([6, 9, 11])
    node = slice_view(orientation, (ijk_to_ras @ [*index, 1])[:3])
    assert mrml.orientation_of(mrml.slice_plane(node, volume)) == named
    read = read_volume(written(mrml, volume, tmp_path))
    axis = {"sagittal": 0, "coronal": 1, "axial": 2}[named]
    shown = plane_for(read, mrml.view_plane(volume, "Red"))
    expected = plane_for(read, type(mrml.view_plane(volume, "Red"))(named, index=int(index[axis])))
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
    node = slice_view("Axial", point[:3])
    tilt = vtk.vtkTransform()
    tilt.Concatenate(node.GetSliceToRAS())
    tilt.RotateX(25)
    node.GetSliceToRAS().DeepCopy(tilt.GetMatrix())
    node.UpdateMatrices()
    request = mrml.view_plane(volume, "Red")
    read = read_volume(written(mrml, volume, tmp_path))
    plane = plane_for(read, request)
    picture = sample(read, plane, fill=0)
    assert picture.max() > 250
    brightest = plane.to_lps(*np.unravel_index(np.argmax(picture), picture.shape))
    assert np.linalg.norm(brightest - (read.affine @ [*index, 1])[:3]) < 0.7
    assert request.spacing == pytest.approx(0.7)


def test_flipped_and_turned_view_does_not_swap_left_and_right(mrml):
    volume = add_volume(np.diag([-1.0, -1.0, 1.0, 1.0]))
    node = slice_view("Axial", (-10, -12, 8))
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


def test_red_slice_beside_the_volume_and_missing_slice_view(mrml):
    volume = add_volume(np.diag([-1.0, -1.0, 1.0, 1.0]))
    with pytest.raises(InputError, match="There is no red slice view: choose a layout with one"):
        mrml.view_plane(volume, "Red")
    slice_view("Axial", (0, 0, 500))
    with pytest.raises(InputError, match="red slice does not cut the chosen volume: scroll it into the volume"):
        mrml.view_plane(volume, "Red")


def test_huge_fine_plane_is_sent_coarser(mrml):
    volume = add_volume(np.diag([-0.001, -1.0, 1.0, 1.0]), np.zeros((2000, 30, 3), np.uint8))
    slice_view("Axial", (-1, -15, 1))
    request = mrml.view_plane(volume, "Red")
    assert max(request.shape) <= 1024
    assert request.spacing * request.shape[0] >= 29


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


def test_content_of_a_snapshot_is_what_counts(mrml):
    volume, twin = add_volume(oblique_ras()), add_volume(oblique_ras(), name="twin")
    taken = mrml.snapshot(volume)
    assert taken.content() == mrml.snapshot(twin).content()
    slicer.util.arrayFromVolume(volume)[0, 0, 0] += 1
    assert taken.content() != mrml.snapshot(twin).content()
    twin.SetOrigin(1, 2, 3)
    assert mrml.snapshot(twin).content() != taken.content()


def test_snapshot_outlives_the_volumes_voxels(mrml):
    volume = add_volume(oblique_ras())
    taken = mrml.snapshot(volume)
    content = taken.content()
    slicer.util.updateVolumeFromArray(volume, np.ones((40, 60, 80), np.int16))
    slicer.mrmlScene.RemoveNode(volume)
    del volume
    assert taken.content() == content


def test_slice_views_are_those_of_the_layout(mrml):
    assert mrml.slice_views(slicer.mrmlScene) == ()
    for name in ("Slice4", "Green", "Red"):
        slice_view("Axial", name=name)
    assert mrml.slice_views(slicer.mrmlScene) == ("Red", "Green", "Slice4")


@pytest.mark.parametrize("name", ["Red", "Yellow", "Green"])
def test_each_view_has_its_own_plane(mrml, name):
    volume = add_volume(np.diag([-1.0, -1.0, 1.0, 1.0]))
    slice_view("Axial", (-10, -12, 8), "Red")
    slice_view("Sagittal", (-10, -12, 8), "Yellow")
    slice_view("Coronal", (-10, -12, 8), "Green")
    expected = {"Red": "axial", "Yellow": "sagittal", "Green": "coronal"}[name]
    assert mrml.orientation_of(mrml.view_plane(volume, name)) == expected
    with pytest.raises(InputError, match="There is no slice4 slice view"):
        mrml.view_plane(volume, "Slice4")


@pytest.mark.parametrize("degrees", [0, 20, 40])
@pytest.mark.parametrize("axes", list(permutations(range(3))))
def test_slices_are_counted_as_the_server_counts_them(mrml, degrees, axes):
    affine = oblique_ras(degrees)[:, [*axes, 3]]
    volume = add_volume(affine)
    order = PatientOrder.of(affine_lps(affine))
    for orientation, axis in zip(("sagittal", "coronal", "axial"), order.axes):
        assert mrml.slice_count(volume, orientation) == SHAPE[axis]
        stored = Volume(np.zeros(SHAPE), affine_lps(affine), "CT")
        plane = plane_for(stored, PlaneRequest(orientation, 3))
        center = mrml.lps(mrml.slice_center(volume, orientation, 3))
        assert plane.normal @ (center - plane.origin) == pytest.approx(0, abs=1e-6)
