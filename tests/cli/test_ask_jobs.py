"""``medsight ask`` with a server that tells what it does: shown while it happens, and Ctrl+C reaches the server."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time

import nibabel
import numpy as np
import pytest
from rich.console import Console
from scripted_server import scripted_server
from typer.testing import CliRunner

from medsight_core.answer import Answer
from medsight_core.cli import app, failures, progress
from medsight_core.cli.failures import ctrl_c

ANSWER = Answer(text="The liver is not seen.", absent=("liver",))
EVENTS = (
    ("progress", {"phase": "queued", "ahead": 2, "elapsed": 0.1, "total": 0.1}),
    ("progress", {"phase": "generate", "done": 0.5, "elapsed": 0.1, "total": 0.2}),
    ("text", {"text": "The liver"}),
)


@pytest.fixture
def image(tmp_path):
    voxels = np.random.default_rng(0).integers(-1000, 400, (8, 8, 4)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "chest.nii.gz")
    return tmp_path / "chest.nii.gz"


@pytest.fixture
def server():
    """Tells `EVENTS`, and the end of it when ``server.over`` is set."""
    with scripted_server() as server:
        server.over = threading.Event()
        server.on_json("GET /medsight/info", {"protocol": 1, "capabilities": ["jobs"]})
        server.on_json("PUT /session/", {"session_id": "s1"})
        server.on_json("DELETE /session/s1", {})
        server.on_json("POST /medsight/jobs", {"id": "j1"})
        server.on_json("GET /medsight/jobs/j1/result", ANSWER.to_json())
        server.on_json("DELETE /medsight/jobs/j1", {})
        server.on_call("GET /medsight/jobs/j1/events", lambda handler: tell(handler, server.over))
        yield server
        server.over.set()


def tell(handler, over: threading.Event) -> None:
    def send(kind: str, data: dict) -> None:
        body = f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))

    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for event in EVENTS:
        send(*event)
    over.wait(20)
    send("done", {"reply": {}, "result": ""})
    handler.close_connection = True


def test_phases_and_words_are_shown_as_they_come(server, image, tmp_path, monkeypatch):
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    monkeypatch.setattr(progress, "errors", console)
    threading.Timer(0.5, server.over.set).start()
    result = CliRunner().invoke(
        app, ["ask", str(image), "Is there a liver?", "--server", server.address, "-o", str(tmp_path / "out")]
    )
    assert result.exit_code == 0, result.output
    assert "The liver is not seen." in result.stdout
    shown = console.file.getvalue()
    assert "Writing the sentence" in shown
    assert "The liver" in shown
    assert "0:00:0" in shown


def test_a_busy_server_is_told_with_the_time_to_wait(server, image, tmp_path, monkeypatch):
    monkeypatch.setattr(failures.errors, "width", 10_000)
    body = json.dumps({"detail": "The server is short of memory. Ask again in 12 seconds."}).encode()
    server.on("POST /medsight/jobs", 503, body, Content_Type="application/json", Retry_After="12")
    result = CliRunner().invoke(
        app, ["ask", str(image), "Is there a liver?", "--server", server.address, "-o", str(tmp_path / "out")]
    )
    assert result.exit_code == 3
    assert result.stderr == "The server is short of memory. Ask again in 12 seconds.\n"
    assert server.seen[-1].path == "/session/s1", "the image is not left there"


@pytest.mark.skipif(os.name == "nt", reason="SIGINT reaches a process group otherwise there")
def test_ctrl_c_cancels_the_job_on_the_server(server, image, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "medsight_core", "ask", image, "Is there a liver?", "--server", server.address]
        + ["-o", tmp_path / "out"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores Ctrl+C
    )
    deadline = time.monotonic() + 60
    while "/medsight/jobs/j1/events" not in [seen.path for seen in server.seen]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert stderr == "The question was cancelled, and the server stops working on it.\n"
    assert process.returncode == 130
    assert [(seen.method, seen.path) for seen in server.seen[-2:]] == [
        ("DELETE", "/medsight/jobs/j1"),
        ("DELETE", "/session/s1"),
    ]
    assert not (tmp_path / "out").exists()


def test_the_second_ctrl_c_interrupts():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # the tests may be a background job themselves
    try:
        with ctrl_c() as pressed:
            signal.raise_signal(signal.SIGINT)
            assert pressed.is_set()
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert failures.INTERRUPTED == 130


def test_a_background_job_goes_on_ignoring_ctrl_c():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with ctrl_c() as pressed:
            signal.raise_signal(signal.SIGINT)
        assert not pressed.is_set()
    finally:
        signal.signal(signal.SIGINT, before)
