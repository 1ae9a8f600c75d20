"""``/medsight/jobs`` over HTTP: followed, cancelled, reconnected, refused; with a model that never stops talking."""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack

import pytest
import requests
from job_calls import PROMPT, following, listen, refused, same, start, voxels, wait_for
from tiny_model import save_tiny_model

from medsight_core.client import MedSightClient, Progress, Text
from medsight_core.client.reply import parse_reply
from medsight_core.errors import CancelledError, VolumeError
from medsight_core.server.running import running_server
from medsight_core.server.settings import Settings

NO_JOB = "There is no such job: its answer was fetched, it ended long ago, or the server was started anew."


def test_the_server_says_that_it_can(call):
    assert "jobs" in call("GET", "/medsight/info").json()["capabilities"]


def test_a_job_is_told_to_its_end_and_answers_as_infer_does(call):
    plain = call("POST", "/infer/medsight?image=chest", data={"params": json.dumps({"prompt": PROMPT})})
    expected = parse_reply(plain.headers["content-type"], plain.content)
    job = start(call)
    events = listen(call, job)
    assert [event.id for event in events] == [str(number + 1) for number in range(len(events))]
    phases = [event.data["phase"] for event in events if event.kind == "progress"]
    assert list(dict.fromkeys(phases)) == ["encode", "generate", "decode"]
    assert events[-1].kind == "done"
    response = call("GET", events[-1].data["result"])
    reply = parse_reply(response.headers["content-type"], response.content)
    assert same(reply.answer.to_json(), expected.answer.to_json())
    assert voxels(reply.segmentation) == voxels(expected.segmentation)
    assert events[-1].data["reply"]["answer"] == reply.answer.text
    refused(call("GET", events[-1].data["result"]), 404, NO_JOB)
    refused(call("GET", f"/medsight/jobs/{job}/events"), 404, NO_JOB)


def test_what_was_missed_is_told_again(call):
    job = start(call)
    everything = listen(call, job)
    assert listen(call, job) == everything
    assert listen(call, job, after=everything[1].id) == everything[2:]
    assert listen(call, job, after="nonsense") == everything
    assert listen(call, job, after="9" * 5000) == everything
    assert call("DELETE", f"/medsight/jobs/{job}").status_code == 200
    refused(call("GET", f"/medsight/jobs/{job}/result"), 404, NO_JOB)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/medsight/jobs/gone/events"), ("GET", "/medsight/jobs/gone/result"), ("DELETE", "/medsight/jobs/gone")],
)
def test_a_job_that_is_not_there(call, method, path):
    refused(call(method, path), 404, NO_JOB)


def test_without_the_token_nothing_of_a_job_can_be_reached(call):
    job = start(call)
    wrong = {"Authorization": "Bearer wrong"}
    for method, path in (
        ("POST", "?image=chest"),
        ("GET", f"/{job}/events"),
        ("GET", f"/{job}/result"),
        ("DELETE", f"/{job}"),
    ):
        refused(call(method, f"/medsight/jobs{path}", headers=wrong), 401, "The token is missing or wrong")
    page = {"Origin": "https://evil.example"}
    refused(call("GET", f"/medsight/jobs/{job}/events", headers=page), 403, "Web pages of another origin")
    refused(call("GET", "/medsight/jobs/..%2Finfo/events"), 400, "path is not allowed")
    assert listen(call, job)[-1].kind == "done"


@pytest.mark.parametrize(
    ("where", "params", "status", "text"),
    [
        ("image=chest", "{not json", 400, "The form field params is not a JSON object"),
        ("image=chest", '{"image": "/etc/hostname"}', 400, "The params must not name an image"),
        ("image=chest", '{"prompt": ""}', 400, "The prompt is empty"),
        ("", "{}", 400, "No image is named: add image=ID"),
        ("image=nobody", "{}", 404, "There is no image with id 'nobody' in the studies folder"),
        ("session_id=gone", "{}", 404, "This session does not exist or has expired: upload the image again."),
    ],
)
def test_a_bad_question_is_refused_before_it_is_a_job(call, where, params, status, text):
    refused(call("POST", f"/medsight/jobs?{where}", data={"params": params}), status, text)


def test_a_question_that_fails_later_fails_as_infer_does(call):
    for where, params in (
        ("image=broken", {}),
        ("image=chest", {"scope": "plane", "plane": "axial:999"}),
        ("image=chest", {"window": "rainbow"}),
    ):
        asked = {"prompt": PROMPT, **params}
        plain = call("POST", f"/infer/medsight?{where}", data={"params": json.dumps(asked)})
        job = start(call, where, **params)
        event = listen(call, job)[-1]
        assert (event.kind, event.data) == ("failed", {**plain.json(), "status": plain.status_code})
        refused(call("GET", f"/medsight/jobs/{job}/result"), plain.status_code, plain.json()["detail"])


def test_a_session_that_goes_while_its_question_waits_is_one_sentence(call, studies, slow_call):
    first, session = start(slow_call), slow_call.upload(studies / "chest.nii.gz").json()["session_id"]
    job = start(slow_call, f"session_id={session}")
    slow_call("DELETE", f"/session/{session}")
    slow_call("DELETE", f"/medsight/jobs/{first}")
    assert listen(slow_call, job)[-1].data == {
        "detail": "This session does not exist or has expired: upload the image again.",
        "status": 404,
    }


def test_the_client_uses_jobs_and_hears_what_happens(server, studies):
    heard = []
    with MedSightClient(server.address, server.token) as client:
        session = client.upload(studies / "chest.nii.gz")
        followed = client.ask(PROMPT, session=session, on_event=heard.append, cancel=threading.Event())
        alone = client.ask(PROMPT, session=session)
        with pytest.raises(VolumeError, match="cannot be read"):
            client.ask(PROMPT, image="broken")
        client.delete_session(session)
    assert same(followed.answer.to_json(), alone.answer.to_json())
    assert voxels(followed.segmentation) == voxels(alone.segmentation)
    phases = [event.phase for event in heard if isinstance(event, Progress)]
    assert list(dict.fromkeys(phases)) == ["encode", "generate", "decode"]
    assert all(event.text for event in heard if isinstance(event, Text))


def test_no_word_of_a_job_is_logged(call, server):
    listen(call, start(call, prompt="CANARYPROMPT Outline the liver."))
    listen(call, start(call, "image=broken", prompt="CANARYPROMPT"))
    assert "CANARY" not in server.log.read_text()


# With a model that goes on talking for minutes.


@pytest.fixture(scope="module")
def slow_server(studies, tmp_path_factory):
    model = save_tiny_model(tmp_path_factory.mktemp("slow-model"), max_new_tokens=30_000)
    scratch = tmp_path_factory.mktemp("slow-tmp")
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TMPDIR", str(scratch))
            server = stack.enter_context(running_server(Settings(studies, model, port=0)))
        yield server
    assert not list(scratch.glob("medsight-server-*"))


@pytest.fixture
def slow_call(slow_server, call):
    return type(call)(slow_server)


def test_a_job_that_is_cancelled_stops_within_a_second(slow_call):
    job = start(slow_call)
    events = wait_for(slow_call, job, "generate")
    refused(slow_call("GET", f"/medsight/jobs/{job}/result"), 404, "This job has no answer yet: wait for its event")
    begin = time.monotonic()
    assert slow_call("DELETE", f"/medsight/jobs/{job}").status_code == 200
    last = list(events)[-1]
    seconds = time.monotonic() - begin
    assert (last.kind, last.data["status"]) == ("cancelled", 409)
    assert last.data["detail"] == "The question was cancelled: ask it again if it was a mistake."
    refused(slow_call("GET", f"/medsight/jobs/{job}/result"), 409, "The question was cancelled")
    assert seconds < 1.0


def test_text_comes_while_the_model_still_writes(slow_call):
    job = start(slow_call)
    pieces = []
    for event in following(slow_call, job):
        pieces += [event.data["text"]] if event.kind == "text" else []
        if len(pieces) == 2:
            break
    slow_call("DELETE", f"/medsight/jobs/{job}")
    assert "[M" not in "".join(pieces)


def test_the_client_cancels_within_a_second_and_the_server_is_free(slow_server):
    cancel, heard = threading.Event(), []

    def hear(event) -> None:
        heard.append(event)
        if isinstance(event, Progress) and event.phase == "generate":
            heard.append(time.monotonic())
            cancel.set()

    with MedSightClient(slow_server.address, slow_server.token) as client:
        with pytest.raises(CancelledError, match="The question was cancelled, and the server stops working on it"):
            client.ask(PROMPT, image="chest", on_event=hear, cancel=cancel)
        assert time.monotonic() - heard[-1] < 1.0
        # The next one's turn comes at once.
        with pytest.raises(VolumeError):
            client.ask(PROMPT, image="broken")
        assert time.monotonic() - heard[-1] < 3.0


def test_two_people_take_turns_and_one_who_leaves_disturbs_nobody(slow_call):
    first, second = start(slow_call), start(slow_call, "image=brain")
    wait_for(slow_call, first, "generate").close()  # goes away in the middle of the stream
    events = following(slow_call, second)
    told = next(events)
    assert (told.data["phase"], told.data["ahead"]) == ("queued", 1)
    assert next(following(slow_call, first, after="1")).id == "2", "the first one's question went on"
    slow_call("DELETE", f"/medsight/jobs/{first}")
    assert next(events).data["phase"] == "encode"
    slow_call("DELETE", f"/medsight/jobs/{second}")
    assert list(events)[-1].kind == "cancelled"


def test_one_with_many_questions_holds_nobody_up(slow_call):
    def asked_by(who: str) -> str:
        response = slow_call(
            "POST",
            "/medsight/jobs?image=chest",
            headers={"MedSIGHT-Client": who},
            data={"params": json.dumps({"prompt": PROMPT})},
        )
        return response.json()["id"]

    many = [asked_by("anna") for _ in range(3)]
    one = asked_by("ben")
    assert next(following(slow_call, one)).data["ahead"] == 1
    assert [event.data["ahead"] for _, event in zip(range(2), following(slow_call, many[2]))] == [2, 3]
    for job in (one, *reversed(many)):
        slow_call("DELETE", f"/medsight/jobs/{job}")
        assert list(following(slow_call, job))[-1].kind == "cancelled"
    refused(
        slow_call("POST", "/medsight/jobs?image=chest", headers={"MedSIGHT-Client": "a b"}, data={"params": "{}"}),
        400,
        "This MedSIGHT-Client is not allowed: use up to 128 letters, digits, '.', '-' or '_'",
    )


def test_a_plain_question_waits_in_the_same_line(slow_call):
    job = start(slow_call)
    wait_for(slow_call, job, "generate").close()
    answers: list[requests.Response] = []
    asking = threading.Thread(
        target=lambda: answers.append(slow_call("POST", "/infer/medsight?image=broken", data={"params": "{}"}))
    )
    asking.start()
    time.sleep(0.3)
    last = start(slow_call, "image=broken")
    assert next(following(slow_call, last)).data["ahead"] == 2
    assert not answers
    slow_call("DELETE", f"/medsight/jobs/{job}")
    asking.join(20)
    assert answers[0].status_code == 422
    assert listen(slow_call, last)[-1].kind == "failed"


def test_a_server_that_stops_says_so_and_does_not_keep_anybody_waiting(slow_server, slow_call):
    job = start(slow_call)
    events = wait_for(slow_call, job, "generate")
    begin = time.monotonic()
    slow_server.process.terminate()
    last = list(events)[-1]
    assert last.kind == "failed"
    assert last.data == {
        "detail": "The server was stopped before it had the answer: start it and ask again.",
        "status": 503,
    }
    assert time.monotonic() - begin < 2.0
    slow_server.process.wait(10)
    log = slow_server.log.read_text()
    assert "Traceback" not in log
    assert "incident" not in log
