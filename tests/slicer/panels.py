"""A panel before a scripted server, and what a person does with it."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager, suppress
from urllib.parse import parse_qs

import numpy as np
import slicer
from harness.slicer_app import wait_until
from replies import MODEL, box, http_body, reply_of

SHAPE = (10, 12, 8)
RIGHT, LEFT = box(SHAPE, (1, 5), (2, 9), (1, 6)), box(SHAPE, (4, 9), (2, 9), (1, 6))
AFFINE = np.eye(4)
IJK_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
INFO = {
    "protocol": 1,
    "model": MODEL.to_json(),
    "scopes": ["plane", "range", "volume"],
    "orientations": ["axial", "coronal"],
    "suggestions": {"CT": ["Outline the right lung.", "Is there a liver?"], "MR": ["Outline the thalami."]},
}
TOKEN = "a-token-of-the-tests"


def script(scripted) -> None:
    """An older server, which takes plain questions only and outlines two lungs."""
    scripted.on_json("GET /medsight/info", INFO)
    scripted.on_json("PUT /session/", {"session_id": "s1"})
    scripted.on_json("DELETE /session/s1", {})
    answers(scripted, reply_of(["right lung", "left lung"], [RIGHT, LEFT], AFFINE, absent=["liver"]))


def answers(scripted, reply) -> None:
    content_type, body = http_body(reply)
    scripted.on("POST /infer/medsight", 200, body, Content_Type=content_type)


class Job:
    """Makes the scripted server take jobs; the test sends the events of the one job when it likes."""

    def __init__(self, scripted, reply):
        self._events: list[str] = []
        self._news = threading.Condition()
        self.deleted = threading.Event()
        self._cut = False
        content_type, body = http_body(reply)
        scripted.on_json("GET /medsight/info", {**INFO, "capabilities": ["jobs"]})
        scripted.on_json("POST /medsight/jobs", {"id": "j1"})
        scripted.on_call("GET /medsight/jobs/j1/events", self._stream)
        scripted.on("GET /medsight/jobs/j1/result", 200, body, Content_Type=content_type)
        scripted.on_call("DELETE /medsight/jobs/j1", self._delete)

    def send(self, kind: str, **data) -> None:
        with self._news:
            self._events.append(f"event: {kind}\ndata: {json.dumps(data)}\nid: {len(self._events) + 1}\n\n")
            self._news.notify_all()

    def cut(self) -> None:
        """The server's process is gone: streams end and no new ones begin."""
        with self._news:
            self._cut = True
            self._news.notify_all()

    def _stream(self, handler) -> None:
        if self._cut:
            handler.close_connection = True
            return
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.send_header("Connection", "close")
        handler.end_headers()
        sent = int(handler.headers.get("Last-Event-ID", 0))
        while not (self._cut or self.deleted.is_set()):
            with self._news:
                events = self._events[sent:] or (self._news.wait(0.05) and self._events[sent:]) or []
            for event in events:
                data = event.encode()
                handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                handler.wfile.flush()
            sent += len(events)
            if any("event: done" in event for event in events):
                handler.wfile.write(b"0\r\n\r\n")
                break
        handler.close_connection = True

    def _delete(self, handler) -> None:
        self.deleted.set()
        handler.send_response(200)
        handler.send_header("Content-Length", "0")
        handler.end_headers()


def add_volume(name: str = "CT"):
    return slicer.util.addVolumeFromArray(np.zeros(SHAPE[::-1], np.int16), IJK_TO_RAS, name)


def start(panel, prompt: str = "Outline the lungs.") -> None:
    panel.ui.promptEdit.plainText = prompt
    panel.ui.askButton.click()


def wait(panel) -> None:
    wait_until(lambda: not panel.background.busy)


def ask(panel, prompt: str = "Outline the lungs.") -> None:
    start(panel, prompt)
    wait(panel)


def connect(panel) -> None:
    panel.enter()
    wait_until(lambda: not panel.connection.background.busy)


def asked(server) -> list[dict]:
    return [
        json.loads(parse_qs(seen.body.decode())["params"][0])
        for seen in server.seen
        if seen.path.startswith(("/infer", "/medsight/jobs?"))
    ]


@contextmanager
def held(server, request: str = "POST /infer/medsight"):
    """The server answers this request when the block ends, or after ten seconds."""
    release = threading.Event()
    reply = server.replies[request]

    def answer(handler) -> None:
        release.wait(10)
        with suppress(OSError):  # whoever asked may have gone away
            reply(handler)

    server.on_call(request, answer)
    try:
        yield
    finally:
        release.set()


def seconds_until(condition) -> float:
    began = time.monotonic()
    wait_until(condition)
    return time.monotonic() - began
