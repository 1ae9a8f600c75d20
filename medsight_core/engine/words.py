"""The words of a question, as they were meant, and what stands between them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from medsight_core.engine.aliases import SIDE_OF

_BESIDE = re.compile(r"[^\S\n]*[-–_]?[^\S\n]*")
_AFTER_SHORT = re.compile(r"\.[^\S\n]*")
_SHORT = 4  # letters of a word that a full stop may abbreviate


@dataclass(frozen=True)
class Words:
    """A question and its words: how each was meant, and its [start, end)."""

    text: str
    said: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        """How many words there are."""
        return len(self.said)

    def __getitem__(self, at: int) -> str:
        """A word; "" where there is none."""
        return self.said[at] if 0 <= at < len(self.said) else ""

    def gap(self, at: int) -> str:
        """What stands before a word, or behind the last."""
        start = self.spans[at - 1][1] if at > 0 else 0
        return self.text[start : self.spans[at][0] if at < len(self.spans) else len(self.text)]

    def beside(self, at: int) -> bool:
        """Whether a word follows the one before it directly, with a blank or a hyphen between them."""
        if not 0 < at < len(self.said):
            return False
        gap, start, end = self.gap(at), *self.spans[at - 1]
        short = end - start <= _SHORT and self.said[at - 1] != "left"
        return bool(_BESIDE.fullmatch(gap) or (short and _AFTER_SHORT.fullmatch(gap)))

    def side(self, at: int) -> str:
        """The side that a word says; "" for other words."""
        return SIDE_OF.get(self[at], "")
