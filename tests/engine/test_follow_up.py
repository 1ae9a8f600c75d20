"""Questions that mean a known thing by what was asked before."""

from __future__ import annotations

import pytest

from medsight_core.engine.follow_up import names_of, spelt_out

KNOWN = ("left kidney", "right kidney", "left lung", "right lung", "liver", "spleen")
LEFT, BOTH, TWO = [["left kidney"]], [["left kidney", "right kidney"]], [["liver", "spleen"]]


@pytest.mark.parametrize(
    ("history", "question", "meant"),
    [
        (LEFT, "and the other side?", "Outline the right kidney."),
        (LEFT, "R now", "Outline the right kidney."),
        (LEFT, "Is its counterpart there as well?", "Is the right kidney visible?"),
        (LEFT, "both, please", "Outline the left kidney and the right kidney."),
        (BOTH, "only the left one", "Outline the left kidney."),
        (TWO, "the second one alone", "Outline the spleen."),
        (TWO, "only the former", "Outline the liver."),
        ([["liver"], ["spleen"]], "both together", "Outline the liver and the spleen."),
    ],
)
def test_the_thing_is_named(history, question, meant):
    assert spelt_out(question, history, KNOWN) == meant


@pytest.mark.parametrize(
    ("history", "question"),
    [
        ([], "and the other side?"),
        (LEFT, "not the left one"),
        (LEFT, "get rid of the right one"),
        (LEFT, "Is that right?"),
        (LEFT, "right, and the ribs"),
        (LEFT, "left or right?"),
        (LEFT, "the other right one, I mean the left"),
        (BOTH, "the other one"),
        ([["liver"]], "the other side"),
        (TWO, "the first and the last one"),
        ([["left heart"]], "and the right?"),  # nothing that the model knows
        (LEFT, "and the liver?"),
    ],
)
def test_what_is_not_sure_stays_as_it_is(history, question):
    assert spelt_out(question, history, KNOWN) == question


def test_a_turn_is_about_what_it_names():
    assert names_of(("Outline the liver.", "The spleen is not seen."), KNOWN) == ["liver"]
    assert names_of(("And the other?", "The right kidney [1] is outlined."), KNOWN) == ["right kidney"]
    assert names_of(("Hello.", "Hello."), KNOWN) == []
