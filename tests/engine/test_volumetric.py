"""How far a thing is carried: no model, only scores along a volume."""

import numpy as np
import pytest
import torch

from medsight_core.engine.detection import Detections
from medsight_core.engine.volumetric import PATIENCE, SPECK, key_planes, sparsely, walk, without_specks


def look(showing, count, starts, batch=2):
    """Which planes are looked at, in order, of a volume that shows the thing on some."""
    found, looked = np.zeros(count, bool), []
    for planes in walk(count, starts, batch, found):
        assert 0 < len(planes) <= batch
        looked += planes
        found[planes] = [plane in showing for plane in planes]
    return looked


def test_a_thing_is_followed_both_ways_until_it_is_lost():
    looked = look(range(40, 61), 100, [50])
    assert sorted(looked) == list(range(40 - PATIENCE, 61 + PATIENCE))
    assert looked[0] == 50


def test_a_gap_shorter_than_the_patience_does_not_lose_it():
    showing = {10, 11, 14, 15}
    assert {14, 15} <= set(look(showing, 30, [10]))
    assert 20 not in look({10, 20}, 30, [10])


def test_no_plane_is_looked_at_twice_and_the_ends_are_ends():
    looked = look(range(30), 30, [3, 20, 10])
    assert sorted(looked) == list(range(30))
    assert look([0], 1, [0, 0]) == [0]


def test_where_nothing_is_found_few_planes_are_looked_at():
    assert sorted(look([], 100, [20, 60])) == sorted(
        [20 + n for n in range(1 - PATIENCE, PATIENCE)] + [60 + n for n in range(1 - PATIENCE, PATIENCE)]
    )


@pytest.fixture
def detections():
    scores = torch.zeros(100, 2)
    scores[7, 0], scores[30, 1] = 0.9, 0.4
    return Detections(("small", "unsure"), scores, 0.5)


def test_the_language_model_looks_where_what_is_asked_for_is_surest(detections):
    spread = key_planes(100)
    assert key_planes(100, ["small", "unsure", "nobody"], detections) == (7, *spread[:4])
    assert key_planes(100, ["small"]) == spread == (50, 35, 64, 20, 79)
    assert key_planes(1, ["small"]) == (0,)


def test_there_are_as_many_key_planes_for_any_question():
    names = tuple(f"thing {n}" for n in range(8))
    sure = Detections(names, torch.cat([torch.eye(8), torch.zeros(16, 8)]), 0.5)
    assert key_planes(24, names, sure) == (0, 1, 2, 3, 4)


def decode(truth, there, starts=()):
    """Which planes are decoded, and the maps (n, P, m, m) that come of it. truth: probabilities as the model's."""
    maps, looked = np.zeros_like(truth), []
    for planes in sparsely(maps, np.array(there, bool), starts, 0.5):
        maps[:, planes] = truth[:, planes]
        looked += planes
    assert len(looked) == len(set(looked))
    return sorted(looked), maps


def growing(count, step):
    """A disc that grows by ``step`` cells a plane, as probabilities (1, P, 64, 64)."""
    y, x = np.indices((64, 64)) - 32
    distance = np.hypot(y, x)
    return np.stack([np.clip(0.5 + (8 + step * n - distance) / 2, 0, 1) for n in range(count)])[None].astype(np.float32)


def test_planes_between_two_alike_are_filled_in_and_keep_their_shape():
    truth = growing(20, 0.05)
    looked, maps = decode(truth, [True] * 20)
    assert looked == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 19]
    overlap = 2 * ((maps > 0.5) & (truth > 0.5)).sum() / ((maps > 0.5).sum() + (truth > 0.5).sum())
    assert overlap > 0.98


def test_where_neighbours_differ_in_one_thing_each_plane_is_decoded():
    both = np.concatenate([growing(12, 0.1), growing(12, 1.5)])
    looked, maps = decode(both, [True] * 12)
    assert looked == list(range(12))
    assert np.array_equal(maps, both)


def test_ends_gaps_and_planes_that_named_it_are_decoded_and_nothing_else_is():
    there = [False, True, True, True, True, False, True, False, True, True, True, True]
    truth = growing(12, 0.0)
    looked, maps = decode(truth, there, starts=[9])
    assert looked == [1, 2, 4, 6, 8, 9, 10, 11]
    assert not maps[0, [0, 5, 7]].any()
    assert np.array_equal(maps[0, 3] > 0.5, truth[0, 3] > 0.5)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_few_planes_are_all_decoded(count):
    assert decode(growing(max(count, 1), 0.0)[:, :count], [True] * count)[0] == list(range(count))


def test_specks_go_and_pieces_that_count_stay():
    probability = np.full((12, 64, 64), 0.2)
    probability[2:8, 10:30, 10:30] = 0.8  # 2400 cells
    probability[8, 30, 30] = 0.8  # joined at a corner
    probability[4:6, 50:54, 50:54] = 0.8  # 32 cells: more than one in a hundred
    kept = probability.copy()
    probability[10, 60, 5:10] = 0.8
    kept[10, 60, 5:10] = 0.0
    assert np.array_equal(without_specks(probability, 0.5), kept)
    assert SPECK * 2401 > 5


@pytest.mark.parametrize("filled", [0, 1, 4])
def test_one_piece_however_small_stays(filled):
    probability = np.full((1, 16, 16), 0.2)
    probability[0, 3, 3 : 3 + filled] = 0.8
    assert np.array_equal(without_specks(probability, 0.5), probability)
