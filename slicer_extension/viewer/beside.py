"""Slow work beside the page's event loop. Knows asyncio only."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Callable


def beside(work: Callable[[], Any]) -> asyncio.Future[Any]:
    """The outcome of ``work``, which runs in a thread that nobody waits for when the page ends.

    The loop's own executor would be waited for, and a server may think for minutes.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if future.done():  # nobody wants it any more
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def run() -> None:
        try:
            result, error = work(), None
        except BaseException as raised:
            result, error = None, raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="medsight-view", daemon=True).start()
    return future


def later(milliseconds: int, callback: Callable[[], None]) -> Callable[[], None]:
    """Call back once on the event loop after a while; what is returned prevents that."""
    return asyncio.get_running_loop().call_later(milliseconds / 1000, callback).cancel
