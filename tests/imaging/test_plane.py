from __future__ import annotations

import re
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from volume_builders import affine_of, all_storages, linear, linear_volume

from medsight_core.errors import InputError
from medsight_core.imaging.plane import (
    Plane,
    PlaneStack,
    as_displayed,
    plane_for,
    plane_range,
    plane_stack,
    sample,
    voxels_on_plane,
)
from medsight_core.imaging.volume import Volume
from medsight_core.protocol import ORIENTATIONS, PlaneRange, PlaneRequest

SPACES = {
    "square voxels": affine_of((1, 1, 1), origin=(-5, 3, 100)),
    "thick slices": affine_of((0.8, 0.8, 3), origin=(-5, 3, 100)),
    "three spacings": affine_of((0.8, 1.1, 3), origin=(-5, 3, 100)),
    "oblique": affine_of((0.8, 1.1, 3), degrees=(10, 20, -15), origin=(-5, 3, 100)),
    "tilted gantry": affine_of((0.8, 0.8, 3), origin=(-5, 3, 100), tilt=1.2),
    "oblique and sheared": affine_of((0.8, 1.1, 3), degrees=(-30, 8, 40), origin=(-5, 3, 100), tilt=-0.9),
}
SHAPE = (14, 12, 9)


def pixels(plane: Plane) -> np.ndarray:
    rows, cols = np.mgrid[: plane.shape[0], : plane.shape[1]]
    return plane.to_lps(rows, cols)


def index_of(volume: Volume, points: np.ndarray) -> np.ndarray:
    inverse = np.linalg.inv(volume.affine)
    return points @ inverse[:3, :3].T + inverse[:3, 3]


def painted(stack: PlaneStack) -> np.ndarray:
    """`linear` at every pixel of a stack, as maps."""
    return np.stack([linear(pixels(plane)) for plane in stack.planes]).astype(np.float32)


# Display conventions


def test_left_is_left_and_letters_say_so():
    voxels = np.zeros((20, 20, 20), np.int16)
    voxels[15, 4, 17] = 100  # patient left, anterior, superior, in LPS storage
    volume = Volume(voxels, affine_of(), "MR")
    expected = {  # row and column of the bright voxel, letters at left, right, top, bottom
        "axial": ((4, 15), ("R", "L", "A", "P")),
        "coronal": ((2, 15), ("R", "L", "S", "I")),
        "sagittal": ((2, 4), ("A", "P", "S", "I")),
    }
    index = {"axial": 17, "coronal": 4, "sagittal": 15}
    for orientation, (place, letters) in expected.items():
        stack = plane_stack(volume, orientation)
        picture = stack.sample(volume, index[orientation])
        assert np.unravel_index(picture.argmax(), picture.shape) == place
        assert stack.first.edge_letters == letters


def test_planes_are_ordered_along_left_posterior_superior():
    for orientation, axis in (("sagittal", 0), ("coronal", 1), ("axial", 2)):
        for affine in SPACES.values():
            stack = plane_stack(Volume(np.zeros(SHAPE), affine, "MR"), orientation)
            assert stack.step[axis] > 0.99 * stack.distance
            assert np.cross(stack.step, stack.first.normal) == pytest.approx(0, abs=1e-9)


# Sampling


@pytest.mark.parametrize("affine", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_known_function_is_sampled_exactly_on_every_plane(affine: np.ndarray, orientation: str):
    volume = linear_volume(SHAPE, affine)
    stack = plane_stack(volume, orientation)
    seen = 0
    for n, plane in enumerate(stack.planes):
        picture = stack.sample(volume, n, fill=np.nan)
        index = index_of(volume, pixels(plane))
        inside = ((index >= 0) & (index <= np.array(SHAPE) - 1)).all(axis=-1)
        outside = ((index < -0.51) | (index > np.array(SHAPE) - 0.49)).any(axis=-1)
        np.testing.assert_allclose(picture[inside], linear(pixels(plane))[inside], atol=1e-4)
        assert np.isnan(picture[outside]).all()
        assert not np.isnan(picture[inside]).any()
        seen += int(inside.sum())
    assert seen > 300


@pytest.mark.parametrize("affine", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_maps_on_planes_come_back_to_every_voxel(affine: np.ndarray, orientation: str):
    volume = linear_volume(SHAPE, affine)
    stack = plane_stack(volume, orientation)
    back = stack.to_voxels(painted(stack), volume, fill=np.nan)
    assert back.shape == SHAPE
    assert back.dtype == np.float32
    assert not np.isnan(back).any()  # the stack covers the volume
    # Beyond the outermost pixel centres the edge value holds, so the last voxels may be off by half a pixel.
    exact = np.abs(back - volume.voxels) < 1e-4 * np.abs(volume.voxels).max()
    assert exact[1:-1, 1:-1, 1:-1].all()


@settings(max_examples=40, deadline=None)
@given(
    spacing=st.tuples(*[st.floats(0.5, 4)] * 3),
    degrees=st.tuples(*[st.floats(-180, 180)] * 3),
    tilt=st.floats(-0.6, 0.6),
    orientation=st.sampled_from(ORIENTATIONS),
)
def test_any_geometry_makes_the_round_trip(spacing: tuple, degrees: tuple, tilt: float, orientation: str):
    volume = linear_volume((7, 6, 5), affine_of(spacing, degrees, (10, -20, 30), tilt))
    stack = plane_stack(volume, orientation)
    back = stack.to_voxels(painted(stack), volume, fill=np.nan)
    inner = (slice(1, -1),) * 3
    np.testing.assert_allclose(back[inner], volume.voxels[inner], atol=1e-3 * np.abs(volume.voxels).max())


def test_all_48_storages_give_the_same_planes_and_take_back_the_same_masks():
    rng = np.random.default_rng(0)
    volume = Volume(rng.integers(-1000, 1000, (7, 8, 9)).astype(np.int16), SPACES["three spacings"], "CT")
    for orientation in ORIENTATIONS:
        stack = plane_stack(volume, orientation)
        pictures = np.stack([stack.sample(volume, n) for n in range(len(stack))])
        maps = rng.random(pictures.shape, np.float32)
        voxels = stack.to_voxels(maps, volume)
        storages = 0
        for stored, undo in all_storages(volume):
            other = plane_stack(stored, orientation)
            np.testing.assert_allclose(other.affine, stack.affine, atol=1e-9)
            np.testing.assert_array_equal(np.stack([other.sample(stored, n) for n in range(len(other))]), pictures)
            np.testing.assert_array_equal(undo(other.to_voxels(maps, stored)), voxels)
            storages += 1
        assert storages == 48


@pytest.mark.parametrize("affine", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_an_outline_is_what_exceeds_the_threshold_wherever_it_lies(affine: np.ndarray, orientation: str, monkeypatch):
    monkeypatch.setattr("medsight_core.imaging.plane._SLAB_VOXELS", 100)  # several slabs, even here
    rng = np.random.default_rng(0)
    volume = Volume(np.zeros(SHAPE), affine, "MR")
    stack = plane_stack(volume, orientation)
    for _ in range(5):
        maps = np.zeros((len(stack), *stack.shape), np.float32)
        low = [int(rng.integers(0, n)) for n in maps.shape]
        part = tuple(slice(start, start + int(rng.integers(1, 6))) for start in low)
        maps[part] = rng.random(maps[part].shape)
        expected = stack.to_voxels(maps, volume) > 0.5
        np.testing.assert_array_equal(stack.outline(maps, volume, 0.5), expected)
        softened = stack.soften(maps, volume, 0.1)
        np.testing.assert_array_equal(softened > 127.5, expected)
        np.testing.assert_allclose(
            softened / 255,
            np.where(stack.to_voxels(maps, volume) > 0.1, stack.to_voxels(maps, volume), 0),
            atol=1 / 255,
        )
    assert not stack.outline(np.zeros_like(maps), volume, 0.5).any()


def test_a_part_of_a_stack_is_the_same_planes():
    stack = plane_stack(Volume(np.zeros(SHAPE), SPACES["oblique"], "MR"), "axial")
    part = stack.part(slice(2, 5))
    assert part.planes == stack.planes[2:5]


def test_a_plane_settles_to_itself_however_it_was_computed():
    volume = Volume(np.zeros((64, 64, 40)), SPACES["three spacings"], "MR")
    stack = plane_stack(volume, "axial", body=((0.1, 3.3, 101.7), (30.3, 40.1, 180.9)))
    asked = plane_for(volume, PlaneRequest("axial", 12), body=((0.1, 3.3, 101.7), (30.3, 40.1, 180.9)))
    assert asked.settled() in [plane.settled() for plane in stack.planes]
    moved = replace(asked, origin=(asked.origin[0], asked.origin[1], asked.origin[2] + 1e-3))
    assert moved.settled() != asked.settled()


def test_planes_along_the_axes_are_exact_copies_there_and_back():
    voxels = np.random.default_rng(0).integers(-1000, 3000, (11, 13, 6)).astype(np.int16)
    affine = affine_of((0.7, 0.7, 2.5)) @ np.diag([-1, -1, 1, 1])
    affine = affine.astype(np.float32).astype(np.float64)  # as a header keeps it
    affine[0, 1] = 1e-6
    volume = Volume(voxels, affine, "CT")
    stack = plane_stack(volume, "axial", square=False)
    pictures = np.stack([stack.sample(volume, n) for n in range(len(stack))])
    np.testing.assert_array_equal(pictures, voxels[::-1, ::-1].transpose(2, 1, 0))
    np.testing.assert_array_equal(stack.to_voxels(pictures, volume), voxels)


def test_nearly_aligned_volumes_keep_planes_on_their_slices():
    volume = Volume(np.zeros((64, 64, 40)), affine_of((1, 1, 3), degrees=(0.03, 0.04, 0.0)), "MR")
    stack = plane_stack(volume, "axial")
    assert (len(stack), stack.shape, stack.distance) == (40, (64, 64), pytest.approx(3))
    index = index_of(volume, pixels(stack.plane(7)))
    np.testing.assert_allclose(index[..., 2], 7, atol=1e-6)
    turned = Volume(volume.voxels, affine_of((1, 1, 3), degrees=(5, 0, 0)), "MR")
    np.testing.assert_allclose(plane_stack(turned, "axial").first.normal, (0, 0, 1), atol=1e-12)


def test_a_square_stack_pads_evenly_and_an_unpadded_one_only_covers():
    volume = Volume(np.zeros((10, 20, 8)), affine_of((1, 1, 2)), "MR")
    assert plane_stack(volume, "axial", square=False).shape == (20, 10)
    assert plane_stack(volume, "coronal", square=False).shape == (16, 10)  # rows of 1 mm over 8 slices of 2 mm
    square = plane_stack(volume, "axial")
    assert square.shape == (20, 20)
    assert square.first.origin[0] == -5  # ten columns more, five on each side
    np.testing.assert_array_equal(np.flatnonzero(square.sample(volume, 3, fill=9)[0] == 0), range(5, 15))


def test_the_smaller_spacing_in_the_plane_becomes_the_pixel():
    volume = Volume(np.zeros((10, 20, 8)), affine_of((0.5, 0.9, 2.0)), "MR")
    assert [plane_stack(volume, o).first.spacing for o in ("axial", "coronal", "sagittal")] == [0.5, 0.5, 0.9]
    assert [plane_stack(volume, o).distance for o in ("axial", "coronal", "sagittal")] == [2.0, 0.9, 0.5]


def test_outside_the_volume_is_background():
    voxels = np.full((4, 6, 4), 50, np.int16)
    plane = plane_stack(Volume(voxels, affine_of(), "CT"), "axial").first
    assert sample(Volume(voxels, affine_of(), "CT"), plane)[0, 0] == 50  # the volume's darkest value
    voxels = voxels.copy()
    voxels[0, 0, 0] = -3024  # padding of a scanner
    assert sample(Volume(voxels, affine_of(), "CT"), plane)[0, 0] == -1024
    assert sample(Volume(voxels, affine_of(), "MR"), plane)[0, 0] == -3024
    assert sample(Volume(voxels, affine_of(), "CT"), plane, fill=7.5)[0, 0] == 7.5


def test_maps_do_not_reach_beyond_their_stack():
    small = Volume(np.zeros((4, 4, 4)), affine_of(origin=(3, 3, 3)), "MR")
    large = Volume(np.zeros((10, 10, 10)), affine_of(), "MR")
    stack = plane_stack(small, "coronal")
    reached = stack.to_voxels(np.ones((4, 4, 4), np.float32), large, fill=-1)
    assert (reached == 1).sum() == 64
    assert (reached[3:7, 3:7, 3:7] == 1).all()
    assert (reached == -1).sum() == 936
    with pytest.raises(ValueError, match=r"maps of shape \(3, 4, 4\) do not fit a stack of \(4, 4, 4\)"):
        stack.to_voxels(np.ones((3, 4, 4), np.float32), large)


def test_sampling_a_plane_touches_little():
    volume = Volume(np.zeros((256, 256, 200), np.int16), affine_of(degrees=(10, 5, 3)), "CT")
    plane = plane_for(volume, PlaneRequest("axial", 100))
    times = []
    for _ in range(5):
        start = time.process_time()
        sample(volume, plane, fill=0)
        times.append(time.process_time() - start)
    assert min(times) < 0.2  # seconds of processor time; about 10 ms on an idle core


# Requests


@pytest.mark.parametrize("affine", SPACES.values(), ids=SPACES)
def test_a_named_plane_goes_through_the_asked_slice(affine: np.ndarray):
    volume = linear_volume(SHAPE, affine)
    for orientation, axis in (("sagittal", 0), ("coronal", 1), ("axial", 2)):
        for index in (0, SHAPE[axis] // 2, SHAPE[axis] - 1):
            plane = plane_for(volume, PlaneRequest(orientation, index))
            centre = (np.array(SHAPE) - 1) / 2
            centre[axis] = index
            centre = affine[:3, :3] @ centre + affine[:3, 3]
            assert plane.normal @ (centre - plane.origin) == pytest.approx(0, abs=1e-9)
            assert plane.orientation == orientation


def test_an_index_counts_in_stored_order():
    volume = Volume(np.zeros((4, 5, 6)), affine_of((1, 1, 2)), "MR")
    for stored, _ in all_storages(volume):
        for orientation, axis in (("sagittal", 0), ("coronal", 1), ("axial", 2)):
            stored_axis = int(np.argmax(np.abs(stored.affine[axis, :3])))
            counting = Volume(np.indices(stored.shape)[stored_axis], stored.affine, "MR")
            plane = plane_for(counting, PlaneRequest(orientation, 1), square=False)
            assert (sample(counting, plane) == 1).all()


def test_an_aligned_named_plane_is_the_plane_of_the_stack():
    volume = Volume(np.zeros((10, 12, 8)), affine_of((1, 1, 2)) @ np.diag([-1, -1, -1, 1]), "MR")
    plane, of_stack = plane_for(volume, PlaneRequest("axial", 1)), plane_stack(volume, "axial").plane(6)
    np.testing.assert_allclose(plane.origin, of_stack.origin, atol=1e-9)
    assert (plane.right, plane.down, plane.shape) == (of_stack.right, of_stack.down, of_stack.shape)


@pytest.mark.parametrize("affine", SPACES.values(), ids=SPACES)
def test_a_range_goes_from_slice_to_slice(affine: np.ndarray):
    volume = linear_volume(SHAPE, affine)
    for orientation, axis in (("sagittal", 0), ("coronal", 1), ("axial", 2)):
        stack = plane_range(volume, PlaneRange(orientation, 2, 6))
        ends = [plane_for(volume, PlaneRequest(orientation, index)) for index in (2, 6)]
        assert len(stack) == 5
        assert stack.step[axis] > 0.99 * stack.distance
        np.testing.assert_allclose(
            sorted(plane.origin for plane in (stack.plane(0), stack.plane(4))),
            sorted(p.origin for p in ends),
            atol=1e-9,
        )


def test_a_range_fills_its_slices_and_no_others_however_many_planes_stand_for_it():
    volume = Volume(np.zeros((6, 7, 20)), affine_of((1, 1, 2)), "MR")
    for stored, _ in all_storages(volume):
        axis = int(np.argmax(np.abs(stored.affine[2, :3])))
        stack = plane_range(stored, PlaneRange("axial", 3, 12))
        for count in (10, 7, 3, 1):
            thinned = stack.spread(count)
            assert len(thinned) == count
            filled = thinned.to_voxels(np.ones((count, *stack.shape), np.float32), stored) > 0.5
            assert np.flatnonzero(filled.any(axis=tuple({0, 1, 2} - {axis}))).tolist() == list(range(3, 13))
            assert filled.sum() == 10 * 6 * 7


def test_a_range_ends_inside_the_volume():
    with pytest.raises(InputError, match=r"^There is no axial slice 9 in this volume: use 0 to 8\.$"):
        plane_range(Volume(np.zeros(SHAPE), affine_of(), "MR"), PlaneRange("axial", 4, 9))


def test_an_oblique_plane_is_taken_as_it_is():
    volume = linear_volume((20, 20, 20), affine_of())
    c = float(np.sqrt(0.5))
    request = PlaneRequest("oblique", origin=(4, 4, 4), right=(c, c, 0), down=(0, 0, 1), spacing=0.5, shape=(12, 10))
    plane = plane_for(volume, request)
    assert (plane.shape, plane.spacing, plane.orientation) == ((12, 10), 0.5, "oblique")
    np.testing.assert_allclose(sample(volume, plane), linear(pixels(plane)), atol=1e-4)


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (PlaneRequest("axial", 9), "There is no axial slice 9 in this volume: use 0 to 8."),
        (PlaneRequest("sagittal", -1), "There is no sagittal slice -1 in this volume: use 0 to 13."),
        (
            PlaneRequest("oblique", 0, (900, 0, 0), (1, 0, 0), (0, 1, 0), 1.0, (8, 8)),
            "The oblique plane does not meet the volume: give an origin in the patient's LPS millimetres.",
        ),
        (
            PlaneRequest("oblique", 0, (0, 0, 0), (1, 0, 0), (1, 1, 0), 1.0, (8, 8)),
            "The plane's axes (1, 0, 0) and (1, 1, 0) are not perpendicular unit vectors: normalise them.",
        ),
        (
            PlaneRequest("oblique", 0, (0, 0, 0), (1, 0, 0), (0, 1, 0), 0.0, (8, 8)),
            "A plane of 8 x 8 pixels of 0 mm cannot be used: give a positive size and spacing.",
        ),
        (PlaneRequest("upside"), "Unknown plane orientation 'upside': use axial, sagittal, coronal."),
    ],
)
def test_planes_that_do_not_exist_are_refused(request_: PlaneRequest, sentence: str):
    volume = Volume(np.zeros(SHAPE), affine_of((1, 1, 2)), "MR")
    with pytest.raises(InputError, match=re.escape(sentence)):
        plane_for(volume, request_)


# Voxels on a plane


def test_a_mask_on_a_slice_covers_exactly_that_slice():
    volume = Volume(np.zeros((10, 12, 8)), affine_of((0.7, 0.7, 3)), "MR")
    for stored, undo in all_storages(volume):
        axis = int(np.argmax(np.abs(stored.affine[2, :3])))
        plane = plane_for(stored, PlaneRequest("axial", 2))
        expected = np.zeros(stored.shape, bool)
        expected[tuple(2 if a == axis else slice(None) for a in range(3))] = True
        np.testing.assert_array_equal(voxels_on_plane(stored, plane, np.ones(plane.shape, bool)), expected)
        mask = pixels(plane)[..., 0] > 3.6  # patient left: columns with x > 3.6 mm are i = 6 .. 9
        covered = undo(voxels_on_plane(stored, plane, mask))
        assert covered.sum() == 4 * 12
        assert covered[6:].sum() == 4 * 12


def test_a_plane_midway_between_two_slices_covers_one_of_them():
    volume = Volume(np.zeros((6, 6, 6)), affine_of((1, 1, 3)), "MR")
    request = PlaneRequest("oblique", 0, (0, 0, 4.5), (1, 0, 0), (0, 1, 0), 1.0, (6, 6))
    covered = voxels_on_plane(volume, plane_for(volume, request), np.ones((6, 6), bool))
    assert covered.sum() == 36
    assert covered[:, :, 1:3].sum() == 36


@pytest.mark.parametrize("affine", SPACES.values(), ids=SPACES)
def test_covered_voxels_are_those_within_half_a_voxel_of_the_plane(affine: np.ndarray):
    volume = Volume(np.zeros(SHAPE), affine, "MR")
    for orientation in ORIENTATIONS:
        plane = plane_for(volume, PlaneRequest(orientation, 4))
        mask = np.random.default_rng(0).random(plane.shape) < 0.5
        covered = voxels_on_plane(volume, plane, mask)
        # the same, voxel by voxel
        half = np.abs(plane.normal @ affine[:3, :3]).sum() / 2
        expected = np.zeros(SHAPE, bool)
        for index in np.ndindex(*SHAPE):
            offset = affine[:3, :3] @ index + affine[:3, 3] - plane.origin
            row = round(float(offset @ plane.down / plane.spacing + 1e-9))
            col = round(float(offset @ plane.right / plane.spacing + 1e-9))
            near = -half <= round(float(offset @ plane.normal), 6) < half
            on_plane = 0 <= row < plane.shape[0] and 0 <= col < plane.shape[1]
            expected[index] = near and on_plane and mask[row, col]
        assert covered.any()
        assert (covered ^ expected).sum() <= 0.01 * expected.sum()  # ties between two pixels may fall either way


def test_a_mask_of_another_size_is_a_mistake_of_the_caller():
    volume = Volume(np.zeros(SHAPE), affine_of(), "MR")
    with pytest.raises(ValueError, match=r"a mask of shape \(3, 3\) does not fit a plane of \(14, 14\)"):
        voxels_on_plane(volume, plane_for(volume, PlaneRequest("axial", 0)), np.ones((3, 3), bool))


def test_planes_of_a_stack_end_at_its_length():
    stack = plane_stack(Volume(np.zeros(SHAPE), affine_of(), "MR"), "axial")
    with pytest.raises(IndexError, match="plane 9 of 9"):
        stack.plane(9)


@pytest.mark.parametrize("orientation", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("turn", ["mirrored", "upside down", "half turn", "on its side"])
def test_a_turned_plane_is_shown_as_if_it_were_not(orientation, turn):
    volume = Volume(np.random.default_rng(3).random((9, 11, 13)).astype(np.float32), np.diag([2.0, 2.0, 2.0, 1]), "MR")
    plane = plane_stack(volume, orientation, square=False).plane(4)
    right, down = np.array(plane.right), np.array(plane.down)
    rows, cols = plane.shape
    last_col, last_row = right * plane.spacing * (cols - 1), down * plane.spacing * (rows - 1)
    turned = {
        "mirrored": replace(plane, origin=plane.origin + last_col, right=-right),
        "upside down": replace(plane, origin=plane.origin + last_row, down=-down),
        "half turn": replace(plane, origin=plane.origin + last_col + last_row, right=-right, down=-down),
        "on its side": replace(plane, right=down, down=right, shape=(cols, rows)),
    }[turn]
    assert turned != plane
    shown = as_displayed(turned)
    np.testing.assert_array_equal(sample(volume, shown), sample(volume, plane))
    np.testing.assert_allclose(shown.origin, plane.origin, atol=1e-9)


def test_a_plane_as_it_should_be_stays():
    volume = Volume(np.zeros((9, 11, 13), np.float32), affine_of((1, 1, 2), degrees=(8, -5, 12)), "MR")
    for orientation in ("axial", "coronal", "sagittal"):
        plane = plane_stack(volume, orientation).plane(2)
        assert as_displayed(plane) == plane


def test_voxels_of_absurd_proportions_ask_for_no_absurd_picture():
    volume = Volume(np.zeros((2, 2, 2), np.int16), np.diag([0.0002, 50.0, 3.0, 1.0]), "CT")
    for orientation in ("axial", "coronal", "sagittal"):
        assert max(plane_stack(volume, orientation).shape) <= 4097
