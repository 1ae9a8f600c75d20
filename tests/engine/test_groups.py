"""Words that mean several things together."""

from __future__ import annotations

import pytest

from medsight_core.engine.groups import without_groups

KNOWN = (
    *("left putamen", "right putamen", "left caudate nucleus", "right caudate nucleus", "left pallidum"),
    *("right pallidum", "cervical spine", "thoracic spine", "lumbar spine", "lateral ventricle", "third ventricle"),
)


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("left basal ganglia", "left caudate nucleus, the left pallidum and the left putamen"),
        ("Outline the striatum on the right side.", "Outline the right caudate nucleus and the right putamen."),
        ("ribs and spine", "ribs and cervical spine, the lumbar spine and the thoracic spine"),
        ("all the ventricles?", "lateral ventricle and the third ventricle?"),
    ],
)
def test_each_of_them_is_named(question, names):
    assert without_groups(question, KNOWN) == names


@pytest.mark.parametrize(
    "question",
    [
        "thoracic spine",
        "the lateral ventricles",
        "T-spine",
        "spine of the scapula",
        "a lesion in the basal ganglia",
        "the ribbon of the two big hemispheres",
        "bony thorax",  # one of its names is known here
    ],
)
def test_what_is_one_thing_or_only_a_place_stays(question):
    assert without_groups(question, KNOWN) == question


def test_a_word_for_things_that_nobody_knows_stays():
    assert without_groups("the basal ganglia", ("liver", "left putamen")) == "the basal ganglia"


CT = ("ribs", "skull", "cervical spine", "thoracic spine", "lumbar spine", "left putamen", "left pallidum")


@pytest.mark.parametrize(
    ("question", "seen", "names"),
    [
        ("the bone", ["skull"], "the skull"),
        ("spine and heart", ["thoracic spine", "lumbar spine"], "lumbar spine and the thoracic spine and heart"),
        ("the spine", ["ribs"], "the cervical spine, the lumbar spine and the thoracic spine"),
        ("left lentiform nucleus", ["left putamen"], "left pallidum and the left putamen"),
    ],
)
def test_of_bones_those_are_meant_that_the_image_shows(question, seen, names):
    assert without_groups(question, CT, seen) == names
