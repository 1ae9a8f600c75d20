"""Questions are put in many ways, agree with what they are about, and keep the words that must be kept."""

from __future__ import annotations

import random
import re

import pytest

from medsight_core.data import phrases, small_talk
from medsight_core.data.names import plural
from medsight_core.data.spoken import ask, expand, said, said_both, write


@pytest.mark.parametrize(
    ("rule", "least"), [("outline", 500), ("check", 500), ("locate", 120), ("follow", 40), ("other side", 30)]
)
def test_there_are_many_forms(rule, least):
    rng = random.Random(0)
    forms = {ask(rule, ["spleen"], rng, side="left") for _ in range(2500)}
    assert len(forms) > least
    if rule != "other side":
        assert all(form.lower().count("spleen") == 1 for form in forms)


def test_every_rule_ends_and_leaves_no_room_empty():
    rng = random.Random(1)
    for rule in phrases.RULES:
        for _ in range(30):
            assert not re.search(r"[<>|]", expand(f"<{rule}>", rng)), rule
    for sentence in small_talk.OFF_TOPIC:
        for _ in range(30):
            assert not re.search(r"[<>|{}]", expand(sentence, rng)), sentence


def test_every_named_rule_exists():
    """What stands alone in angle brackets is a rule; words to choose from have a bar."""
    for text in (*small_talk.OFF_TOPIC, *(each for alternatives in phrases.RULES.values() for each in alternatives)):
        while match := re.search(r"<([^<>]+)>", text):
            assert "|" in match[1] or match[1] in phrases.RULES, (match[1], text)
            text = text.replace(match[0], "")


@pytest.mark.parametrize(
    ("things", "many", "wrong"),
    [
        (["left kidney"], False, r"\b(are(?! you)|them)\b"),
        (["ribs"], False, r"\b(is|it|a ribs)\b(?! possible)"),
        (["spleen", "liver"], False, r"\bis (the spleen|spleen)|\bit\b"),
        (["both kidneys"], True, r"\b(the|a) both|\bis both|\bit\b"),
    ],
)
def test_sentences_agree_with_what_they_are_about(things, many, wrong):
    rng = random.Random(2)
    for _ in range(800):
        question = ask("check", things, rng, many)
        if not re.search(r"is there any|has th|does (it|th)", question):
            assert not re.search(wrong, question), question


def test_several_things_stand_in_their_order():
    rng = random.Random(3)
    for _ in range(200):
        question = ask("outline", ["liver", "left kidney", "aorta"], rng)
        places = [question.index(name) for name in ("liver", "left kidney", "aorta")]
        assert places == sorted(places)


def test_names_are_said_as_they_are_in_most_questions():
    rng = random.Random(4)
    words = [said("left kidney", rng) for _ in range(1000)]
    assert 0.6 < words.count("left kidney") / 1000 < 0.8
    assert "left renal tissue" in words
    assert not any(each.startswith("the ") for each in words)
    assert {said_both("kidney", rng) for _ in range(100)} >= {"both kidneys", "kidneys"}


@pytest.mark.parametrize(
    ("name", "more"),
    [("kidney", "kidneys"), ("ribs", "ribs"), ("thalamus", "thalami"), ("caudate nucleus", "caudate nuclei")],
)
def test_plurals(name, more):
    assert plural(name) == more


def test_people_write_carelessly_and_keep_exact_words():
    rng = random.Random(5)
    question = "can you outline the right zalorium? draw it."
    written = [write(question, rng, ["right zalorium"]) for _ in range(2000)]
    assert all("right zalorium" in each for each in written)
    assert "Can you outline the right zalorium? Draw it." in written
    assert question in written
    mistyped = [each for each in written if each.lower() != question]
    assert 0.06 < len(mistyped) / 2000 < 0.18
    assert len(set(mistyped)) > 50
    assert all(abs(len(each) - len(question)) <= 2 for each in mistyped)


def test_a_word_too_short_to_mistype_stays():
    assert {write("ct", random.Random(seed)) for seed in range(100)} == {"ct", "Ct"}
