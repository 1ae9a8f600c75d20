from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from medsight_core.imaging.plane import VisibleBox


@pytest.mark.parametrize(
    ("rows", "cols", "resized", "offset", "box"),
    [
        (480, 640, (448, 336), (56, 0), (80.0, 0.0, 560.0, 480.0)),
        (600, 400, (336, 504), (0, 84), (0.0, 100.0, 400.0, 500.0)),
        (512, 512, (336, 336), (0, 0), (0.0, 0.0, 512.0, 512.0)),
        (
            100,
            301,
            (1011, 336),
            (338, 0),
            (338 * 301 / 1011, 0.0, 674 * 301 / 1011, 100.0),
        ),  # odd: 337.5 rounds to even
    ],
)
def test_geometry_of_the_box(rows: int, cols: int, resized: tuple, offset: tuple, box: tuple):
    visible = VisibleBox.of(rows, cols)
    assert (visible.resized, visible.offset) == (resized, offset)
    assert visible.box == pytest.approx(box)


@pytest.mark.parametrize(("rows", "cols"), [(60, 60), (48, 80), (90, 40)])
def test_what_the_encoder_sees_is_what_the_box_says(rows: int, cols: int):
    ramp = np.tile(np.linspace(0, 250, cols, dtype=np.float32), (rows, 1))
    visible = VisibleBox.of(rows, cols, side=32)
    seen = np.asarray(visible.apply(Image.fromarray(ramp.astype(np.uint8))), dtype=float)
    assert seen.shape == (32, 32)
    x0, _, x1, _ = visible.box
    centres = x0 + (np.arange(32) + 0.5) * (x1 - x0) / 32  # in pixel edges of the picture
    expected = np.interp(centres - 0.5, np.arange(cols), ramp[0])
    np.testing.assert_allclose(seen[16, 1:-1], expected[1:-1], atol=2)


@pytest.mark.parametrize(("rows", "cols"), [(60, 60), (48, 80), (90, 40)])
def test_painting_follows_its_definition_pixel_by_pixel(rows: int, cols: int):
    visible = VisibleBox.of(rows, cols, side=32)
    maps = np.random.default_rng(0).normal(size=(2, 12, 12)).astype(np.float32)
    painted = visible.paint(maps, fill=-9)
    assert painted.shape == (2, rows, cols)
    x0, y0, x1, y1 = visible.box
    for row, col in np.ndindex(rows, cols):
        x, y = col + 0.5, row + 0.5
        if not (x0 <= x <= x1 and y0 <= y <= y1):
            assert (painted[:, row, col] == -9).all()
            continue
        u = min(max((x - x0) / (x1 - x0) * 12 - 0.5, 0), 11)
        v = min(max((y - y0) / (y1 - y0) * 12 - 0.5, 0), 11)
        i, j = int(v), int(u)
        block = maps[:, i : i + 2, j : j + 2]
        weights = np.outer([1 - v + i, v - i][: block.shape[1]], [1 - u + j, u - j][: block.shape[2]])
        np.testing.assert_allclose(painted[:, row, col], (block * weights).sum(axis=(1, 2)), atol=1e-5)


@settings(max_examples=50, deadline=None)
@given(rows=st.integers(2, 200), cols=st.integers(2, 200), side=st.sampled_from([14, 96, 336]))
def test_a_picture_of_the_pixels_own_places_comes_back_to_them(rows: int, cols: int, side: int):
    visible = VisibleBox.of(rows, cols, side)
    x0, y0, x1, y1 = visible.box
    assert -1e-9 <= x0 < x1 <= cols + 1e-9
    assert -1e-9 <= y0 < y1 <= rows + 1e-9
    cells = (np.arange(24) + 0.5) / 24
    across = np.tile(x0 + cells * (x1 - x0), (24, 1))  # each cell holds its own x in the picture
    down = np.tile((y0 + cells * (y1 - y0))[:, None], (1, 24))
    x, y = visible.paint(np.stack([across, down]).astype(np.float32), fill=np.nan)
    half_x, half_y = (x1 - x0) / 48, (y1 - y0) / 48  # cells at the edge are continued, not extrapolated
    expected_x = np.clip(np.arange(cols) + 0.5, x0 + half_x, x1 - half_x)
    expected_y = np.clip(np.arange(rows) + 0.5, y0 + half_y, y1 - half_y)
    seen = ~np.isnan(x)
    assert seen.any()
    np.testing.assert_allclose(x[seen], np.broadcast_to(expected_x, x.shape)[seen], atol=1e-3)
    np.testing.assert_allclose(y[seen], np.broadcast_to(expected_y[:, None], y.shape)[seen], atol=1e-3)


def test_a_picture_of_another_size_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match=r"an image of \(5, 4\) does not fit a box for \(5, 5\)"):
        VisibleBox.of(5, 5).apply(Image.new("L", (5, 4)))
