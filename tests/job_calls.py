"""Questions put to a running server as jobs, plainly over HTTP; ``call`` is `Calls` of the server's tests."""

from __future__ import annotations

import json
from typing import Generator

from medsight_core.client.events import ServerEvent, parse_events

PROMPT = "Outline the right lung and the left lung."


def start(call, where: str = "image=chest", **params) -> str:
    """The id of a new job."""
    response = call("POST", f"/medsight/jobs?{where}", data={"params": json.dumps({"prompt": PROMPT, **params})})
    assert response.status_code == 201, response.text
    return response.json()["id"]


def listen(call, job: str, after: str = "") -> list[ServerEvent]:
    """All events of a job, to the last."""
    headers = {"Last-Event-ID": after} if after else {}
    with call("GET", f"/medsight/jobs/{job}/events", headers=headers, stream=True) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        return list(parse_events(response.iter_lines()))


def refused(response, status: int, text: str) -> None:
    assert response.status_code == status, response.text
    assert list(response.json()) == ["detail"]
    assert text in response.json()["detail"]


def same(one: dict, other: dict) -> bool:
    """Answers but for the seconds they took."""
    return {**one, "timings": 0} == {**other, "timings": 0}


def voxels(label_file: bytes) -> bytes:
    """What follows the header, which holds the time."""
    return label_file.partition(b"\n\n")[2]


def following(call, job: str, after: str = "") -> Generator[ServerEvent, None, None]:
    """A job's events as they come; closing it breaks the connection."""
    headers = {"Last-Event-ID": after} if after else {}
    with call("GET", f"/medsight/jobs/{job}/events", headers=headers, stream=True) as response:
        yield from parse_events(response.iter_lines())


def wait_for(call, job: str, phase: str) -> Generator[ServerEvent, None, None]:
    """The events that follow the first of a ``phase``."""
    events = following(call, job)
    for event in events:
        assert event.kind in ("progress", "text"), event
        if event.data.get("phase") == phase:
            return events
    raise AssertionError(f"{phase} was never told")
