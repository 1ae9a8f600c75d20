"""Requests that name nothing, and such as mean something only after another one."""

from __future__ import annotations

import random
import re

import pytest

from medsight_core.data.described import describe, described
from medsight_core.data.descriptions import DESCRIBED, PAIRS, REASONS, WORDS
from medsight_core.data.follow_ups import again, both_sides, earlier, neighbour, one_of_them, opposite, together
from medsight_core.data.request import Request, Thing, request
from medsight_core.data.scene import Scene
from medsight_core.data.spoken import expand
from medsight_core.data.targets import Target
from medsight_core.terminology import NAMES, split_side

BASES = {split_side(name)[1] for name in NAMES}
LEFT, LIVER = Target("left kidney", "M0_1", ()), Target("liver", "M0_2", ())
SCENE = Scene((LEFT, LIVER), ("right kidney", "spleen"), line="Seen on this axial CT: left kidney, liver.\n")


@pytest.fixture
def rng():
    return random.Random(4)


def of(*names: str) -> Request:
    """A request for some things before the one in question."""
    return request("outline", [Thing(name, name, SCENE.meant(name)) for name in names], random.Random(1))


def test_each_phrase_means_one_thing_that_exists():
    assert DESCRIBED.keys() | PAIRS.keys() | REASONS.keys() <= BASES
    plain = [phrase for phrases in DESCRIBED.values() for phrase in phrases if "<" not in phrase]
    assert len(plain) == len(set(plain))


def test_phrases_come_out_without_grammar_and_without_the_name(rng):
    for table in (DESCRIBED, PAIRS):
        for base, phrases in table.items():
            for phrase in phrases:
                words = expand(phrase, rng, WORDS)
                assert not re.search(r"[<>|]", words), phrase
                assert not re.search(rf"\b{base}\b", words), phrase


def test_what_is_described_is_answered_by_its_name(rng):
    seen = set()
    for _ in range(300):
        for lacking in (False, True):
            turn = described(SCENE, lacking, lambda targets: True, rng)
            names = {thing.name for thing in turn.things}
            assert any(thing.meant == [] for thing in turn.things) == lacking
            assert all(name in turn.answer for name in names)
            seen |= {frozenset(names)}
    # A kidney without a side is both.
    assert seen == {frozenset(each) for each in (["left kidney", "right kidney"], ["left kidney"], ["right kidney"],
                                                  ["liver"], ["spleen"])}  # fmt: skip


def test_nothing_is_described_where_nothing_is_known(rng):
    scene = Scene((), ("left unheard-of",))
    assert described(scene, True, lambda targets: True, rng) is None
    assert described(SCENE, False, lambda targets: not targets, rng) is None
    assert describe("unheard-of", rng) == ""


def test_follow_ups_are_answered_from_the_request_before(rng):
    one, two = of("left kidney"), of("liver", "spleen")
    assert again([two], SCENE, rng).answer == "The liver [M0_2] is outlined. The spleen is not seen."
    assert opposite([one], SCENE, rng).answer == "The right kidney is not seen."
    assert both_sides([one], SCENE, rng).answer == "The left kidney [M0_1] is outlined. The right kidney is not seen."
    assert one_of_them([two], SCENE, rng).answer in ("The liver [M0_2] is outlined.", "The spleen is not seen.")
    assert earlier([two, one], SCENE, rng).answer == again([two], SCENE, rng).answer
    assert together([of("liver"), of("spleen")], SCENE, rng).answer == again([two], SCENE, rng).answer
    sides = {one_of_them([of("kidney")], SCENE, rng).answer for _ in range(20)}
    assert sides == {"The left kidney [M0_1] is outlined.", "The right kidney is not seen."}


def test_the_part_of_the_spine_below_is_the_next_one(rng):
    spine = Scene((Target("lumbar spine", "M5_0", ()),), ("thoracic spine", "cervical spine"))
    turn = neighbour([of("lumbar spine")], spine, rng)
    assert turn.answer == "The thoracic spine is not seen."
    assert {neighbour([of("thoracic spine")], spine, rng).things[0].name for _ in range(20)} == {
        "lumbar spine",
        "cervical spine",
    }
    assert neighbour([of("liver")], SCENE, rng) is None


def test_follow_ups_that_would_mean_nothing_are_not_asked(rng):
    liver = of("liver")
    assert opposite([liver], SCENE, rng) is None
    assert both_sides([liver], SCENE, rng) is None
    assert one_of_them([liver], SCENE, rng) is None
    assert earlier([liver], SCENE, rng) is None
    assert together([liver], SCENE, rng) is None
    assert together([liver, liver], SCENE, rng) is None
    assert again([Request("Hello.", "Hello.")], SCENE, rng) is None
