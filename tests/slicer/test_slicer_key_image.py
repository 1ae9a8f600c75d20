"""Pictures of outlines: the right plane, the right side, the right shape, on grids that lie askew."""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scenes import affine_lps, oblique_ras

RED = (1.0, 0.0, 0.0)
SHEARED = np.array([[1.0, 0.3, 0.0, -20], [0.0, 1.0, 0.4, -25], [0.0, 0.0, 2.0, -16], [0, 0, 0, 1]])


@pytest.fixture
def draw(medsight_module):
    from MedSIGHTLib.key_image import key_image

    def draw(voxels, mask, affine, window=(0.0, 100.0), color=RED, first=(0, 0, 0)):
        drawn = key_image(voxels, mask, affine, first, window, color)
        with Image.open(io.BytesIO(drawn.png)) as image:
            return SimpleNamespace(orientation=drawn.orientation, pixels=np.asarray(image.convert("RGB")).astype(int))

    return draw


def ball(affine: np.ndarray, shape, center, radius: float) -> np.ndarray:
    """(K, J, I): voxels whose centres lie within ``radius`` mm of ``center`` (LPS)."""
    k, j, i = np.indices(shape)
    points = np.stack([i, j, k], axis=-1) @ affine[:3, :3].T + affine[:3, 3]
    return np.linalg.norm(points - center, axis=-1) < radius


def red_of(drawn) -> np.ndarray:
    """Pixels that the outline has coloured."""
    return drawn.pixels[..., 0] > drawn.pixels[..., 1] + 20


def test_patients_right_is_on_the_left_and_anterior_at_the_top_of_an_axial_picture(draw):
    shape, affine = (8, 60, 80), np.diag([1.0, 1.0, 2.0, 1.0])  # LPS: i to the left, j to the back
    mask = np.zeros(shape, bool)
    mask[3:5, 5:15, 10:30] = True
    drawn = draw(np.zeros(shape, np.int16), mask, affine)
    assert drawn.orientation == "axial"
    assert drawn.pixels.shape == (288, 384, 3), "as wide and high as the volume"
    rows, columns = np.nonzero(red_of(drawn))
    assert (columns.min() / 384, columns.max() / 384) == pytest.approx((10 / 80, 30 / 80), abs=0.01)
    assert (rows.min() / 288, rows.max() / 288) == pytest.approx((5 / 60, 15 / 60), abs=0.01)


@pytest.mark.parametrize(
    ("part", "orientation"),
    [((slice(4, 5), slice(5, 30), slice(5, 30)), "axial"), ((slice(1, 30), slice(9, 10), slice(5, 30)), "coronal"),
     ((slice(1, 30), slice(5, 30), slice(9, 10)), "sagittal")],
)  # fmt: skip
def test_plane_is_the_one_that_shows_most(draw, part, orientation):
    mask = np.zeros((32, 32, 32), bool)
    mask[part] = True
    drawn = draw(np.zeros(mask.shape, np.int16), mask, np.eye(4))
    assert drawn.orientation == orientation
    assert red_of(drawn).mean() == pytest.approx(mask.sum() / 32**2, abs=0.02)


def test_superior_is_at_the_top_of_the_other_pictures(draw):
    mask = np.zeros((32, 32, 32), bool)
    mask[20:31, 9, 2:20] = True  # superior, and on the patient's right
    rows, columns = np.nonzero(red_of(draw(np.zeros(mask.shape, np.int16), mask, np.eye(4))))
    assert rows.max() < 384 * 13 / 32
    assert columns.min() < 384 * 3 / 32
    mask = mask.transpose(0, 2, 1)  # anterior now
    rows, columns = np.nonzero(red_of(draw(np.zeros(mask.shape, np.int16), mask, np.eye(4))))
    assert rows.max() < 384 * 13 / 32
    assert columns.min() < 384 * 3 / 32


@pytest.mark.parametrize("affine", [affine_lps(oblique_ras()), SHEARED], ids=["oblique", "sheared"])
def test_a_ball_is_round_and_the_outline_lies_on_what_it_outlines(draw, affine):
    shape = (16, 48, 40)
    center = (affine @ [20, 24, 8, 1])[:3]
    mask = ball(affine, shape, center, 9)
    drawn = draw(np.where(mask, 100, 0).astype(np.int16), mask, affine)
    rows, columns = np.nonzero(red_of(drawn))
    height, width = np.ptp(rows), np.ptp(columns)
    assert 0.75 < height / width < 1.33
    bright = drawn.pixels[..., 0] > 128
    assert (bright & red_of(drawn)).sum() / (bright | red_of(drawn)).sum() > 0.85
    inside = red_of(drawn)[round(rows.mean()), round(columns.mean())]
    assert inside, "filled, not a ring of something else"


def test_values_of_the_window_are_black_and_white(draw):
    voxels = np.full((4, 20, 30), 50, np.int16)
    voxels[:, :, 20:], voxels[:, :, :5] = 500, -500
    mask = np.zeros(voxels.shape, bool)
    mask[1, 2:5, 10:14] = True
    pixels = draw(voxels, mask, np.eye(4)).pixels
    assert set(pixels[-5, :50].ravel()) == {0}
    assert set(pixels[-5, 300:].ravel()) == {255}
    assert pixels[-5, 150, 0] in (127, 128)


def test_values_between_voxels_are_interpolated(draw):
    voxels = np.zeros((2, 10, 10), np.int16)
    voxels[..., 5:] = 100
    mask = np.zeros(voxels.shape, bool)
    mask[1, 1:3, 1:3] = True
    row = draw(voxels, mask, np.eye(4)).pixels[-5, :, 0]
    assert (np.diff(row) >= 0).all()
    assert ((row > 20) & (row < 235)).sum() == pytest.approx(0.84 * 384 / 10, abs=3), "nearly one voxel wide"


def test_outline_of_a_part_of_the_volume_is_where_it_belongs(draw):
    voxels = np.zeros((10, 30, 40), np.int16)
    mask = np.zeros(voxels.shape, bool)
    mask[6:9, 20:28, 5:25] = True
    whole = draw(voxels, mask, np.eye(4))
    part = draw(voxels, mask[6:9, 20:28, 5:25], np.eye(4), first=(6, 20, 5))
    np.testing.assert_array_equal(part.pixels, whole.pixels)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_single_slice_of_any_type_can_be_drawn(draw, kind):
    mask = np.zeros((1, 12, 9), bool)
    mask[0, 3:6, 2:7] = True
    drawn = draw(np.full(mask.shape, 100, kind), mask, np.diag([0.3, 0.3, 1.0, 1.0]))
    assert drawn.orientation == "axial"
    assert red_of(drawn).mean() == pytest.approx(15 / 108, abs=0.02)
    assert drawn.pixels[2, 2].tolist() == [255, 255, 255]
