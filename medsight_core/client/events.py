"""Server-sent events, and what those of a question mean: where it stands (`Progress`), what is being said (`Text`).

Reads lines; opens no connection.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Iterable, Iterator, Union

from medsight_core.errors import MedSightError, ServerError, from_status
from medsight_core.protocol import EVENT_PROGRESS, EVENT_TEXT


@dataclass(frozen=True)
class Progress:
    """Where a question stands.

    phase: one of `medsight_core.protocol.PHASES`; a newer server may have others.
    done: how much of the phase is done, 0..1; None when nobody can know.
    elapsed, total: seconds since the phase began, and since the question was asked.
    ahead: how many questions of others are answered first, while it is queued.
    """

    phase: str
    done: float | None = None
    elapsed: float = 0.0
    total: float = 0.0
    ahead: int = 0


@dataclass(frozen=True)
class Text:
    """The next piece of what the model says before anything is outlined; what counts is the reply's answer."""

    text: str


Event = Union[Progress, Text]


@dataclass(frozen=True)
class ServerEvent:
    """One server-sent event; ``id`` is "" when it has none."""

    kind: str
    data: dict[str, Any]
    id: str = ""


def parse_events(lines: Iterable[bytes]) -> Iterator[ServerEvent]:
    """The events in the lines of a stream, each as soon as it is complete; one that is cut off is dropped.

    Raises ServerError for an event whose data is not a JSON object.
    """
    kind, number, data = "message", "", []  # type: ignore[var-annotated]
    for raw in lines:
        line = raw.decode("utf-8", "replace")
        field, _, value = line.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if not line:
            if data:
                yield ServerEvent(kind, _json_object("\n".join(data)), number)
            kind, data = "message", []
        elif field == "event":
            kind = value
        elif field == "id":
            number = value
        elif field == "data":
            data.append(value)
        # Anything else is a comment, with which a server shows that it is there, or of no interest.


def meaning(event: ServerEvent) -> Event | None:
    """What a person who waits may be told; None for an event that is not for them or of a kind yet unknown.

    Raises ServerError when it makes no sense.
    """
    data = event.data
    try:
        if event.kind == EVENT_TEXT:
            return Text(str(data["text"]))
        if event.kind == EVENT_PROGRESS:
            done = data.get("done")
            return Progress(
                str(data["phase"]),
                None if done is None else float(done),
                float(data.get("elapsed", 0.0)),
                float(data.get("total", 0.0)),
                int(data.get("ahead", 0)),
            )
    except (KeyError, TypeError, ValueError):
        raise _nonsense() from None
    return None


def failure(event: ServerEvent) -> MedSightError:
    """The error that a plain request would have been refused with; ServerError when the event makes no sense."""
    try:
        wait = event.data.get("retry_after")
        return from_status(int(event.data["status"]), str(event.data["detail"]), None if wait is None else float(wait))
    except (KeyError, TypeError, ValueError):
        return _nonsense()


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise _nonsense()
    return value


def _nonsense() -> ServerError:
    return ServerError(
        "What the server tells about the question makes no sense: check that client and server are of the same version."
    )
