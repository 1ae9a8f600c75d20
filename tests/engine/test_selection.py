"""Doubt and distance against values worked out by hand."""

import numpy as np
import pytest

from medsight_core.engine.selection import (
    coverage,
    distance_to_mean,
    distance_to_nearest,
    entropy,
    neighbour_jump,
    outline_entropy,
    unit,
)


def test_entropy_is_none_for_certainty_and_one_bit_for_a_coin():
    np.testing.assert_allclose(entropy(np.array([0.0, 0.5, 1.0])), [0.0, 1.0, 0.0], atol=1e-12)
    # 1/4 says two bits in a quarter of the cases: 1/4 * 2 + 3/4 * log2(4/3)
    assert entropy(np.array(0.25)) == pytest.approx(0.5 + 0.75 * np.log2(4 / 3))


def test_an_outlines_pixels_count_as_much_as_they_belong_to_it():
    sure, vague = np.array([[0.0, 1.0], [1.0, 0.0]]), np.full((2, 2), 0.5)
    assert outline_entropy(np.stack([sure, vague]), np.array([1.0, 0.0])) == pytest.approx(0.0)
    assert outline_entropy(np.stack([sure, vague]), np.array([0.0, 1.0])) == pytest.approx(1.0)
    # weights 1 and 1: each mask has two pixels' worth, those of the first sure, of the second one bit each
    assert outline_entropy(np.stack([sure, vague]), np.array([1.0, 1.0])) == pytest.approx(0.5)


def test_a_sure_background_does_not_drown_a_vague_outline():
    mask = np.zeros((1, 100, 100))
    mask[0, 50, 50] = 0.5
    assert outline_entropy(mask, np.ones(1)) == pytest.approx(1.0)


def test_nothing_outlined_is_no_doubt():
    assert outline_entropy(np.zeros((2, 4, 4)), np.ones(2)) == 0.0


def test_neighbouring_planes_disagree_by_their_largest_change():
    scores = np.array([[0.1, 0.9], [0.2, 0.4], [0.2, 0.5]])  # changes: (0.1, 0.5) and (0.0, 0.1)
    assert neighbour_jump(scores) == pytest.approx(0.3)
    assert neighbour_jump(scores[:1]) == 0.0
    assert neighbour_jump(np.zeros((3, 0))) == 0.0


def test_k_centre_takes_the_farthest_from_all_centres_each_time():
    vectors = np.array([[0.0, 0.0], [1.0, 0.0], [4.0, 0.0], [4.0, 3.0]])
    np.testing.assert_allclose(distance_to_nearest(vectors, vectors[:1]), [0.0, 1.0, 4.0, 5.0])
    np.testing.assert_allclose(distance_to_nearest(vectors, vectors[[0, 3]]), [0.0, 1.0, 3.0, 0.0])
    order = [0]
    while len(order) < len(vectors):
        order.append(int(distance_to_nearest(vectors, vectors[order]).argmax()))
    assert order == [0, 3, 2, 1]


def test_coverage_is_what_another_centre_saves_of_all_distances():
    vectors = np.array([[0.0], [4.0], [5.0], [-6.0]])
    nearest = np.abs(vectors[:, 0])  # one centre, at 0
    # 4 saves 4 of its own and 4 of its neighbour's 5; 5 saves 3 and 5; -6 its own 6; of 15 together
    np.testing.assert_allclose(coverage(vectors, nearest, np.ones(4)), [0, 8 / 15, 8 / 15, 6 / 15])
    # with doubt: 3 * 4 + 4 of 3 * 4 + 5 + 6; 3 * 3 + 5; 6
    np.testing.assert_allclose(coverage(vectors, nearest, np.array([9.0, 3, 1, 1])), [0, 16 / 23, 14 / 23, 6 / 23])
    assert not coverage(vectors, np.zeros(4), np.ones(4)).any()


def test_the_most_typical_vector_is_nearest_to_the_mean():
    np.testing.assert_allclose(distance_to_mean(np.array([[0.0], [1.0], [5.0]])), [2.0, 1.0, 3.0])


def test_a_vector_of_length_one():
    np.testing.assert_allclose(unit(np.array([3.0, 4.0])), [0.6, 0.8])
    np.testing.assert_array_equal(unit(np.zeros(2)), [0.0, 0.0])
