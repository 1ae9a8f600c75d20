"""The conversation as plain data: turns, links, JSON; and where a question stands, in words."""

from __future__ import annotations

import json

import pytest

from medsight_core.answer import Answer, Region
from medsight_core.client import Progress, Text
from medsight_core.protocol import MAX_HISTORY_TURNS

ANSWER = Answer("The heart [2].", (Region(2, "heart", "M0_2", (4, 9), 0.9, 12.5),), ("肝",))


@pytest.fixture
def plain(medsight_module):
    from MedSIGHTLib import conversation

    return conversation


@pytest.fixture
def waiting(medsight_module):
    from MedSIGHTLib.waiting import Waiting

    return Waiting("Where?", "", 100.0)


def test_conversation_survives_its_json(plain):
    turn = plain.Turn("Où est le cœur ?", ANSWER, {2: "heart_1"}, "Red slice", ("heart",))
    text = plain.Conversation((turn, plain.Turn("b", Answer("No.")))).to_json()
    again = plain.Conversation.from_json(text)
    assert again.turns[0] == turn
    assert again.turns[1].answer.text == "No."
    assert again.to_json() == text
    assert "cœur" in text, "readable by people, too"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"version": 1}',
        '{"version": 2, "turns": []}',
        '{"version": 1, "turns": [{"prompt": "a"}]}',
        "{",
    ],
)
def test_what_is_no_conversation_is_refused(plain, text):
    with pytest.raises(ValueError, match="not a conversation"):
        plain.Conversation.from_json(text)


def test_json_has_no_more_than_what_was_said(plain):
    data = json.loads(plain.Conversation((plain.Turn("a", ANSWER),)).to_json())
    assert set(data["turns"][0]) == {"prompt", "answer", "segments", "looked_at", "kept"}


def test_history_is_the_newest_turns(plain):
    conversation = plain.Conversation()
    for number in range(MAX_HISTORY_TURNS + 3):
        conversation.add(plain.Turn(str(number), ANSWER))
    history = conversation.history()
    assert len(history) == MAX_HISTORY_TURNS
    assert history[-1] == (str(MAX_HISTORY_TURNS + 2), ANSWER.text)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [("region:0:3", (0, 3)), ("region:x:3", None), ("region:1", None), ("https://a/1", None), ("", None)],
)
def test_links(plain, text, parsed):
    link = plain.Link.parse(text)
    assert link == (None if parsed is None else plain.Link(*parsed))
    assert link is None or str(link) == text


def test_links_lead_to_segments(plain):
    conversation = plain.Conversation((plain.Turn("a", ANSWER, {2: "heart_1"}), plain.Turn("b", ANSWER)))
    assert conversation.follow(plain.Link(0, 2)) == (ANSWER.regions[0], "heart_1")
    assert conversation.follow(plain.Link(1, 2)) == (ANSWER.regions[0], "")
    assert conversation.follow(plain.Link(0, 3)) is None
    assert conversation.follow(plain.Link(2, 2)) is None


def test_phases_in_words(waiting):
    assert waiting.sentence(100.4) == "Waiting for the server · 0 s"
    waiting.hear(Progress("queued", ahead=1), 101.0)
    assert waiting.sentence(103.0) == "Waiting in the server's line, 1 question before this one · 2 s (3 s in all)"
    waiting.hear(Progress("encode", 0.25, elapsed=1.0), 105.0)
    assert waiting.sentence(106.0) == "Looking at the volume, 25 % · 2 s (6 s in all)"
    waiting.hear(Progress("encode", 0.5, elapsed=4.0), 108.0)
    assert waiting.sentence(108.0) == "Looking at the volume, 50 % · 4 s (8 s in all)"
    waiting.hear(Progress("of a newer server"), 109.0)
    assert waiting.sentence(109.0) == "Waiting for the server · 0 s (9 s in all)"
    waiting.hear(Text("The "), 109.0)
    waiting.hear(Text("heart"), 109.0)
    assert waiting.text == "The heart"


def test_phases_are_told_with_their_times_in_the_end(waiting):
    waiting.hear(Progress("upload"), 100.0)
    waiting.hear(Progress("generate"), 102.0)
    waiting.hear(Progress("receive"), 105.5)
    assert waiting.took(105.52) == "Answered in 5.5 s: uploading the volume 2.0 s, writing the answer 3.5 s."
