"""Findings grow inside what they may grow in, about as large as asked, or not at all."""

from __future__ import annotations

import numpy as np
import pytest

from sample_data.generate.findings import grow


def room() -> np.ndarray:
    allowed = np.zeros((60, 60, 60), bool)
    allowed[5:55, 5:40, 8:52] = True
    return allowed


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("diameter", "spacing"), [(8.0, 1.0), (30.0, 2.0)])
def test_a_finding_is_inside_and_as_large_as_asked(seed, diameter, spacing):
    growth = grow(room(), diameter, spacing, np.random.default_rng(seed))
    assert growth is not None
    mask = np.zeros(room().shape, bool)
    mask[growth.box][growth.inside] = True
    assert not (mask & ~room()).any()
    volume = mask.sum() * spacing**3
    assert 0.25 < volume / (np.pi / 6 * diameter**3) < 2.5
    assert growth.depth[growth.inside].max() < 1
    assert growth.depth.shape == growth.inside.shape == mask[growth.box].shape


def test_where_there_is_no_room_nothing_grows():
    rng = np.random.default_rng(0)
    assert grow(np.zeros((20, 20, 20), bool), 5.0, 1.0, rng) is None
    crack = np.zeros((60, 60, 60), bool)
    crack[:, :, 30] = True
    assert grow(crack, 30.0, 1.0, rng) is None


def test_a_seed_is_a_finding():
    first, same, other = (grow(room(), 10.0, 1.0, np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.depth, same.depth)
    assert first.box != other.box
