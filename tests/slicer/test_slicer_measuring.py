"""Diameters, volumes and means of outlines, against other ways of getting them, on grids that lie askew."""

from __future__ import annotations

import numpy as np
import pytest
import vtk
from scenes import oblique_ras
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

SHEARED = np.array([[1.2, 0.9, 0.0, 5], [0.0, 0.8, -0.6, 7], [0.1, 0.0, 3.0, -9], [0, 0, 0, 1]])
AFFINES = {"plain": np.eye(4), "stretched": np.diag([0.7, 0.7, 5, 1]), "oblique": oblique_ras(), "sheared": SHEARED}


@pytest.fixture
def measuring(medsight_module):
    from MedSIGHTLib import measuring

    return measuring


def surface(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """VTK's surface of a mask (K, J, I): its points in patient space, all of them."""
    padded = np.pad(mask, 1).astype(np.uint8)
    image = vtk.vtkImageData()
    image.SetDimensions(padded.shape[::-1])
    image.SetOrigin(-1, -1, -1)
    image.GetPointData().SetScalars(numpy_to_vtk(padded.ravel(), deep=True))
    mesh = vtk.vtkDiscreteMarchingCubes()
    mesh.SetInputData(image)
    mesh.SetValue(0, 1)
    mesh.Update()
    points = vtk_to_numpy(mesh.GetOutput().GetPoints().GetData()).astype(float)
    return points @ affine[:3, :3].T + affine[:3, 3]


def longest(points: np.ndarray) -> float:
    return max(float(np.linalg.norm(points - point, axis=1).max()) for point in points)


def blob(seed: int) -> np.ndarray:
    """(K, J, I); ragged, with holes, in several pieces, and up to the border."""
    rng = np.random.default_rng(seed)
    k, j, i = np.ogrid[-1:1:13j, -1:1:17j, -1:1:15j]
    radii = rng.uniform(0.4, 1.3, 3)
    ball = (k / radii[0]) ** 2 + (j / radii[1]) ** 2 + (i / radii[2]) ** 2 < rng.uniform(0.4, 1)
    return ball & (rng.random(ball.shape) < 0.8)


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
@pytest.mark.parametrize("seed", range(4))
def test_diameter_is_that_of_the_surface_that_vtk_draws(measuring, affine, seed):
    expected = longest(surface(blob(seed), affine))
    assert measuring.largest_diameter(blob(seed), affine) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
def test_diameter_of_one_voxel_is_its_longest_edge(measuring, affine):
    mask = np.zeros((3, 4, 5), bool)
    mask[2, 0, 4] = True
    expected = np.linalg.norm(affine[:3, :3], axis=0).max()
    assert measuring.largest_diameter(mask, affine) == pytest.approx(expected)


def test_diameter_of_a_line_is_its_whole_length(measuring):
    mask = np.zeros((3, 9, 9), bool)
    mask[1, 2:8, 3] = True
    assert measuring.largest_diameter(mask, np.diag([0.5, 2.0, 4.0, 1.0])) == pytest.approx(12.0)


def test_diameter_does_not_depend_on_where_the_patient_lies_or_how_the_volume_is_stored(measuring):
    mask, affine = blob(7), oblique_ras()
    expected = measuring.largest_diameter(mask, affine)
    moved = affine.copy()
    moved[:3, 3] += 1e5
    assert measuring.largest_diameter(mask, moved) == pytest.approx(expected)
    assert measuring.largest_diameter(mask[:, ::-1], affine @ np.diag([1, -1, 1, 1])) == pytest.approx(expected)
    swapped = affine[:, [2, 1, 0, 3]]
    assert measuring.largest_diameter(mask.transpose(2, 1, 0), swapped) == pytest.approx(expected)


def test_diameter_of_a_large_ball(measuring):
    axis = np.arange(-45, 46)
    mask = axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2 <= 44.3**2
    assert measuring.largest_diameter(mask, np.eye(4)) == pytest.approx(89, abs=0.7)


def test_empty_mask_has_no_measurements(measuring):
    mask = np.zeros((2, 3, 4), bool)
    assert measuring.measure(mask, np.zeros((2, 3, 4)), np.eye(4)) is None
    assert measuring.largest_diameter(mask, np.eye(4)) == 0.0


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
def test_volume_and_mean(measuring, affine):
    voxels = np.random.default_rng(1).integers(-1000, 3000, (13, 17, 15)).astype(np.int16)
    mask = blob(2)
    measured = measuring.measure(mask, voxels, affine)
    edges = affine[:3, :3].T
    assert measured.volume_ml == pytest.approx(mask.sum() * abs(np.cross(edges[0], edges[1]) @ edges[2]) / 1000)
    assert measured.mean == pytest.approx(voxels[mask].astype(float).mean())


def test_mask_may_begin_anywhere_in_the_volume(measuring):
    voxels = np.arange(24).reshape(2, 3, 4)
    measured = measuring.measure(np.ones((1, 1, 2), bool), voxels, np.eye(4), first=(1, 2, 2))
    assert measured.mean == 22.5


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_mean_of_what_is_no_number_is_none(measuring, value):
    voxels = np.full((2, 2, 2), value, np.float32)
    assert measuring.measure(np.ones((2, 2, 2), bool), voxels, np.eye(4)).mean is None


def test_mean_keeps_small_numbers_beside_large_ones(measuring):
    voxels = np.array([1e8, 1, -1e8, 0], np.float32).reshape(1, 1, 4)
    assert measuring.measure(np.ones((1, 1, 4), bool), voxels, np.eye(4)).mean == 0.25
