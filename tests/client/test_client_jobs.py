"""Questions as jobs, from the client's side: broken streams, silent servers, older servers, and cancelling them."""

from __future__ import annotations

import json
import threading
import time

import pytest

from medsight_core.answer import Answer
from medsight_core.client import Progress, Text
from medsight_core.client import asking as asking_module
from medsight_core.client.events import ServerEvent, failure, meaning, parse_events
from medsight_core.errors import BusyError, CancelledError, InputError, NotFoundError, ServerError, VolumeError

ANSWER = Answer(text="The liver is not seen.", absent=("liver",))
JOB = "/medsight/jobs/j1"
EVENTS, RESULT, DELETE = f"GET {JOB}/events", f"GET {JOB}/result", f"DELETE {JOB}"


def sse(number: int, kind: str, **data: object) -> bytes:
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode()


FIRST = sse(1, "progress", phase="queued", ahead=1, elapsed=0.1, total=0.1)
SECOND = sse(2, "text", text="The liver")
DONE = sse(3, "done", reply={}, result=f"{JOB}/result")


@pytest.fixture
def jobs(server):
    """A scripted server that has jobs, and answers the only one."""
    server.on_json("GET /medsight/info", {"protocol": 1, "capabilities": ["jobs", "a word of tomorrow"]})
    server.on_json("POST /medsight/jobs", {"id": "j1"}, status=201)
    server.on_json(RESULT, ANSWER.to_json())
    server.on_json(DELETE, {"id": "j1"})
    streams(server, FIRST + SECOND + DONE)
    return server


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(asking_module, "_PAUSE_SECONDS", 0.01)


def streams(server, *bodies: bytes, hold: threading.Event | None = None) -> None:
    """One body for each connection, the last again and again; each ends without an end, or not before ``hold``."""
    left = list(bodies)

    def reply(handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        body = left.pop(0) if len(left) > 1 else left[0]
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))
        handler.wfile.flush()
        if hold is not None:
            hold.wait(20)
        handler.close_connection = True

    server.on_call(EVENTS, reply)


def requests_of(server) -> list[str]:
    return [f"{seen.method} {seen.path.partition('?')[0]}" for seen in server.seen]


def test_events_become_what_a_person_may_hear(jobs):
    heard = []
    reply = jobs.client().ask("Where?", session="s1", on_event=heard.append)
    assert heard == [Progress("queued", None, 0.1, 0.1, ahead=1), Text("The liver")]
    assert reply.answer == ANSWER
    assert requests_of(jobs) == ["GET /medsight/info", "POST /medsight/jobs", EVENTS, RESULT]
    assert b"Where" in jobs.seen[1].body
    assert jobs.seen[1].path.endswith("?session_id=s1")


def test_a_broken_stream_is_taken_up_where_it_broke(jobs):
    streams(jobs, FIRST, SECOND[:20], SECOND, DONE)
    heard = []
    assert jobs.client().ask("Where?", session="s1", on_event=heard.append, cancel=threading.Event())
    assert [type(event) for event in heard] == [Progress, Text]
    listening = [seen.headers.get("Last-Event-ID") for seen in jobs.seen if seen.path.endswith("/events")]
    assert listening == [None, "1", "1", "2"]


def test_a_stream_that_stays_broken_is_the_sentence_of_a_broken_reply(jobs):
    streams(jobs, FIRST, b"\n")
    with pytest.raises(ServerError, match="broke the connection before its reply was complete: see whether it still"):
        jobs.client().ask("Where?", session="s1")
    assert requests_of(jobs).count(EVENTS) == 1 + asking_module.RECONNECTIONS
    assert requests_of(jobs)[-1] == DELETE, "nobody waits for it any more"


def test_a_server_that_was_started_anew_has_lost_the_question(jobs):
    jobs.on_json(EVENTS, {"detail": "There is no such job: ask the question again."}, status=404)
    with pytest.raises(NotFoundError, match="There is no such job"):
        jobs.client().ask("Where?", session="s1")


@pytest.mark.parametrize(("status", "kind"), [(400, InputError), (422, VolumeError), (503, ServerError)])
def test_a_question_that_fails_is_the_error_of_a_refusal(jobs, status, kind):
    streams(jobs, FIRST + sse(2, "failed", detail="One sentence.", status=status))
    with pytest.raises(kind, match=r"^One sentence\.$"):
        jobs.client().ask("Where?", session="s1")
    assert requests_of(jobs).count(EVENTS) == 1


def test_a_question_that_another_one_cancelled(jobs):
    streams(jobs, sse(1, "cancelled", detail="The question was cancelled.", status=409))
    with pytest.raises(CancelledError, match=r"^The question was cancelled\.$"):
        jobs.client().ask("Where?", session="s1")


def test_a_bad_question_is_refused_as_ever(jobs):
    jobs.on_json("POST /medsight/jobs", {"detail": "There is no image with id 'x'."}, status=404)
    with pytest.raises(NotFoundError, match="There is no image with id 'x'"):
        jobs.client().ask("Where?", image="x")


@pytest.mark.parametrize("reply", [{}, [], {"id": 5}, {"id": "../x"}])
def test_a_job_without_a_usable_id(jobs, reply):
    jobs.on_json("POST /medsight/jobs", reply, status=201)
    with pytest.raises(ServerError, match="took the question but gave no job for it: look at its log"):
        jobs.client().ask("Where?", session="s1")


def cancelled_after(client, seconds: float, **where) -> tuple[str, float]:
    """The sentence of a question that is cancelled after some seconds, and how long that took."""
    cancel = threading.Event()
    threading.Timer(seconds, cancel.set).start()
    begin = time.monotonic()
    with pytest.raises(CancelledError) as caught:
        client.ask("Where?", cancel=cancel, **where)
    return str(caught.value), time.monotonic() - begin - seconds


def test_cancelling_reaches_the_server_within_a_second(jobs):
    over = threading.Event()
    streams(jobs, FIRST, hold=over)
    sentence, seconds = cancelled_after(jobs.client(), 0.3, session="s1")
    over.set()
    assert sentence == "The question was cancelled, and the server stops working on it."
    assert requests_of(jobs)[-1] == DELETE
    assert seconds < 1.0


def test_cancelling_does_not_wait_for_a_server_that_is_silent(jobs):
    over = threading.Event()
    streams(jobs, FIRST, hold=over)
    jobs.on_call(DELETE, lambda _: over.wait(20))
    sentence, seconds = cancelled_after(jobs.client(), 0.3, session="s1")
    over.set()
    assert sentence == (
        "The question was cancelled here, but the server has not confirmed it and may go on for a while."
    )
    assert seconds < 1.0


def test_a_job_that_was_cancelled_before_it_had_an_id_is_cancelled_when_it_has(jobs):
    asked, over = threading.Event(), threading.Event()
    slow = jobs.replies["POST /medsight/jobs"]

    def reply(handler) -> None:
        asked.set()
        over.wait(20)
        slow(handler)

    jobs.on_call("POST /medsight/jobs", reply)
    _, seconds = cancelled_after(jobs.client(), 0.3, session="s1")
    assert asked.is_set()
    assert seconds < 1.0
    over.set()
    deadline = time.monotonic() + 5
    while DELETE not in requests_of(jobs):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_is_cancelled_before_it_is_asked_never_travels(jobs):
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(CancelledError, match="cancelled before it was sent"):
        jobs.client().ask("Where?", session="s1", cancel=cancel)
    assert requests_of(jobs) == ["GET /medsight/info"]


@pytest.mark.parametrize("cancel", [None, threading.Event()])
def test_who_stops_listening_stops_the_server(jobs, cancel):
    def hear(_) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        jobs.client().ask("Where?", session="s1", on_event=hear, cancel=cancel)
    assert DELETE in requests_of(jobs)


# Servers that know nothing of jobs.


def test_an_older_server_is_asked_plainly(server):
    server.on_json("POST /infer/medsight", ANSWER.to_json())
    heard = []
    for cancel in (None, threading.Event()):
        reply = server.client().ask("Where?", session="s1", on_event=heard.append, cancel=cancel)
        assert reply.answer == ANSWER
    assert heard == []
    assert "POST /medsight/jobs" not in requests_of(server)


def test_an_older_server_that_refuses_is_quoted(server):
    server.on_json("POST /infer/medsight", {"detail": "One sentence."}, status=422)
    with pytest.raises(VolumeError, match=r"^One sentence\.$"):
        server.client().ask("Where?", session="s1", cancel=threading.Event())


def test_cancelling_does_not_wait_for_an_older_server(server):
    over = threading.Event()
    server.on_call("POST /infer/medsight", lambda _: over.wait(20))
    sentence, seconds = cancelled_after(server.client(), 0.3, image="x")
    over.set()
    assert sentence == (
        "The question was cancelled here; this older server cannot be told, and finishes it before the next one."
    )
    assert seconds < 1.0


# The stream's format.


def test_lines_become_events():
    lines = [
        b": hello", b"", b"id: 7", b"event: text", b'data: {"text":', b'data:  "a"}', b"retry: 5", b"",
        b"data: {}", b"", b"event: text", b"", b"event: text", b'data: {"text": "cut',
    ]  # fmt: skip
    assert list(parse_events(lines)) == [
        ServerEvent("text", {"text": "a"}, "7"),
        ServerEvent("message", {}, "7"),  # an id holds until another comes
    ]


@pytest.mark.parametrize("data", [b"data: [1]", b"data: nonsense"])
def test_data_that_is_no_object_makes_no_sense(data):
    with pytest.raises(ServerError, match="tells about the question makes no sense: check that client and server are"):
        list(parse_events([data, b""]))


def test_events_of_tomorrow_are_passed_over_and_broken_ones_are_not():
    assert meaning(ServerEvent("thinking", {"a": 1})) is None
    assert meaning(ServerEvent("progress", {"phase": "dream", "done": None})) == Progress("dream")
    for event in (ServerEvent("text", {}), ServerEvent("progress", {"phase": "encode", "done": "half"})):
        with pytest.raises(ServerError, match="makes no sense"):
            meaning(event)
    assert "makes no sense" in str(failure(ServerEvent("failed", {"detail": "x"})))
    assert "makes no sense" in str(
        failure(ServerEvent("failed", {"detail": "x", "status": 503, "retry_after": "soon"}))
    )


def test_a_server_that_becomes_busy_meanwhile_is_told_with_the_time_to_wait():
    error = failure(ServerEvent("failed", {"detail": "It is full.", "status": 503, "retry_after": 7.5}))
    assert isinstance(error, BusyError)
    assert (str(error), error.retry_after) == ("It is full. Ask again in 8 seconds.", 7.5)
