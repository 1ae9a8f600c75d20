"""Painting and scanning: means and places are kept, slices average, and a seed is an image."""

from __future__ import annotations

import numpy as np
import pytest

from sample_data.generate.contrast import (
    Acquisition,
    along_axes,
    bend,
    paint,
    profile,
    rician,
    shade,
    smooth_field,
    upsample,
)


def test_a_profile_averages_over_its_thickness():
    weights = profile(60, np.array([10.0, 30.0]), thickness=8.0, blur=0.3)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(weights[0, 7:14], 1 / 8, atol=0.01)
    assert weights[0, 16:].max() < 1e-3
    np.testing.assert_allclose(weights @ np.arange(60), [10, 30], atol=0.01)


def test_axes_are_multiplied_each_by_its_own_matrix():
    rng = np.random.default_rng(0)
    array, matrices = rng.normal(size=(4, 5, 6)), [rng.normal(size=(m, n)) for m, n in ((3, 4), (7, 5), (2, 6))]
    expected = np.einsum("xyz,ax,by,cz->abc", array, *matrices)
    result = along_axes(array, [matrix.astype(np.float32) for matrix in matrices])
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=1e-4)


def test_each_label_is_painted_with_its_own_gaussian():
    labels = np.repeat(np.arange(3, dtype=np.uint8), 20_000).reshape(60, 50, 20)
    means, spreads = np.zeros(256), np.zeros(256)
    means[:3], spreads[:3] = (1, 5, -7), (0, 0.5, 2)
    values = paint(labels, means, spreads, np.random.default_rng(0))
    for label in range(3):
        assert values[labels == label].mean() == pytest.approx(means[label], abs=0.05)
        assert values[labels == label].std() == pytest.approx(spreads[label], abs=0.05)


@pytest.mark.parametrize("seed", range(12))
def test_a_scanner_keeps_things_where_they_are(seed):
    place, origin = np.array([14.0, 40.0, 21.0]), np.array([-3.0, 5.0, 100.0])
    axes = np.meshgrid(*(np.arange(n) for n in (40, 60, 50)), indexing="ij", sparse=True)
    blob = np.exp(-sum((p - c) ** 2 for p, c in zip(axes, place)) / 50).astype(np.float32)
    acquisition = Acquisition.draw(1.0, np.random.default_rng(seed))
    image, affine = acquisition.take(blob, 1.0, origin)
    index = np.indices(image.shape).reshape(3, -1)
    found = affine[:3, :3] @ (index * image.ravel()).sum(axis=1) / image.sum() + affine[:3, 3]
    np.testing.assert_allclose(found, place + origin, atol=0.3)
    np.testing.assert_allclose(np.diag(affine)[:3], acquisition.spacing)
    assert min(acquisition.spacing) >= 1.0


def test_thick_slices_are_common_and_follow_the_chosen_axis():
    thick = [np.array(Acquisition.draw(1.0, np.random.default_rng(seed), (0, 0, 1)).spacing) for seed in range(200)]
    share = np.mean([spacing[2] > 1.5 * spacing[0] for spacing in thick])
    assert 0.25 < share < 0.6
    assert all(spacing[0] == spacing[1] for spacing in thick)


def test_fields_are_smooth_and_as_large_as_asked():
    field = smooth_field((40, 60, 30), 6, np.random.default_rng(0))
    assert field.shape == (40, 60, 30)
    assert np.abs(np.diff(field, axis=1)).max() < 0.3 < field.std()
    assert np.ptp(upsample(np.ones((2, 3, 2)), (9, 9, 9))) < 1e-5


def test_shading_bending_and_noise_do_what_they_say():
    rng = np.random.default_rng(0)
    flat = np.full((40, 40, 40), 2.0, np.float32)
    shade(flat, 0.0, rng)
    np.testing.assert_allclose(flat, 2.0)
    shade(flat, 0.3, rng)
    assert np.ptp(flat) > 0.2
    ramp = np.linspace(-1, 10, 64_000, dtype=np.float32).reshape(40, 40, 40)
    bent = ramp.copy()
    bend(bent, 0.3, rng)
    assert bent.min() == 0
    assert bent.max() == pytest.approx(1, abs=0.2)
    assert (np.diff(bent.ravel()) >= 0).all()
    air = np.zeros((40, 40, 40), np.float32)
    rician(air, 0.1, rng)
    assert air.min() > 0
    assert air.mean() == pytest.approx(0.1 * np.sqrt(np.pi / 2), rel=0.02)
