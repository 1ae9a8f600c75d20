"""One slow piece of work at a time beside Slicer's event loop.

The work runs in a thread and must touch neither the scene nor a widget. A timer in the main thread fetches the outcome
and calls back there; the loop is never pumped from within a slot, so a click cannot run inside another click.
"""

from __future__ import annotations

import queue
import threading
from typing import Any, Callable

import qt

_POLL_MILLISECONDS = 25
# Slicer's event loop keeps Python's lock while it waits for events, which would starve the thread. Waiting on the queue
# gives the lock away for this long at each poll: too short to be felt, long enough for the network to get on.
_YIELD_SECONDS = 0.01


class Background:
    """Runs one piece of work at a time."""

    def __init__(self) -> None:
        """Idle."""
        self._timer = qt.QTimer()
        self._timer.setInterval(_POLL_MILLISECONDS)
        self._timer.connect("timeout()", self._poll)
        self._outcome: queue.Queue[tuple[bool, Any]] | None = None
        self._done: Callable[[Any], None] | None = None
        self._failed: Callable[[Exception], None] | None = None

    @property
    def busy(self) -> bool:
        """Whether an outcome is still awaited."""
        return self._outcome is not None

    def run(self, work: Callable[[], Any], done: Callable[[Any], None], failed: Callable[[Exception], None]) -> None:
        """Start ``work``; later, in this thread, call ``done`` with its result or ``failed`` with its exception.

        Raises RuntimeError while other work is awaited.
        """
        if self.busy:
            raise RuntimeError("Other work is still running.")
        outcome: queue.Queue[tuple[bool, Any]] = queue.Queue()
        self._outcome, self._done, self._failed = outcome, done, failed

        def run() -> None:
            try:
                outcome.put((True, work()))
            except Exception as error:  # whatever it is, it belongs to whoever asked for the work
                outcome.put((False, error))

        self.start(run)
        self._timer.start()

    @staticmethod
    def start(work: Callable[[], Any]) -> threading.Thread:
        """Run ``work`` beside everything else, with nobody awaiting its outcome.

        A daemon: closing Slicer must not wait for a server that thinks for minutes.
        """
        thread = threading.Thread(target=work, name="MedSIGHT", daemon=True)
        thread.start()
        return thread

    def forget(self) -> None:
        """Await nothing any more; work that still runs ends unheard."""
        self._timer.stop()
        self._outcome = self._done = self._failed = None

    def _poll(self) -> None:
        if self._outcome is None:
            return
        try:
            succeeded, value = self._outcome.get(timeout=_YIELD_SECONDS)
        except queue.Empty:
            return
        done, failed = self._done, self._failed
        self.forget()  # first, so that a callback may start new work
        callback = done if succeeded else failed
        callback(value)
