"""Which case comes next, with its score and its reason."""

import random

import numpy as np
import pytest

from medsight_core.engine.choice import STRATEGIES, choose
from medsight_core.engine.impression import Impression


def impression(angle: float, outlines: float = 0.2, **doubts) -> Impression:
    """One whose vector points ``angle`` degrees away from the first axis."""
    turn = np.radians(angle)
    return Impression(np.array([np.cos(turn), np.sin(turn)], np.float32), outlines, **doubts)


WAITING = {
    "usual": impression(0),
    "odd": impression(90),
    "vague": impression(10, outlines=0.8),
    "new": None,
}


def pick(strategy, waiting=WAITING, seen=(), seed=0):
    return choose(strategy, waiting, seen, random.Random(seed))


def test_uncertainty_takes_the_case_of_most_doubt_and_says_what_is_doubtful():
    choice = pick("uncertainty")
    assert (choice.id, choice.score) == ("vague", 0.8)
    assert choice.reason == "The model is unsure here (0.80, 0.20 being usual): above all, its outlines are vague."


def test_doubt_about_what_is_there_is_named():
    unsure = impression(0, outlines=0.1, presence=0.9, planes=0.2, doubtful="left lung")
    choice = pick("uncertainty", {"a": impression(0, presence=0.0, planes=0.0, doubtful="ribs"), "b": unsure})
    assert (choice.id, choice.score) == ("b", 0.4)  # (0.1 + 0.9 + 0.2) / 3
    assert choice.reason.endswith("above all, it cannot tell whether the left lung is there.")
    torn = impression(0, outlines=0.1, presence=0.2, planes=0.9, doubtful="left lung")
    assert "neighbouring planes contradict each other" in pick("uncertainty", {"a": torn}).reason


def test_diversity_takes_the_case_farthest_from_those_seen():
    choice = pick("diversity", seen=[impression(0), impression(20)])
    assert choice.id == "odd"
    assert choice.score == pytest.approx(np.sin(np.radians(35)), abs=1e-4)  # half the chord of 70 degrees
    assert choice.reason.startswith("It is unlike what has been labelled or handed out (0.57, ")


def test_diversity_begins_with_the_most_typical_case():
    choice = pick("diversity", {"left": impression(-60), "middle": impression(2), "right": impression(60)})
    assert choice.id == "middle"
    assert choice.reason == "Nothing is labelled yet, and it is the most typical of what waits."


def test_hybrid_takes_the_case_that_stands_for_most_doubt():
    group = {f"alike {angle}": impression(angle, 0.4) for angle in (40, 50, 60)}
    waiting = {"alone": impression(-100, 0.4), **group}
    choice = pick("hybrid", waiting, [impression(0)])
    assert choice.id == "alike 50"  # k-centre would take the one that stands alone

    def chord(angle):
        return 2 * np.sin(np.radians(angle / 2))

    near = [chord(100), chord(40), chord(50), chord(60)]
    saved = [0, chord(40) - chord(10), chord(50), chord(60) - chord(10)]
    assert choice.score == pytest.approx(sum(saved) / sum(near), abs=1e-4)
    assert choice.reason == (
        f"It stands for cases that are unlike what has been labelled or handed out, doubtful ones above all "
        f"({choice.score:.2f}, {np.median(all_scores(waiting)):.2f} being usual); "
        f"its own doubt is 0.40 (0.40 being usual)."
    )
    waiting["alone"] = impression(-100, 1.0)
    assert pick("hybrid", waiting, [impression(0)]).id == "alone"  # it is in more doubt than the three together


def all_scores(waiting):
    """The hybrid scores of all, each from the cases' own formula."""
    vectors = np.stack([each.vector for each in waiting.values()])
    near = np.linalg.norm(vectors - [1, 0], axis=1)
    doubts = np.array([each.uncertainty for each in waiting.values()])
    saved = [doubts @ np.maximum(near - np.linalg.norm(vectors - one, axis=1), 0) for one in vectors]
    return np.array(saved) / (doubts @ near)


def test_hybrid_begins_with_what_is_typical():
    waiting = {"left": impression(-60), "middle": impression(2), "right": impression(60)}
    choice = pick("hybrid", waiting)
    assert choice.id == "middle"
    assert choice.reason.startswith("It stands for cases that wait, doubtful ones above all (")


def test_random_may_take_any_case_even_one_not_looked_at():
    assert {pick("random", seed=seed).id for seed in range(50)} == set(WAITING)
    assert pick("random").reason == "Taken by chance from 4 cases without a label."
    assert pick("random", {"a": None}).reason == "Taken by chance from 1 case without a label."


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name != "random"])
def test_before_anything_was_looked_at_chance_decides_and_says_so(strategy):
    choice = pick(strategy, {"a": None})
    assert (choice.id, choice.score) == ("a", 0.0)
    assert choice.reason == "Taken by chance: the model has not looked at the images yet, or cannot."


def test_no_doubt_anywhere_is_no_division_by_zero():
    assert pick("hybrid", {"a": impression(0, 0.0)}, [impression(0)]).score == 0.0
    assert pick("hybrid", {"a": impression(0, 0.0), "b": impression(90, 0.0)}, [impression(0)]).id == "b"


def test_the_default_comes_first():
    assert next(iter(STRATEGIES)) == "hybrid"
