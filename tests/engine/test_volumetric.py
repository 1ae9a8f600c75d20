"""How far a thing is carried: no model, only scores along a volume."""

import numpy as np
import pytest
import torch

from medsight_core.engine.detection import Detections
from medsight_core.engine.volumetric import PATIENCE, key_planes, walk


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
