"""Whose turn it is: one model, one question at a time, and everybody who asks gets as many turns as the others.

Clients go round: the next turn is that of the client who has waited longest since its last one, or since it came. So
who asks twenty at once waits with nineteen of them for whoever comes with one, and nobody waits for ever. A client's
own questions stay in their order. Belongs to the event loop's thread. Knows nothing of questions.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import AsyncIterator, Callable

import anyio


@dataclass(eq=False)
class _Place:
    who: str
    told: Callable[[int], None]
    turn: anyio.Event = field(default_factory=anyio.Event)
    ahead: int = -1  # as last told


class Turns:
    """A line of those who wait, and the one whose turn lasts until it leaves."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._now: _Place | None = None
        self._waiting: dict[str, list[_Place]] = {}  # by client, in the order in which clients come round

    @asynccontextmanager
    async def turn(self, told: Callable[[int], None], who: str = "") -> AsyncIterator[None]:
        """Wait for one's turn, and have it for the block. ``told`` hears, whenever it changes, how many are ahead.

        who: the client that takes turns with all others. Whoever is cancelled while waiting leaves the line.
        """
        place = _Place(who, told)
        self._waiting.setdefault(who, []).append(place)
        self._go_on()
        try:
            await place.turn.wait()
            yield
        finally:
            if place is self._now:
                self._now = None
                if more := self._waiting.pop(who, None):
                    self._waiting[who] = more
            else:
                self._leave(place)
            self._go_on()

    def _line(self) -> list[_Place]:
        """All who wait, in the order in which they will come if nobody else does."""
        whose = self._now.who if self._now else None  # comes round after all others
        queues = sorted(self._waiting.values(), key=lambda queue: queue[0].who == whose)
        return [place for layer in zip_longest(*queues) for place in layer if place is not None]

    def _leave(self, place: _Place) -> None:
        queue = self._waiting[place.who]
        queue.remove(place)
        if not queue:
            del self._waiting[place.who]

    def _go_on(self) -> None:
        """Let the next one begin when nobody's turn it is, and tell whoever's place has changed."""
        if self._now is None and self._waiting:
            self._now = self._line()[0]
            self._leave(self._now)
            self._now.turn.set()
        places = [self._now, *self._line()] if self._now else []
        for ahead, place in enumerate(places):
            if place.ahead != ahead:
                place.ahead = ahead
                place.told(ahead)
