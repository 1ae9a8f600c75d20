"""Changes of shape: none when there is no strength, the same for labels and image, air beyond the edges."""

from __future__ import annotations

import numpy as np

from sample_data.generate.deform import Deformation, Strength, warp_image, warp_labels

STILL = Strength(turn=(0, 0, 0), scale=0, shear=0, wobble=0)
SHAPE = (30, 36, 28)


def ball() -> np.ndarray:
    axes = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in SHAPE), indexing="ij", sparse=True)
    return (sum(p**2 for p in axes) < 100).astype(np.uint8)


def test_without_strength_nothing_moves():
    labels = np.random.default_rng(0).integers(0, 9, SHAPE).astype(np.uint8)
    places = Deformation.draw(SHAPE, STILL, np.random.default_rng(0)).places(SHAPE)
    np.testing.assert_array_equal(warp_labels(labels, places), labels)
    np.testing.assert_allclose(warp_image(labels.astype(np.float32), places), labels, atol=1e-3)


def test_image_and_labels_move_together():
    moved = 0
    for seed in range(5):
        places = Deformation.draw(SHAPE, Strength(), np.random.default_rng(seed)).places(SHAPE)
        labels, image = warp_labels(ball(), places), warp_image(ball().astype(np.float32), places)
        disagreeing = (image > 0.5) != (labels > 0)
        assert disagreeing.sum() < 0.05 * labels.sum()
        assert set(np.unique(labels)) == {0, 1}
        moved += (labels != ball()).sum()
    assert moved > 500


def test_beyond_the_edge_is_nothing():
    far = [np.full(SHAPE, 100.0, np.float32), np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.float32)]
    assert not warp_labels(np.ones(SHAPE, np.uint8), far).any()
    before = [np.full(SHAPE, -0.6, np.float32), np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.float32)]
    assert not warp_labels(np.ones(SHAPE, np.uint8), before).any()


def test_a_scaling_is_as_large_as_it_says():
    matrix = np.eye(3) / 1.2
    places = Deformation(matrix, np.zeros((3, 2, 2, 2), np.float32)).places(SHAPE)
    assert abs(warp_labels(ball(), places).sum() / ball().sum() - 1.2**3) < 0.1


def test_a_seed_is_a_deformation():
    first, same, other = (Deformation.draw(SHAPE, Strength(), np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.wobble, same.wobble)
    np.testing.assert_array_equal(first.matrix, same.matrix)
    assert np.abs(first.matrix - other.matrix).max() > 1e-3
