"""``medsight data converse`` with templates, and with a language model behind a real HTTP server."""

from __future__ import annotations

import json
import logging
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from coded_builders import coded_images
from scripted_server import ScriptedServer, scripted_server
from typer.testing import CliRunner

from medsight_core.cli import failures
from medsight_core.cli.converse_endpoint import KEY_ENVIRONMENT
from medsight_core.cli.data import app
from medsight_core.data.coded import write_coded
from medsight_core.data.records import Conversations

CHAT = "POST /v1/chat/completions"
SECRET = "sk-very-secret"


@pytest.fixture
def coded(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(failures.errors, "width", 10_000)
    monkeypatch.delenv(KEY_ENVIRONMENT, raising=False)
    write_coded(tmp_path / "coded.jsonl", coded_images(tmp_path))
    return tmp_path / "coded.jsonl"


@pytest.fixture
def server():
    with scripted_server() as server:
        yield server


def run(coded: Path, *options: object, out: str = "talk.jsonl"):
    return CliRunner().invoke(app, ["converse", str(coded), "--out", str(coded.parent / out), *map(str, options)])


def ask(server: ScriptedServer, coded: Path, *options: object):
    return run(coded, "--endpoint", f"{server.address}/v1", "--model", "tiny", "--per-image", 1, *options)


def completion(content: object) -> dict:
    return {"choices": [{"message": {"role": "assistant", "content": content}}]}


def content_for(body: dict) -> str:
    """A valid reply to a request."""
    asked = json.loads(body["messages"][1]["content"])
    turns = [{"question": f"And the {t['name']}?", "answer": f"The {t['name']} {t['code']}."} for t in asked["shown"]][
        :3
    ]
    if asked["missing"]:
        turns.append({"question": "More?", "answer": f"The {' and the '.join(asked['missing'])} are not seen."})
    return json.dumps({"turns": turns, "shown": list(range(min(3, len(asked["shown"]))))})


GOOD = (200, None)


class Model:
    """A chat server that gives each request the next of ``replies``; `GOOD`, or none left, is a valid reply."""

    def __init__(self, server: ScriptedServer, *replies: tuple[int, object]) -> None:
        self.server = server
        self.replies = list(replies)
        server.on_call(CHAT, self)

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(self.server.seen[-1].body)
        status, value = self.replies.pop(0) if self.replies else GOOD
        value = completion(content_for(body)) if value is None else value
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(data)))
        if status == 429:
            handler.send_header("Retry-After", "0")
        handler.end_headers()
        handler.wfile.write(data)


def talk(coded: Path) -> list:
    return list(Conversations(coded.parent / "talk.jsonl"))


def test_templates_write_a_file_that_training_reads(coded):
    result = run(coded, "--per-image", 20)
    assert result.exit_code == 0, result.output
    conversations = talk(coded)
    assert len(conversations) == 20 * 13
    assert all(path.exists() for c in conversations for path in (*c.images, *(p for masks in c.masks for p in masks)))
    assert "260 conversations written" in " ".join(result.stdout.split())
    lacking = next(line.split()[0] for line in result.stdout.splitlines() if "something absent" in line)
    assert int(lacking) == sum("not seen" in turn.answer for c in conversations for turn in c.turns)
    again = run(coded, "--per-image", 20)
    assert "260 conversations were there already" in " ".join(again.stdout.split())
    assert talk(coded) == conversations
    assert run(coded, "--per-image", 20, "--seed", 1, out="other.jsonl").exit_code == 0
    assert (coded.parent / "other.jsonl").read_text() != (coded.parent / "talk.jsonl").read_text()


def test_file_names_start_from_the_root_that_is_given(coded):
    moved = coded.parent / "lists"
    moved.mkdir()
    coded = coded.rename(moved / "coded.jsonl")
    result = run(coded, "--root", moved.parent)
    assert result.exit_code == 0, result.output
    assert Conversations(moved / "talk.jsonl", moved.parent)[0].images[0].exists()


def test_a_language_model_writes_conversations_and_is_asked_for_those_left_only(server, coded):
    Model(server)
    result = ask(server, coded)
    assert result.exit_code == 0, result.output
    first = talk(coded)
    assert len(first) == len(server.seen) == 13
    request = json.loads(server.seen[0].body)
    assert request["model"] == "tiny"
    assert [message["role"] for message in request["messages"]] == ["system", "user"]
    assert "Authorization" not in server.seen[0].headers
    more = ask(server, coded, "--per-image", 2)
    assert more.exit_code == 0
    assert len(server.seen) == 26
    assert talk(coded)[:13] == first


def test_bad_replies_are_asked_for_again_then_counted_and_left_out(server, coded):
    wrong_code = completion('{"turns": [{"question": "Hm?", "answer": "The liver [M0_31]."}], "shown": [0]}')
    Model(
        server,
        *[(500, b"Traceback"), (200, completion("{not json")), GOOD],
        *[(200, wrong_code)] * 3,  # the second image is left out
        *[(200, b"<html>"), (200, completion(None)), (200, {"choices": []})],  # the third as well
        (429, b"slow down"),  # waited for, and no try
    )
    result = ask(server, coded)
    assert result.exit_code == 0, result.output
    assert "2 left out" in " ".join(result.stdout.split())
    assert [c.id for c in talk(coded)] == ["ct/00-0", *(f"ct/{n:02d}-0" for n in range(3, 13))]
    assert len(server.seen) == 3 + 3 + 3 + 2 + 9
    assert ask(server, coded).exit_code == 0  # those left out are tried again
    assert len(talk(coded)) == 13


def test_what_is_written_stays_when_the_server_goes_and_the_next_run_goes_on(server, coded):
    model = Model(server)

    def two_then_gone(handler):
        if len(server.seen) > 2:
            handler.close_connection = True
        else:
            model(handler)

    server.on_call(CHAT, two_then_gone)
    result = ask(server, coded)
    assert result.exit_code == 3
    assert result.stderr.startswith(
        f"No language model answers at {server.address}/v1: start it, or correct --endpoint"
    )
    assert [c.id for c in talk(coded)] == ["ct/00-0", "ct/01-0"]
    server.on_call(CHAT, model)
    assert ask(server, coded).exit_code == 0
    assert len(talk(coded)) == 13


def test_the_key_comes_from_the_environment_and_shows_nowhere(server, coded, monkeypatch, caplog):
    monkeypatch.setenv(KEY_ENVIRONMENT, SECRET)
    caplog.set_level(logging.DEBUG)
    Model(server, (500, b"Traceback"))
    result = ask(server, coded)
    assert result.exit_code == 0
    assert server.seen[0].headers["Authorization"] == f"Bearer {SECRET}"
    Model(server, (401, b"no"))
    refused = ask(server, coded, "--per-image", 2)
    assert refused.exit_code == 2
    assert refused.stderr.startswith(
        f"The language model at {server.address}/v1 does not accept the key (HTTP 401): put"
    )
    assert KEY_ENVIRONMENT in refused.stderr
    shown = result.output + refused.output + caplog.text + (coded.parent / "talk.jsonl").read_text()
    assert SECRET not in shown
    assert "outlined" not in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "tiny"], "--endpoint and --model belong together: give both, or neither to use templates."),
        (["--endpoint", "http://localhost:1/v1"], "--endpoint and --model belong together"),
        (["--endpoint", "localhost:1/v1", "--model", "t"], "The endpoint 'localhost:1/v1' cannot be used: write it as"),
        (["--endpoint", "http://[1/v1", "--model", "t"], "The endpoint 'http://[1/v1' cannot be used: write it as"),
        (
            ["--endpoint", "http://me:pw@localhost:1/v1", "--model", "t"],
            "The endpoint holds a user name or password: put a key into MEDSIGHT_ENDPOINT_KEY instead.",
        ),
        (
            ["--endpoint", "http://example.org/v1", "--model", "t"],
            "The key in MEDSIGHT_ENDPOINT_KEY would travel to http://example.org/v1 unencrypted: give an https:// ",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(coded, monkeypatch, options, message):
    monkeypatch.setenv(KEY_ENVIRONMENT, SECRET)
    result = run(coded, *options)
    assert result.exit_code == 2
    assert result.stderr.startswith(message)
    assert not (coded.parent / "talk.jsonl").exists()


def test_a_key_that_cannot_be_sent_is_refused_without_repeating_it(coded, monkeypatch):
    monkeypatch.setenv(KEY_ENVIRONMENT, "sk-\nsecret")
    result = run(coded, "--endpoint", "http://127.0.0.1:1/v1", "--model", "t")
    assert result.exit_code == 2
    assert result.stderr == "The key in MEDSIGHT_ENDPOINT_KEY holds characters that no key has: copy it again.\n"


def test_a_server_without_the_model_or_without_chat_is_named(server, coded):
    Model(server, (404, b"no such model"))
    result = ask(server, coded)
    assert result.exit_code == 2
    assert result.stderr.startswith(
        f"The server at {server.address}/v1 refuses the request for the model 'tiny' (HTTP 404)"
    )
    Model(server, *[(200, {"hello": 1})] * 15)
    result = ask(server, coded)
    assert result.exit_code == 3
    assert result.stderr.startswith(f"What answers at {server.address}/v1 does not speak OpenAI's chat format")
    Model(server, *[(500, b"")] * 15)
    result = ask(server, coded)
    assert result.exit_code == 3
    assert result.stderr.startswith(f"The language model at {server.address}/v1 failed (HTTP 500): look at its log")


def test_a_file_that_cannot_be_written_is_named(coded):
    result = run(coded, out="no/folder/talk.jsonl")
    assert result.exit_code == 2
    assert "talk.jsonl' (No such file or directory): give another file." in result.stderr
