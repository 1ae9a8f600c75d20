"""One question to one server, as a job where the server has them and as a plain request where it has not.

A job survives a broken connection: what was missed is asked for again. Whoever waits may cancel at any moment, however
silent the server; the exchange then ends in a thread that nobody waits for. Knows nothing of what is asked.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from dataclasses import dataclass
from typing import Callable, Generator, Mapping

from medsight_core.client.events import Event, ServerEvent, failure, meaning, parse_events
from medsight_core.client.reply import Reply, parse_json, parse_reply
from medsight_core.client.transport import SHORT_READ_TIMEOUT, Transport
from medsight_core.errors import CancelledError, InputError, MedSightError, NotFoundError, ServerError
from medsight_core.protocol import (
    EVENT_CANCELLED,
    EVENT_DONE,
    EVENT_FAILED,
    PATH_INFER,
    PATH_JOBS,
    check_id,
)

# A server that works gives a sign of life every few seconds, however long the answer takes.
SILENCE_SECONDS = 60.0
RECONNECTIONS = 3  # without any news in between
_PAUSE_SECONDS = 0.5
_LOOK_SECONDS = 0.1  # between two looks at whether the question is cancelled
_FAREWELL_SECONDS = 0.6  # for the server to hear of it, so that all is over within a second

OnEvent = Callable[[Event], None]


class Exchange:
    """A question as it travels: `ask` it once, `cancel` it from any thread.

    transport: belongs to this exchange while `ask` runs. query: names the image. form: the fields of a question.
    as_job: whether the server has jobs.
    """

    def __init__(self, transport: Transport, query: Mapping[str, str], form: Mapping[str, str], as_job: bool):
        """Sends nothing yet."""
        self.as_job = as_job
        self._transport = transport
        self._query, self._form = dict(query), dict(form)
        self._job = ""
        self._cancelled = threading.Event()

    def ask(self, on_event: OnEvent, read_timeout: float) -> Reply:
        """The reply; ``on_event`` hears what happens meanwhile, from servers that tell.

        Raises what the server answers with. Whatever ends it early, the server does not go on with a job.
        """
        if not self.as_job:
            query = {**self._query, "output": "all"}
            response = self._transport.request("POST", PATH_INFER, params=query, data=self._form)
            return parse_reply(response.headers.get("Content-Type", ""), response.content)
        response = self._transport.request("POST", PATH_JOBS, params=self._query, data=self._form)
        try:
            self._job = check_id(parse_json(response.content)["id"], "job id")
        except (KeyError, TypeError, InputError):
            raise ServerError("The server took the question but gave no job for it: look at its log.") from None
        try:
            self._follow(on_event, min(SILENCE_SECONDS, read_timeout))
            response = self._transport.request("GET", f"{PATH_JOBS}/{self._job}/result")
            return parse_reply(response.headers.get("Content-Type", ""), response.content)
        except BaseException:  # Ctrl+C among them
            self.cancel()
            raise

    def cancel(self) -> bool:
        """Tell the server to stop, and return whether it has heard."""
        self._cancelled.set()
        if not self._job:  # not sent, or under way: `ask` looks when it has the id
            return False
        transport = self._transport.another()
        try:
            transport.request("DELETE", f"{PATH_JOBS}/{self._job}", read_timeout=SHORT_READ_TIMEOUT)
        except NotFoundError:
            return True  # it is over already
        except MedSightError:
            return False
        finally:
            transport.close()
        return True

    def close(self) -> None:
        """Drop the transport's connections."""
        self._transport.close()

    def _follow(self, on_event: OnEvent, silence: float) -> None:
        """Listen until the answer is there."""
        with contextlib.closing(self._events(silence)) as events:
            for event in events:
                if event.kind == EVENT_DONE:
                    return
                if event.kind in (EVENT_FAILED, EVENT_CANCELLED):
                    raise failure(event)
                told = meaning(event)
                if told is not None:
                    on_event(told)

    def _events(self, silence: float) -> Generator[ServerEvent, None, None]:
        """The job's events, over as many connections as it takes. Raises why the last row of connections failed."""
        seen, failures = "", 0
        reason: ServerError | None = None
        while not self._cancelled.is_set():
            headers = {"Accept": "text/event-stream", **({"Last-Event-ID": seen} if seen else {})}
            path = f"{PATH_JOBS}/{self._job}/events"
            with contextlib.closing(self._transport.lines(path, headers, read_timeout=silence)) as lines:
                events = parse_events(lines)
                while True:
                    try:
                        event = next(events, None)
                    except ServerError as error:
                        reason = reason or error
                        break
                    if event is None:
                        reason = reason or self._transport.broken()
                        break
                    seen, reason, failures = event.id or seen, None, 0
                    yield event
            failures += 1
            if failures > RECONNECTIONS and reason is not None:
                raise reason
            time.sleep(_PAUSE_SECONDS)
        raise CancelledError("The question was cancelled.")


@dataclass(frozen=True)
class _Outcome:
    reply: Reply | None = None
    error: BaseException | None = None


def ask(exchange: Exchange, read_timeout: float, on_event: OnEvent | None, cancel: threading.Event | None) -> Reply:
    """The reply to an exchange's question, or CancelledError within a second after ``cancel`` is set.

    ``on_event`` is called in this thread. With ``cancel`` the transport is the exchange's own, and closed at its end.
    """
    tell = on_event or _ignore
    if cancel is None:
        return exchange.ask(tell, read_timeout)
    if cancel.is_set():
        raise CancelledError("The question was cancelled before it was sent.")
    news: queue.Queue[Event | _Outcome] = queue.Queue()

    def work() -> None:
        try:
            news.put(_Outcome(reply=exchange.ask(news.put, read_timeout)))
        except BaseException as error:
            news.put(_Outcome(error=error))
        finally:
            exchange.close()

    threading.Thread(target=work, name="medsight-ask", daemon=True).start()
    try:
        outcome = _wait(news, tell, cancel)
    except BaseException:
        _farewell(exchange)
        raise
    if outcome is None:
        raise CancelledError(_farewell(exchange))
    if outcome.reply is None:
        raise outcome.error or ServerError("The question ended without an answer: ask again.")
    return outcome.reply


def _wait(news: queue.Queue[Event | _Outcome], tell: OnEvent, cancel: threading.Event) -> _Outcome | None:
    """What comes out, None when it is cancelled first."""
    while not cancel.is_set():
        try:
            item = news.get(timeout=_LOOK_SECONDS)
        except queue.Empty:
            continue
        if isinstance(item, _Outcome):
            return item
        tell(item)
    return None


def _farewell(exchange: Exchange) -> str:
    """Tell the server that nobody waits any more, but do not wait long for it; a sentence about that."""
    heard: list[bool] = []
    messenger = threading.Thread(target=lambda: heard.append(exchange.cancel()), name="medsight-cancel", daemon=True)
    messenger.start()
    messenger.join(_FAREWELL_SECONDS)
    if heard == [True]:
        return "The question was cancelled, and the server stops working on it."
    if exchange.as_job:
        return "The question was cancelled here, but the server has not confirmed it and may go on for a while."
    return "The question was cancelled here; this older server cannot be told, and finishes it before the next one."


def _ignore(_: Event) -> None:
    """Nobody listens."""
