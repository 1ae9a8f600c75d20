"""The same head is framed alike however much air a file stores around it, and however the grid is turned."""

from __future__ import annotations

import numpy as np
import pytest
from volume_builders import affine_of, all_storages, voxel_centres

from medsight_core.imaging.body import body_box
from medsight_core.imaging.plane import plane_for, plane_stack
from medsight_core.imaging.volume import Volume
from medsight_core.protocol import ORIENTATIONS, PlaneRequest

CENTRE, HALF = np.array([12.0, -30.0, 55.0]), np.array([20.0, 28.0, 24.0])  # of an ellipsoid, LPS millimetres


def head(shape: tuple[int, int, int], affine: np.ndarray, modality: str = "MR") -> Volume:
    """An ellipsoid of tissue in a grid whose centre it shares."""
    affine = affine.copy()
    affine[:3, 3] = CENTRE - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    inside = (((voxel_centres(Volume(np.zeros(shape), affine, modality)) - CENTRE) / HALF) ** 2).sum(-1) <= 1
    dark, bright = (-1000, 40) if modality == "CT" else (0, 100)
    return Volume(np.where(inside, bright, dark).astype(np.int16), affine, modality)


@pytest.mark.parametrize("modality", ["MR", "CT"])
@pytest.mark.parametrize(
    ("shape", "affine"),
    [
        ((50, 66, 58), affine_of()),
        ((90, 66, 80), affine_of()),
        ((100, 100, 90), affine_of(degrees=(10, -20, 30))),
        ((60, 40, 70), affine_of((1, 2, 1))),
        ((60, 70, 30), affine_of((1, 1, 2), tilt=0.4)),
    ],
)
def test_a_body_is_found_in_every_grid(modality, shape, affine):
    low, high = body_box(head(shape, affine, modality))
    np.testing.assert_allclose(low, CENTRE - HALF, atol=3)
    np.testing.assert_allclose(high, CENTRE + HALF, atol=3)


def test_specks_do_not_count():
    volume = head((90, 90, 90), affine_of())
    voxels = volume.voxels.copy()
    voxels[0, 0, 0] = voxels[-1, -1, -1] = 100
    np.testing.assert_array_equal(body_box(Volume(voxels, volume.affine, "MR")), body_box(volume))


def test_an_empty_volume_has_no_body_and_is_shown_whole():
    empty = Volume(np.zeros((9, 8, 7)), affine_of(), "MR")
    assert body_box(empty) is None
    assert plane_stack(empty, "axial", body=body_box(empty)) == plane_stack(empty, "axial")


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_planes_show_the_body_at_one_size_in_every_grid(orientation):
    seen = []
    for shape, affine in (
        ((50, 66, 58), affine_of()),
        ((120, 80, 70), affine_of()),
        ((100, 100, 90), affine_of(degrees=(10, -20, 30))),
    ):
        volume = head(shape, affine)
        stack = plane_stack(volume, orientation, body=body_box(volume))
        middle = stack.sample(volume, len(stack) // 2) > 50
        rows, cols = np.nonzero(middle)
        assert abs(rows.mean() - (stack.shape[0] - 1) / 2) < 1.5
        assert abs(cols.mean() - (stack.shape[1] - 1) / 2) < 1.5
        seen.append((middle.mean(), stack.shape[0]))
    fractions, sides = zip(*seen)
    assert max(fractions) - min(fractions) < 0.06 * max(fractions)
    assert max(sides) - min(sides) <= 3


def test_framed_planes_lie_on_voxels_and_are_the_same_in_every_storage_order():
    volume = head((50, 66, 58), affine_of())
    stack = plane_stack(volume, "axial", body=body_box(volume))
    whole = plane_stack(volume, "axial")
    offset = np.subtract(stack.first.origin, whole.first.origin)
    np.testing.assert_allclose(offset, np.rint(offset), atol=1e-9)
    assert len(stack) < len(whole)
    for stored, _ in all_storages(volume):
        other = plane_stack(stored, "axial", body=body_box(stored))
        assert other == stack


def test_a_slice_asked_by_number_is_framed_too_also_where_no_body_is():
    volume = head((50, 66, 58), affine_of())
    body = body_box(volume)
    stack = plane_stack(volume, "axial", body=body)
    for index in (0, 30, 57):
        plane = plane_for(volume, PlaneRequest("axial", index), body=body)
        assert plane.shape == stack.shape
        assert plane.origin[:2] == stack.first.origin[:2]
        assert plane.origin[2] == pytest.approx(volume.affine[2, 3] + index)


def test_a_body_outside_the_stored_slices_still_gives_a_plane():
    volume = head((50, 66, 58), affine_of())
    beyond = (CENTRE + 500, CENTRE + 510)
    assert len(plane_stack(volume, "axial", body=beyond)) == 1
