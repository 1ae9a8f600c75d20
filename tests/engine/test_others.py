"""Questions that ask for one thing that no model here knows, and for nothing else."""

from __future__ import annotations

import pytest

from medsight_core.engine.others import OTHERS, other_thing


@pytest.mark.parametrize(
    ("question", "thing"),
    [
        ("prostate, please show", "prostate"),
        ("Where's the patient's left breast?", "left breast"),
        ("I'd be grateful if you could locate the pacemaker lead", "pacemaker lead"),
        ("small bowel", "small bowel"),
        ("basilar artry outline", "basilar artry"),  # as it is spelt
        ("psoas mucsle right", "psoas mucsle"),
    ],
)
def test_the_thing_is_named_as_the_question_spells_it(question, thing):
    assert other_thing(question, ()) == thing


@pytest.mark.parametrize(
    "question",
    [
        "outline the liver",
        "the organ in front of the pancreas",  # a description of something else
        "liver and pancreas",
        "can you spot the bladder of the fetus",
        "Is anything there?",
        "",
    ],
)
def test_other_questions_are_left_to_the_model(question):
    assert other_thing(question, ()) == ""


def test_what_a_model_knows_is_none_of_them():
    assert other_thing("show the pancreas", ["pancreas"]) == ""


def test_all_are_written_once_in_small_letters():
    assert len(set(OTHERS)) == len(OTHERS) > 1000
    assert all(name == name.lower().strip() for name in OTHERS)
