"""Names that no model knows are many, canonical, and none that data sets label."""

from __future__ import annotations

import random

from medsight_core.data.names import canonical, shows
from medsight_core.data.unknown import made_up
from medsight_core.engine.groups import GROUPS
from medsight_core.engine.others import OTHERS
from medsight_core.engine.wording import absent_names, not_seen
from sample_data.generate.folders import CATEGORIES


def test_there_are_many_and_each_once():
    assert len(OTHERS) == len(set(OTHERS)) >= 150


def test_they_are_written_as_answers_name_things():
    for name in OTHERS:
        assert canonical(name) == name
        sentence = not_seen([name])
        assert absent_names(sentence[0].upper() + sentence[1:]) == [name]


def test_none_is_another_word_for_what_the_shipped_model_knows():
    for name in CATEGORIES:
        assert not [each for each in OTHERS if shows(name, each)], name
    assert not set(OTHERS) & set(GROUPS)


def test_made_up_names_differ_and_are_none_that_exist():
    rng = random.Random(0)
    names = [made_up(rng) for _ in range(500)]
    assert len(set(names)) > 450
    assert not set(names) & set(CATEGORIES)
    assert any(name.startswith("left ") for name in names)
    assert made_up(random.Random(3)) == made_up(random.Random(3))


def test_groups_are_of_names_that_the_shipped_model_knows():
    known = {name.removeprefix("left ").removeprefix("right ") for name in CATEGORIES}
    assert all(len(bases & known) > 1 for bases in GROUPS.values())
