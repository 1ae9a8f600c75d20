"""What was said about one volume so far. Knows neither Slicer nor HTTP, and forgets when the volume changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Hashable, Mapping

from medsight_core.answer import Answer
from medsight_core.protocol import MAX_HISTORY_TURNS


@dataclass(frozen=True)
class Turn:
    """One question with its answer; ``segment_ids`` says by `Region.label` where the outlines are shown."""

    prompt: str
    answer: Answer
    segment_ids: Mapping[int, str] = field(default_factory=dict)


class Conversation:
    """The turns about one volume, oldest first."""

    def __init__(self) -> None:
        """Empty, about nothing."""
        self.turns: list[Turn] = []
        self._about: Hashable = None

    def turn_to(self, about: Hashable) -> bool:
        """Talk about this from now on; True when that is something else, so that the earlier turns are forgotten."""
        if about == self._about:
            return False
        self._about = about
        self.turns = []
        return True

    def add(self, turn: Turn) -> None:
        """The newest turn."""
        self.turns.append(turn)

    def history(self) -> tuple[tuple[str, str], ...]:
        """The newest turns as the protocol's (question, answer) pairs."""
        return tuple((turn.prompt, turn.answer.text) for turn in self.turns[-MAX_HISTORY_TURNS:])
