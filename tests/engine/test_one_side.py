"""The one side that a question speaks of, and what that means for what it names and for the reply."""

from __future__ import annotations

import pytest

from medsight_core.engine.one_side import of_one_side, said_side, side_of_before
from medsight_core.engine.spelling import canonical_question

KNOWN = ("left putamen", "right putamen", "left hippocampus", "right hippocampus", "brainstem")


@pytest.mark.parametrize(
    ("question", "side"),
    [
        ("the small reward nucleus, the addiction one, L", "left"),
        ("inner portion of the lentiform, right side, where the wires go", "right"),
        ("Where is it, on the LEFT?", "left"),
        ("the left one and the right one", ""),
        ("the left and its counterpart on the other side", ""),
        ("both of them, left first", ""),
        ("Right, show me the memory centre", ""),
        ("that's right, the memory centre", ""),
        ("what is right behind it", ""),
        ("whatever lies left of the heart", ""),
        ("what's left?", ""),
        ("where r the almonds", ""),
        ("show the almonds", ""),
    ],
)
def test_a_side_is_said_where_nothing_else_is_meant(question, side):
    assert said_side(question) == side


def test_a_thing_far_from_its_side_is_on_that_side():
    asked = canonical_question("Where is the putamen in here? I mean on the right", KNOWN)
    assert "the right putamen" in asked
    assert "left putamen" not in asked


@pytest.mark.parametrize(
    "question", ["Where are the putamens? I mean on the right", "the left hippocampus and, below, the putamen"]
)
def test_several_things_and_those_beside_one_with_a_side_stay_what_they_were(question):
    asked = canonical_question(question, KNOWN)
    assert "left putamen" in asked
    assert "right putamen" in asked


@pytest.mark.parametrize(
    ("question", "before", "side"),
    [
        ("and the putamen of the same side", ["right amygdala"], "right"),
        ("putamen idem", ["left amygdala", "left hippocampus"], "left"),
        ("the hippocampus behind it", ["left amygdala", "right amygdala"], ""),
        ("the hippocampus behind it", ["brainstem"], ""),
        ("now show the hippocampus", ["right amygdala"], ""),
        ("the hippocampus behind it", [], ""),
    ],
)
def test_who_refers_to_the_turn_before_means_its_side(question, before, side):
    assert side_of_before(question, before) == side


def test_a_side_of_its_own_comes_before_that_of_the_turn_before():
    assert canonical_question("its neighbour, the left putamen", KNOWN, "right") == "its neighbour, the left putamen"
    assert "the right putamen" in canonical_question("its neighbour, the putamen", KNOWN, "right")


def test_a_reply_about_both_sides_to_a_question_about_one_is_about_one():
    both = ["left pallidum", "right pallidum"]
    assert of_one_side("the inner lentiform, right side", both) == ["right pallidum"]
    assert of_one_side("the inner lentiform", both) == []
    assert of_one_side("the inner lentiform, right side", ["left pallidum"]) == [], "the model may know better"
    assert of_one_side("the inner lentiform, right side", ["right pallidum", "brainstem"]) == []
