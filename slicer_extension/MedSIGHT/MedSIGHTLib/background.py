"""One slow piece of work at a time beside Slicer's event loop.

The work runs in a thread and must touch neither the scene nor a widget. A timer in the main thread fetches what it
tells and its outcome, and calls back there; the loop is never pumped from within a slot, so a click cannot run inside
another click.
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


def later(milliseconds: int, callback: Callable[[], None]) -> Callable[[], None]:
    """Call back once on the event loop after a while; what is returned prevents that."""
    timer = qt.QTimer()
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.connect("timeout()", callback)
    timer.start()

    def stop() -> None:  # and holds on to the timer meanwhile
        timer.stop()

    return stop


class Background:
    """Runs one piece of work at a time."""

    def __init__(self) -> None:
        """Idle."""
        self._timer = qt.QTimer()
        self._timer.setInterval(_POLL_MILLISECONDS)
        self._timer.connect("timeout()", self._poll)
        self._news: queue.Queue[tuple[str, Any]] | None = None
        self._callbacks: dict[str, Callable[[Any], None]] = {}

    @property
    def busy(self) -> bool:
        """Whether an outcome is still awaited."""
        return self._news is not None

    def run(
        self,
        work: Callable[[Callable[[Any], None]], Any],
        done: Callable[[Any], None],
        failed: Callable[[Exception], None],
        heard: Callable[[Any], None] = lambda news: None,
    ) -> None:
        """Start ``work``; later, in this thread, call ``done`` with its result or ``failed`` with its exception.

        ``work`` gets a function; what it gives to that arrives at ``heard``, in this thread and in order, before the
        outcome. Raises RuntimeError while other work is awaited.
        """
        if self.busy:
            raise RuntimeError("Other work is still running.")
        news: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._news, self._callbacks = news, {"done": done, "failed": failed, "heard": heard}

        def run() -> None:
            try:
                news.put(("done", work(lambda told: news.put(("heard", told)))))
            except Exception as error:  # whatever it is, it belongs to whoever asked for the work
                news.put(("failed", error))

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
        self._news, self._callbacks = None, {}

    def _poll(self) -> None:
        timeout = _YIELD_SECONDS
        while self._news is not None:
            try:
                kind, value = self._news.get(timeout=timeout) if timeout else self._news.get_nowait()
            except queue.Empty:
                return
            timeout, callback = 0.0, self._callbacks[kind]
            if kind != "heard":
                self.forget()  # first, so that a callback may start new work
            callback(value)
            if kind != "heard":
                return
