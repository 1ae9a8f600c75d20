"""One name for a thing in answers, many in questions."""

from __future__ import annotations

import random

import pytest

from medsight_core.data.names import canonical, is_abnormal, say, say_both, shows
from medsight_core.engine.aliases import SYNONYMS
from medsight_core.engine.plurals import PLURALS
from medsight_core.engine.wording import is_plural
from medsight_core.terminology import NAMES, split_side


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("Right+Kidney", "right kidney"),
        ("kidney_left", "left kidney"),
        ("brain tumor", "brain tumour"),
        ("Edema", "oedema"),
        ("bladder", "urinary bladder"),
        ("caudate left", "left caudate nucleus"),
        ("temporal horn", "inferior lateral ventricle"),
        ("left", "left"),
        ("COVID-19  infection", "covid-19 infection"),
    ],
)
def test_spellings_of_data_sets_become_one_name(spelled, name):
    assert canonical(spelled) == name


def test_names_of_the_terminology_stay_as_they_are():
    assert [canonical(name) for name in NAMES] == list(NAMES)


@pytest.mark.parametrize(
    ("shown", "asked", "shows_it"),
    [
        ("left kidney", "kidney", True),
        ("kidney", "left kidney", True),
        ("liver tumour", "liver", True),
        ("liver tumour", "tumour", True),
        ("liver", "liver tumour", False),
        ("left kidney", "right kidney", False),
        ("liver", "delivery", False),
    ],
)
def test_one_thing_may_show_another(shown, asked, shows_it):
    assert shows(shown, asked) is shows_it


def test_people_say_a_thing_in_many_ways_that_keep_its_side():
    rng = random.Random(0)
    said = {say("left kidney", rng) for _ in range(200)}
    assert len(said) > 10
    assert all("left" in words and "right" not in words for words in said)
    assert {"left kidney", "the kidney on the left"} <= said
    assert all(words.startswith(("both", "the")) for words in {say_both("ribs", rng) for _ in range(50)})
    assert "both hippocampi" in {say_both("hippocampus", rng) for _ in range(50)}


def test_one_thing_is_never_said_in_the_plural():
    rng = random.Random(1)
    for name in SYNONYMS:
        said = {say(name, rng).removeprefix("the ") for _ in range(200)}
        assert {name, *SYNONYMS[name]} <= said
        if not is_plural(name):
            assert not any(is_plural(words) or set(words.split()) & set(PLURALS.values()) for words in said)
    assert "tumor" in {say("tumour", rng) for _ in range(50)}


def test_findings_are_told_from_organs():
    assert all(map(is_abnormal, ("tumour", "lung nodule", "covid-19 infection", "pleural effusion", "breast mass")))
    assert not any(map(is_abnormal, ("liver", "left lateral ventricle", "optic disc", "massa intermedia")))
    assert split_side("left kidney") == ("left", "kidney")
    assert split_side("kidney") == ("", "kidney")
