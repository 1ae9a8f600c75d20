"""One question on its way: how far it is, what has been said, how it ended.

The engine works in a thread and is told to stop by what its callbacks raise; everything else here belongs to the event
loop's thread. Knows neither HTTP nor what a question is.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from dataclasses import dataclass
from typing import Any, AsyncIterator, Callable

import anyio
import anyio.to_thread

from medsight_core.errors import BusyError, CancelledError, MedSightError
from medsight_core.protocol import (
    EVENT_CANCELLED,
    EVENT_DONE,
    EVENT_FAILED,
    EVENT_PROGRESS,
    EVENT_TEXT,
    FINAL_EVENTS,
    PATH_JOBS,
)
from medsight_core.server.failures import foreseen
from medsight_core.server.turns import Turns

BEAT_SECONDS = 5.0  # without news; a listener that hears nothing for longer may take the server for dead
PROGRESS_SECONDS = 0.2  # between two news of one phase: a long reply has hundreds of tokens

Progress = Callable[[str, float], None]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """An answer as JSON, and its label file with the name to send it under; without a file when nothing was found.

    soft: the file of soft masks, where it was asked for.
    """

    reply: dict[str, Any]
    name: str = ""
    label: bytes | None = None
    soft: bytes | None = None


@dataclass(frozen=True)
class Event:
    """One piece of news; ``number`` counts from 1."""

    number: int
    kind: str
    data: dict[str, Any]

    def to_sse(self) -> str:
        """As a server-sent event."""
        return f"id: {self.number}\nevent: {self.kind}\ndata: {json.dumps(self.data)}\n\n"


class Job:
    """A question that is answered once, by `run`, while any number of listeners follow it through `events`.

    work: answers the question in a thread of its own; called with progress and say as of `Engine.ask`.
    who: whose question it is, as of `Turns.turn`. voxel_bytes: of its image, for whoever shares out the memory. image:
    which image it is about, and ``place``, where it is answered: as of `Places`.
    """

    def __init__(
        self, work: Callable[[Progress, Say], Result], who: str = "", voxel_bytes: int = 0, image: str = ""
    ) -> None:
        """Not begun."""
        self.id, self.who, self.voxel_bytes, self.image = secrets.token_hex(16), who, voxel_bytes, image
        self.place = 0
        self._work = work
        self._events: list[Event] = []
        self._news = asyncio.Event()
        self._waiting = anyio.CancelScope()
        self._stopped: MedSightError | None = None
        self._outcome: Result | MedSightError | None = None
        self._asked = self._phase_began = self._told_at = time.monotonic()
        self._began: float | None = None  # to be answered
        self._ended = 0.0
        self._phase = ""

    @property
    def finished(self) -> bool:
        """Whether the last event is told."""
        return bool(self._events) and self._events[-1].kind in FINAL_EVENTS

    @property
    def working(self) -> bool:
        """Whether it is being answered now."""
        return self._began is not None and not self.finished

    def began_before(self, other: Job) -> bool:
        """Whether both are being answered now, this one for longer."""
        return self.working and other.working and (self._began or 0.0) < (other._began or 0.0)

    @property
    def seconds(self) -> tuple[float, float]:
        """How long a question that has ended waited, and how long it was answered; 0 for what it did not come to."""
        began = self._ended if self._began is None else self._began
        return began - self._asked, self._ended - began

    def result(self) -> Result | None:
        """The answer, None when there is none yet. Raises what the question failed with."""
        if isinstance(self._outcome, MedSightError):
            raise self._outcome
        return self._outcome

    def stop(self, error: MedSightError) -> None:
        """End the question with ``error`` before its next token or batch of planes, or at once if it waits."""
        if not self.finished and self._stopped is None:
            self._stopped = error
            self._waiting.cancel()

    async def run(
        self, turns: Turns, limiter: anyio.CapacityLimiter, prepare: Callable[[Job], None] = lambda _: None
    ) -> None:
        """Wait for one's turn, answer, tell how it ended. What goes wrong is told and kept, not raised.

        prepare: called before the answer, in its thread; what it raises is how the question ends.
        """
        loop = asyncio.get_running_loop()

        def progress(phase: str, done: float) -> None:
            if self._stopped is not None:
                raise self._stopped
            if news := self._progress(phase, done=round(done, 4)):
                loop.call_soon_threadsafe(self._tell, EVENT_PROGRESS, news)

        def say(text: str) -> None:
            loop.call_soon_threadsafe(self._tell, EVENT_TEXT, {"text": text})

        def queued(ahead: int) -> None:
            if ahead:
                self._tell(EVENT_PROGRESS, self._progress("queued", always=True, ahead=ahead))

        def answer() -> Result:
            prepare(self)
            return self._work(progress, say)

        try:
            with self._waiting:
                async with turns.turn(queued, self.who):
                    self._began = time.monotonic()
                    # Not abandoned when cancelled: the engine must have stopped before the next one's turn begins.
                    self._outcome = await anyio.to_thread.run_sync(answer, limiter=limiter)
        except Exception as error:
            self._outcome = foreseen(error)
        if self._stopped is not None:
            self._outcome = self._stopped
        self._ended = time.monotonic()
        self._tell(*self._ending())

    async def events(self, after: int = 0) -> AsyncIterator[Event | None]:
        """The events with a number above ``after``, as they come, to the last; None when there was none for a while."""
        after = after if after <= len(self._events) else 0  # a number of another server's life
        while True:
            news = self._news
            for event in self._events[after:]:
                yield event
                after = event.number
            if self.finished and after >= len(self._events):
                return
            try:
                await asyncio.wait_for(news.wait(), BEAT_SECONDS)
            except (asyncio.TimeoutError, TimeoutError):
                yield None

    def _progress(self, phase: str, always: bool = False, **how: float) -> dict[str, Any]:
        """An event's data; empty when it is too soon for more of the same."""
        now = time.monotonic()
        if phase == self._phase and not always and now - self._told_at < PROGRESS_SECONDS:
            return {}
        if phase != self._phase:
            self._phase, self._phase_began = phase, now
        self._told_at = now
        elapsed, total = (round(now - since, 3) for since in (self._phase_began, self._asked))
        return {"phase": phase, **how, "elapsed": elapsed, "total": total}

    def _ending(self) -> tuple[str, dict[str, Any]]:
        if isinstance(self._outcome, Result):
            return EVENT_DONE, {"reply": self._outcome.reply, "result": f"{PATH_JOBS}/{self.id}/result"}
        assert self._outcome is not None  # noqa: S101 - `run` has ended
        kind = EVENT_CANCELLED if isinstance(self._outcome, CancelledError) else EVENT_FAILED
        told: dict[str, Any] = {"detail": str(self._outcome), "status": self._outcome.http_status}
        if isinstance(self._outcome, BusyError):
            told["retry_after"] = self._outcome.retry_after
        return kind, told

    def _tell(self, kind: str, data: dict[str, Any]) -> None:
        self._events.append(Event(len(self._events) + 1, kind, data))
        self._news.set()
        self._news = asyncio.Event()
