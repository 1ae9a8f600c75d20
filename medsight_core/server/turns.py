"""Whose turn it is: one model, one question at a time, in the order in which they came.

Belongs to the event loop's thread. Knows nothing of questions.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import AsyncIterator, Callable

import anyio


class Turns:
    """A line of those who wait; the first one's turn lasts until it leaves."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._line: list[tuple[anyio.Event, Callable[[int], None]]] = []

    @asynccontextmanager
    async def turn(self, told: Callable[[int], None]) -> AsyncIterator[None]:
        """Wait for one's turn, and have it for the block. ``told`` hears, whenever it changes, how many are ahead.

        Whoever is cancelled while waiting leaves the line.
        """
        place = (anyio.Event(), told)
        self._line.append(place)
        told(len(self._line) - 1)
        try:
            if self._line[0] is not place:
                await place[0].wait()
            yield
        finally:
            gone = self._line.index(place)
            del self._line[gone]
            for ahead, (event, tell) in enumerate(self._line[gone:], start=gone):
                tell(ahead)
                if ahead == 0:
                    event.set()
