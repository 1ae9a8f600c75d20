"""What was said about one volume: its turns, their links to segments, and both as JSON.

Plain data for every face that MedSIGHT has: knows neither Slicer, Qt nor HTTP.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Mapping

from medsight_core.answer import Answer, Region
from medsight_core.protocol import MAX_HISTORY_TURNS

_VERSION = 1
_LINK = "region"


@dataclass(frozen=True)
class Turn:
    """One question with its answer.

    segment_ids: by `Region.label`, where the outlines are shown. looked_at: what the question was about, in words
    ("Red slice", "axial slices 10 to 20"); empty for the whole volume. kept: names of segments that a person had
    changed, so that the answer left them alone.
    """

    prompt: str
    answer: Answer
    segment_ids: Mapping[int, str] = field(default_factory=dict)
    looked_at: str = ""
    kept: tuple[str, ...] = ()


@dataclass(frozen=True)
class Link:
    """From a name in an answer to its outline: which turn (from 0), and which `Region.label` there."""

    turn: int
    label: int

    def __str__(self) -> str:
        """As it stands in a page: ``region:0:3``."""
        return f"{_LINK}:{self.turn}:{self.label}"

    @classmethod
    def parse(cls, text: str) -> Link | None:
        """The link that was written like that; None for any other text."""
        scheme, _, rest = text.partition(":")
        turn, _, label = rest.partition(":")
        if scheme != _LINK or not (turn.isascii() and turn.isdigit() and label.isascii() and label.isdigit()):
            return None
        return cls(int(turn), int(label))


class Conversation:
    """The turns about one volume, oldest first."""

    def __init__(self, turns: tuple[Turn, ...] = ()):
        """Empty unless told otherwise."""
        self.turns: tuple[Turn, ...] = tuple(turns)

    def add(self, turn: Turn) -> None:
        """The newest turn."""
        self.turns = (*self.turns, turn)

    def history(self) -> tuple[tuple[str, str], ...]:
        """The newest turns as the protocol's (question, answer) pairs."""
        return tuple((turn.prompt, turn.answer.text) for turn in self.turns[-MAX_HISTORY_TURNS:])

    def follow(self, link: Link) -> tuple[Region, str] | None:
        """The region that a link means and its segment's id ("" when it never had one); None when it means none."""
        if not 0 <= link.turn < len(self.turns):
            return None
        turn = self.turns[link.turn]
        region = next((region for region in turn.answer.regions if region.label == link.label), None)
        return None if region is None else (region, turn.segment_ids.get(link.label, ""))

    def to_json(self) -> str:
        """As text that `from_json` takes."""
        turns = [
            {
                "prompt": turn.prompt,
                "answer": turn.answer.to_json(),
                "segments": {str(label): segment_id for label, segment_id in turn.segment_ids.items()},
                "looked_at": turn.looked_at,
                "kept": list(turn.kept),
            }
            for turn in self.turns
        ]
        return json.dumps({"version": _VERSION, "turns": turns}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Conversation:
        """The conversation that was written as ``text``; ValueError when it is none, or a newer MedSIGHT's."""
        try:
            data = json.loads(text)
            if int(data["version"]) > _VERSION:
                raise ValueError("of a newer version")
            return cls(tuple(_turn(turn) for turn in data["turns"]))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a conversation: {error}") from None


def _turn(data: Mapping) -> Turn:
    return Turn(
        prompt=str(data["prompt"]),
        answer=Answer.from_json(data["answer"]),
        segment_ids={int(label): str(segment_id) for label, segment_id in data.get("segments", {}).items()},
        looked_at=str(data.get("looked_at", "")),
        kept=tuple(str(name) for name in data.get("kept", ())),
    )
