"""The page before a scripted server: cancelling, a server that goes away, and the ways back. In a real browser."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import threading

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from browser import SECONDS, browser, chromium
from replies import MODEL, box, http_body, reply_of
from scripted_server import scripted_server
from viewing import answered, ask, colors, open_study, picture, seconds_until, viewing

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="there is no Chromium: apt-get install chromium"),
]
SHAPE = (24, 28, 20)
SPACING = 4.0  # mm
TOKEN = "a-token-of-the-tests"
INFO = {
    "protocol": 1,
    "model": MODEL.to_json(),
    "scopes": ["volume"],
    "capabilities": ["jobs"],
    "suggestions": {"CT": ["Outline the lungs."], "MR": ["Outline the thalami."]},
}
EARLY = (("progress", {"phase": "generate", "elapsed": 0.1, "done": 0.5}), ("text", {"text": "The <b>lungs</b>"}))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with one study, which outlines two lungs whatever it is asked."""
    voxels = np.random.default_rng(0).integers(0, 400, SHAPE[::-1]).astype(np.int16)
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing([SPACING] * 3)
    path = tmp_path_factory.mktemp("study") / "scan.nrrd"
    sitk.WriteImage(image, str(path))
    masks = [box(SHAPE, (2, 10), (4, 20), (3, 16)), box(SHAPE, (13, 22), (4, 20), (3, 16))]
    reply = reply_of(["right lung", "left lung"], masks, np.diag([SPACING] * 3 + [1.0]), absent=["liver"])
    content_type, body = http_body(reply)
    with scripted_server() as scripted:
        scripted.on_json("GET /medsight/info", INFO)
        scripted.on_json("GET /datastore/", {"objects": {"scan": {}}})
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        scripted.on_json("GET /medsight/corrections", {"image_hash": f"SHA256:{digest}", "versions": []})
        disposition = 'attachment; filename="scan.nrrd"'
        scripted.on("GET /datastore/image", 200, path.read_bytes(), Content_Disposition=disposition)
        scripted.on_json("PUT /session/", {"session_id": "s1"})
        scripted.on_json("DELETE /session/s1", {})
        scripted.on_json("POST /medsight/jobs", {"id": "j1"})
        scripted.on("GET /medsight/jobs/j1/result", 200, body, Content_Type=content_type)
        scripted.on_json("DELETE /medsight/jobs/j1", {})
        yield scripted


@pytest.fixture(scope="module")
def page(server):
    with viewing("--server", server.address, MEDSIGHT_TOKEN=TOKEN) as running, browser() as chrome:
        page = chrome.page()
        open_study(page, running, "scan")
        yield page


def tells(server, *events, held: threading.Event | None = None) -> None:
    """The job's next stream: these events, and then nothing until ``held`` is set."""

    def stream(handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for number, (kind, data) in enumerate(events, 1):
            event = f"event: {kind}\ndata: {json.dumps(data)}\nid: {number}\n\n".encode()
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
        if held is not None:
            held.wait(SECONDS)
        with contextlib.suppress(OSError):  # whoever asked may have gone away
            handler.wfile.write(b"0\r\n\r\n")

    server.on_call("GET /medsight/jobs/j1/events", stream)


def test_only_what_the_server_can_is_offered(page):
    assert page.eval("[...document.querySelectorAll('.ask option')].map(e => e.innerText)") == ["Whole volume"]
    assert page.text(".suggestions").strip() == "Outline the thalami."
    page.click(".suggestions button")
    page.wait("document.querySelector('.prompt').value === 'Outline the thalami.'")
    page.eval("(e => { e.value = ''; e.dispatchEvent(new Event('input')) })(document.querySelector('.prompt'))")


def test_cancel_ends_the_question_and_gives_it_back(page, server):
    held = threading.Event()
    tells(server, *EARLY, held=held)
    ask(page, "Outline the lungs.")
    page.wait(lambda: "The <b>lungs</b>" in page.text(".thread"))
    assert "Writing the answer, 50 %" in page.text(".status")
    assert page.eval("document.querySelector('.bar i').style.width") == "50%"
    page.click(".cancel")
    # A second, and what a busy machine adds.
    assert seconds_until(page, "!document.querySelector('.bar')") < 4
    held.set()
    assert page.text(".status").startswith("The question was cancelled, and the server stops working on it.")
    assert page.eval("document.querySelector('.prompt').value") == "Outline the lungs."
    assert any(seen.method == "DELETE" and seen.path == "/medsight/jobs/j1" for seen in server.seen)
    assert not page.text(".thread")
    assert not colors(page)


def test_server_that_goes_away_is_told_and_nothing_is_lost(page, server):
    server.on_call("GET /medsight/jobs/j1/events", lambda handler: handler.connection.shutdown(socket.SHUT_RDWR))
    page.click(".buttons button", "Ask")
    page.wait("!!document.querySelector('.status.problem')")
    assert "broke the connection before its reply was complete" in page.text(".status")
    assert page.eval("document.querySelector('.prompt').value") == "Outline the lungs."
    assert not colors(page)


def test_asking_again_answers_and_bad_text_stays_text(page, server):
    tells(server, *EARLY, ("done", {}))
    page.click(".buttons button", "Ask")
    page.wait("document.querySelectorAll('.thread p a').length === 2")
    assert "Not seen: liver" in answered(page)
    assert not page.eval("document.querySelectorAll('.thread b').length")
    assert set(colors(page)) == {"right lung", "left lung"}
    asked = [seen for seen in server.seen if seen.path.startswith("/medsight/jobs?")]
    assert all("session_id=s1" in seen.path for seen in asked)
    assert len([seen for seen in server.seen if seen.method == "PUT"]) == 1, "one upload for all questions"


def test_answer_is_undone_and_done_again(page):
    page.click(".buttons button", "Undo")
    page.wait("!document.querySelectorAll('.segments li').length")
    page.click(".thread p a", "left lung")
    page.wait(lambda: "That segment is no longer in the scene" in page.text(".status"))
    page.click(".buttons button", "Redo")
    page.wait("document.querySelectorAll('.segments li').length === 2")


def test_arrows_bring_back_what_was_asked(page):
    page.click(".prompt")
    page.key("ArrowUp", 38)
    page.wait("document.querySelector('.prompt').value === 'Outline the lungs.'")
    page.key("ArrowDown", 40)
    page.wait("document.querySelector('.prompt').value === ''")


def test_new_conversation_keeps_the_segments(page):
    page.click(".buttons button", "New")
    page.wait("!document.querySelector('.thread')")
    assert len(colors(page)) == 2


def test_view_is_enlarged_and_made_small_again(page):
    width = "document.querySelector('.view-Green').getBoundingClientRect().width"
    small = page.eval(width)
    page.click(".view-Green .enlarge")
    page.wait(f"{width} > 1.8 * {small}")
    page.click(".view-Green .enlarge")
    page.wait(f"{width} === {small}")


@pytest.mark.parametrize("button", ["left", "middle", "right"])
def test_buttons_change_the_window_move_and_zoom(page, button):
    before = picture(page, "Green")
    x, y = page.eval(
        "(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector('.view-Green').getBoundingClientRect())"
    )
    page.mouse("mouseMoved", x, y)
    page.mouse("mousePressed", x, y, button=button, clickCount=1)
    for step in range(1, 7):
        page.mouse("mouseMoved", x + 10 * step, y + 10 * step, button=button)
    page.mouse("mouseReleased", x + 60, y + 60, button=button, clickCount=1)
    page.wait(lambda: abs(picture(page, "Green") - before).mean() > 2, 30)
