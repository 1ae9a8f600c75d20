"""The rule by which a version may be served, and the sentence that says why not."""

from __future__ import annotations

import json
import math

import pytest

from medsight_core.engine.promotion import LEAST_SEEN, MOST_LOST, Evaluation, Score, judge


def evaluation(new: tuple[float, float], known: tuple[float, float], n: int = 10) -> Evaluation:
    return Evaluation(Score(*new, n), Score(*known, 40))


@pytest.mark.parametrize("known", [(0.7, 0.7), (0.7, 0.75), (0.7, 0.7 - MOST_LOST)])
def test_a_rise_without_forgetting_is_allowed(known):
    verdict = judge(evaluation((0.4, 0.401), known))
    assert verdict.allowed
    assert verdict.reason.startswith("Dice on corrected images that only measure (n = 10) went from 0.400 to 0.401.")


@pytest.mark.parametrize("new", [(0.4, 0.4), (0.4, 0.1)])
def test_no_rise_is_refused(new):
    verdict = judge(evaluation(new, (0.7, 0.9)))
    assert not verdict.allowed
    assert verdict.reason.endswith("which is no rise: correct more cases and train again.")


def test_forgetting_is_refused_however_much_was_learned():
    verdict = judge(evaluation((0.1, 0.9), (0.7, 0.679)))
    assert not verdict.allowed
    assert verdict.reason == (
        "Dice on the reference set (n = 40) went from 0.700 to 0.679 and may fall by 0.02 at most: "
        "train with more of the earlier data, or in fewer steps."
    )


def test_outlines_that_do_not_depend_on_the_image_are_refused():
    def verdict(blind: float):
        return judge(Evaluation(Score(0.1, 0.4, 10, blind=blind), Score(0.7, 0.7, 40)))

    assert verdict(0.4 - LEAST_SEEN - 0.001).allowed
    assert not verdict(0.4 - LEAST_SEEN + 0.001).allowed
    assert verdict(math.nan).allowed, "it was not measured"
    assert not verdict(0.39).allowed
    assert verdict(0.39).reason == (
        "What it outlines fits other cases' outlines (Dice 0.390) about as well as their own (0.400): "
        "look whether the corrections belong to their images."
    )


def test_sight_is_judged_by_the_requests_on_which_it_was_measured():
    def verdict(own: float):
        return judge(Evaluation(Score(0.1, 0.4, 10, blind=0.39, own=own), Score(0.7, 0.7, 40)))

    assert verdict(0.6).allowed, "others' outlines were there for the easier half"
    assert not verdict(0.4).allowed
    assert "(Dice 0.390) about as well as their own (0.400)" in verdict(0.4).reason


def test_a_record_from_before_that_was_measured_is_read():
    record = Evaluation(Score(0.1, 0.4, 10), Score(0.7, 0.7, 40)).to_json()
    for score in record.values():
        del score["own"]
    assert judge(Evaluation.from_json(record)).allowed


def test_many_small_losses_are_one_large_one():
    step = evaluation((0.4, 0.5), (0.685, 0.67))
    assert judge(step).allowed
    assert not judge(step, reference_start=0.70).allowed


@pytest.mark.parametrize(
    "bad",
    [
        evaluation((math.nan, 0.5), (0.7, 0.7)),
        evaluation((0.4, math.nan), (0.7, 0.7)),
        evaluation((0.4, 0.5), (0.7, math.nan)),
        evaluation((0.4, 0.5), (0.7, 0.7), n=0),
    ],
)
def test_what_was_not_measured_is_refused(bad):
    verdict = judge(bad)
    assert not verdict.allowed
    assert verdict.reason == "Its Dice could not be measured: give cases to hold out and a reference set."


def test_what_was_not_measured_travels_as_json():
    text = json.dumps(evaluation((math.nan, 0.5), (0.7, 0.7)).to_json(), allow_nan=False)
    back = Evaluation.from_json(json.loads(text))
    assert math.isnan(back.held_out.before)
    assert (back.reference.before, back.reference.n) == (0.7, 40)
    assert math.isnan(back.reference.blind)
