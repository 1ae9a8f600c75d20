"""The panel on real MRML and a real HTTP server, with PySide6 posing as PythonQt: wiring, enabling, every sentence."""

from __future__ import annotations

import json
import os
import threading
import types
from urllib.parse import parse_qs

import numpy as np
import pytest
import slicer
from harness.slicer_app import make_widget, wait_until
from replies import MODEL, answer_of, box, http_body, reply_of
from scripted_server import scripted_server

from medsight_core.answer import NOTICE

SHAPE = (10, 12, 8)
RIGHT, LEFT = box(SHAPE, (1, 5), (2, 9), (1, 6)), box(SHAPE, (4, 9), (2, 9), (1, 6))
AFFINE = np.eye(4)
IJK_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
INFO = {
    "protocol": 1,
    "model": MODEL.to_json(),
    "suggestions": {"CT": ["Outline the right lung.", "Is there a liver?"], "MR": ["Outline the thalami."]},
}
TOKEN = "a-token-of-the-tests"


@pytest.fixture
def server():
    with scripted_server() as scripted:
        scripted.on_json("GET /medsight/info", INFO)
        scripted.on_json("PUT /session/", {"session_id": "s1"})
        scripted.on_json("DELETE /session/s1", {})
        answers(scripted, reply_of(["right lung", "left lung"], [RIGHT, LEFT], AFFINE, absent=["liver"]))
        yield scripted


def answers(scripted, reply) -> None:
    content_type, body = http_body(reply)
    scripted.on("POST /infer/medsight", 200, body, Content_Type=content_type)


@pytest.fixture
def panel(scene, medsight_module, server):
    slicer.app.userSettings().clear()
    slicer.app.userSettings().setValue("MedSIGHT/Address", server.address)
    slicer.app.userSettings().setValue("MedSIGHT/Token", TOKEN)
    widget = make_widget(medsight_module, "MedSIGHT")
    widget.parent.show()
    yield widget.panel
    widget.cleanup()
    widget.parent.delete()


def add_volume(name: str = "CT"):
    return slicer.util.addVolumeFromArray(np.zeros(SHAPE[::-1], np.int16), IJK_TO_RAS, name)


def ask(panel, prompt: str = "Outline the lungs.") -> None:
    panel.ui.promptEdit.plainText = prompt
    panel.ui.askButton.click()
    wait_until(lambda: not panel.background.busy)


def asked(server) -> list[dict]:
    return [
        json.loads(parse_qs(seen.body.decode())["params"][0]) for seen in server.seen if seen.path.startswith("/infer")
    ]


def test_question_becomes_a_sentence_and_named_segments(panel, server):
    volume = add_volume()
    ask(panel)
    node = slicer.util.getNode("CT MedSIGHT")
    segmentation = node.GetSegmentation()
    for segment, mask in zip(("right lung", "left lung"), (RIGHT, LEFT)):
        segment_id = segmentation.GetSegmentIdBySegmentName(segment)
        assert np.array_equal(slicer.util.arrayFromSegmentBinaryLabelmap(node, segment_id, volume).T, mask)
    assert panel.ui.segmentsTable.segmentationNode() is node
    assert panel.ui.segmentsTable.segmentCount() == 2
    text = panel.ui.answerBrowser.plainText
    assert "Outline the lungs." in text
    assert "right lung" in text
    assert "Not seen: liver" in text
    assert "[3]" not in text, "the dot stands for the number"
    assert panel.ui.promptEdit.plainText == ""
    assert server.seen[-1].headers["Authorization"] == f"Bearer {TOKEN}"


def test_second_question_carries_the_history_and_no_second_upload(panel, server):
    add_volume()
    ask(panel)
    ask(panel, "Only the right one.")
    assert [seen.method for seen in server.seen].count("PUT") == 1
    first, second = asked(server)
    assert "history" not in first
    assert second["history"] == [["Outline the lungs.", answer_of(["right lung", "left lung"], [RIGHT, LEFT]).text]]
    panel.ui.newConversationButton.click()
    assert panel.ui.answerBrowser.plainText == ""
    ask(panel, "Again.")
    assert "history" not in asked(server)[-1]


def test_expired_session_is_replaced_without_a_word(panel, server):
    add_volume()
    ask(panel)
    sessions = iter(["s1", "s2"])
    content_type, body = http_body(reply_of(["right lung"], [LEFT], AFFINE))

    def expired_then_fine(handler):
        status = 404 if next(sessions) == "s1" else 200
        content = b'{"detail": "This session has expired: upload the image again."}' if status == 404 else body
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json" if status == 404 else content_type)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    server.on_call("POST /infer/medsight", expired_then_fine)
    ask(panel)
    assert [seen.method for seen in server.seen].count("PUT") == 2
    assert "expired" not in panel.ui.statusLabel.text


def test_changed_volume_is_uploaded_again_and_the_old_one_forgotten(panel, server):
    volume = add_volume()
    ask(panel)
    slicer.util.arrayFromVolume(volume)[:] = 7
    slicer.util.arrayFromVolumeModified(volume)
    ask(panel)
    assert [seen.method for seen in server.seen if "session" in seen.path] == ["PUT", "POST", "DELETE", "PUT", "POST"]


def test_panel_stays_alive_and_closed_to_a_second_question_while_waiting(panel, server):
    add_volume()
    release = threading.Event()
    reply = server.replies["POST /infer/medsight"]
    server.on_call("POST /infer/medsight", lambda handler: release.wait(10) and reply(handler))
    panel.ui.promptEdit.plainText = "Outline the lungs."
    panel.ui.askButton.click()
    assert panel.background.busy
    assert not panel.ui.askButton.enabled
    assert panel.ui.askButton.toolTip == "Waiting for the server"
    assert not panel.ui.volumeSelector.enabled
    assert panel.ui.progressBar.visible
    panel.ask()  # the shortcut does not look at the button
    release.set()
    wait_until(lambda: not panel.background.busy)
    assert panel.ui.volumeSelector.enabled
    assert not panel.ui.progressBar.visible
    assert len(asked(server)) == 1


def test_volume_removed_while_waiting_adds_nothing(panel, server):
    volume = add_volume()
    release = threading.Event()
    reply = server.replies["POST /infer/medsight"]
    server.on_call("POST /infer/medsight", lambda handler: release.wait(10) and reply(handler))
    panel.ui.promptEdit.plainText = "Outline the lungs."
    panel.ui.askButton.click()
    slicer.mrmlScene.RemoveNode(volume)
    release.set()
    wait_until(lambda: not panel.background.busy)
    assert "The volume was removed while the server answered, so nothing was added" in panel.ui.statusLabel.text
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def test_ask_says_what_is_missing(panel):
    assert panel.ui.askButton.toolTip == "Load a volume first"
    assert "Load a volume to ask about." in panel.ui.statusLabel.text
    add_volume()
    assert panel.ui.askButton.toolTip == "Write a question first"
    panel.ui.promptEdit.plainText = " \n"
    assert not panel.ui.askButton.enabled
    panel.ui.promptEdit.plainText = "Outline the lungs."
    assert panel.ui.askButton.enabled
    assert panel.ui.askButton.toolTip == "Send the question (Ctrl+Enter)"


def test_problems_become_sentences_in_the_panel(panel, server, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    add_volume()
    ask(panel, "x" * 2001)
    assert "2001 characters and the limit is 2000" in panel.ui.statusLabel.text
    server.on_json("POST /infer/medsight", {"detail": "The model is busy: ask again."}, status=503)
    ask(panel)
    assert "The model is busy: ask again." in panel.ui.statusLabel.text
    assert panel.ui.promptEdit.plainText == "Outline the lungs.", "a failed question can be sent again"
    server.on("POST /infer/medsight", 200, b"\x00\x01")
    ask(panel)
    assert "not the expected JSON" in panel.ui.statusLabel.text
    panel.ui.planeScopeButton.checked = True
    ask(panel)
    assert "There is no red slice view" in panel.ui.statusLabel.text
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    assert os.listdir(tmp_path) == [], "no copy of the volume stays on the disk"


def test_unforeseen_failure_is_named_without_its_text(panel, server, caplog, monkeypatch):
    add_volume()

    def explode(question):
        raise KeyError("Jane Doe")

    monkeypatch.setattr(panel.asker, "send", explode)
    ask(panel)
    assert "MedSIGHT failed unexpectedly (KeyError)" in panel.ui.statusLabel.text
    assert "Jane" not in panel.ui.statusLabel.text


def test_wrong_token_and_server_down_on_connect(panel, server):
    server.on_json("GET /medsight/info", {"detail": "The token is wrong: copy it again."}, status=401)
    panel.ui.connectButton.click()
    wait_until(lambda: not panel.background.busy)
    assert "The token is wrong: copy it again." in panel.ui.connectionLabel.text
    assert not panel.ui.serverSection.collapsed
    panel.ui.addressEdit.text = "127.0.0.1:1"
    panel.ui.connectButton.click()
    wait_until(lambda: not panel.background.busy)
    assert "No MedSIGHT server answers at http://127.0.0.1:1" in panel.ui.connectionLabel.text
    panel.ui.addressEdit.text = "ftp://x"
    panel.ui.connectButton.click()
    assert "cannot be used: write it as" in panel.ui.connectionLabel.text


def test_opening_the_module_connects_and_shows_who_answers(panel):
    assert "licence is shown once a server is connected" in panel.ui.noticeLabel.text
    assert NOTICE in panel.ui.noticeLabel.text
    panel.enter()
    assert not panel.ui.connectButton.enabled
    wait_until(lambda: not panel.background.busy)
    assert "Connected · tiny 7" in panel.ui.connectionLabel.text
    assert panel.ui.serverSection.collapsed
    assert NOTICE in panel.ui.noticeLabel.text
    assert "licence: CC0" in panel.ui.noticeLabel.text
    assert panel.ui.connectButton.enabled


def test_suggestion_fills_the_prompt(panel):
    panel.enter()
    wait_until(lambda: not panel.background.busy)
    assert "Outline the right lung." in panel.ui.suggestionsLabel.text
    panel.ui.suggestionsLabel.linkActivated.emit("Is there a liver?")
    assert panel.ui.promptEdit.plainText == "Is there a liver?"


def test_region_link_selects_its_segment_or_says_that_it_is_gone(panel):
    import qt

    add_volume()
    ask(panel)
    node = panel.ui.segmentsTable.segmentationNode()
    segment_id = node.GetSegmentation().GetSegmentIdBySegmentName("left lung")
    panel.ui.answerBrowser.anchorClicked.emit(qt.QUrl("region:0:4"))
    assert panel.ui.segmentsTable.selectedSegmentIDs() == (segment_id,)
    node.GetSegmentation().RemoveSegment(segment_id)
    panel.ui.answerBrowser.anchorClicked.emit(qt.QUrl("region:0:4"))
    assert "no longer in the scene: ask again" in panel.ui.statusLabel.text
    panel.ui.answerBrowser.anchorClicked.emit(qt.QUrl("https://example.org"))


def test_ctrl_enter_asks(panel, server):
    from PySide6 import QtCore, QtTest

    add_volume()
    panel.ui.promptEdit.plainText = "Outline the lungs."
    panel.ui.promptEdit.window().activateWindow()
    panel.ui.promptEdit.setFocus()
    wait_until(lambda: panel.ui.promptEdit.focus)
    QtTest.QTest.keyClick(panel.ui.promptEdit, QtCore.Qt.Key_Return, QtCore.Qt.ControlModifier)
    assert panel.background.busy
    wait_until(lambda: not panel.background.busy)
    assert len(asked(server)) == 1


def test_choices_live_in_the_scene_and_the_token_does_not(panel, tmp_path):
    volume = add_volume("second")
    panel.ui.promptEdit.plainText = "Outline the lungs."
    panel.ui.planeScopeButton.checked = True
    path = tmp_path / "scene.mrml"
    slicer.mrmlScene.SetURL(str(path))
    assert slicer.mrmlScene.Commit()
    saved = path.read_text()
    assert "Outline the lungs." in saved
    assert volume.GetID() in saved
    assert TOKEN not in saved
    assert "127.0.0.1" not in saved, "a scene must not choose where volumes are sent"
    slicer.mrmlScene.Clear(0)
    assert panel.ui.promptEdit.plainText == ""
    assert panel.ui.volumeScopeButton.checked
    assert panel.ui.tokenEdit.text == TOKEN


def test_closing_the_scene_forgets_the_conversation(panel):
    add_volume()
    ask(panel)
    slicer.mrmlScene.Clear(0)
    assert panel.ui.answerBrowser.plainText == ""
    assert not panel.ui.segmentsTable.visible
    add_volume()
    assert not panel.ui.newConversationButton.enabled


def test_closing_the_module_makes_the_server_forget_the_volume(panel, server):
    add_volume()
    ask(panel)
    panel.close()
    assert server.seen[-1].method == "DELETE"


def test_token_is_hidden_while_typed(panel):
    import qt

    assert panel.ui.tokenEdit.echoMode == qt.QLineEdit.Password


def test_module_own_test_passes_here_too(panel, medsight_module):
    slicer.util.getModuleWidget = lambda name: types.SimpleNamespace(panel=panel)
    try:
        medsight_module.MedSIGHTTest("runTest").runTest()
    finally:
        del slicer.util.getModuleWidget


def test_panel_can_be_looked_at(panel, tmp_path):
    add_volume()
    ask(panel)
    window = panel.ui.askFrame.window()
    window.resize(440, 900)
    assert window.grab().save(str(tmp_path / "panel.png"))
    assert panel.ui.answerBrowser.height > 100
    assert panel.ui.noticeLabel.visible
