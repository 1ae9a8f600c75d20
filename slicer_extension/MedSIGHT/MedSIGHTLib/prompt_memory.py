"""What was asked before, brought back one at a time with the arrow keys. Plain data: knows neither Slicer nor Qt.

The arrows belong to the text while somebody writes in it: they recall only from an empty box, or from one that shows a
recalled question unchanged.
"""

from __future__ import annotations

from typing import Callable, Sequence


class PromptMemory:
    """The questions of a conversation, and all that were asked since."""

    def __init__(self, earlier: Callable[[], Sequence[str]]):
        """``earlier``: the questions of the conversation that is shown, oldest first."""
        self._earlier = earlier
        self._asked: list[str] = []  # whatever became of them
        self._recalled: tuple[int, str] | None = None  # which one is shown, counted from the newest

    def add(self, text: str) -> None:
        """It was asked just now."""
        self._asked.append(text)
        self._recalled = None

    def back(self, shown: str) -> str | None:
        """The question before the one that is shown; None when the arrow belongs to the text."""
        recalled = self._place(shown)
        if recalled is None and shown:
            return None
        memory = list(dict.fromkeys(reversed([*self._earlier(), *self._asked])))
        place = 0 if recalled is None else recalled + 1
        if place >= len(memory):
            return shown
        self._recalled = (place, memory[place])
        return memory[place]

    def forth(self, shown: str) -> str | None:
        """The question after the one that is shown, "" after the newest; None when the arrow belongs to the text."""
        recalled = self._place(shown)
        if recalled is None:
            return None
        if recalled == 0:
            self._recalled = None
            return ""
        memory = list(dict.fromkeys(reversed([*self._earlier(), *self._asked])))
        self._recalled = (recalled - 1, memory[recalled - 1])
        return memory[recalled - 1]

    def _place(self, shown: str) -> int | None:
        return self._recalled[0] if self._recalled is not None and self._recalled[1] == shown else None
