"""The panel on real MRML and a real HTTP server, with PySide6 posing as PythonQt: wiring, enabling, what is shown."""

from __future__ import annotations

import types

import numpy as np
import panels
import pytest
import slicer
from harness.slicer_app import wait_until
from panels import (
    AFFINE,
    LEFT,
    RIGHT,
    TOKEN,
    Job,
    add_volume,
    ask,
    asked,
    connect,
    held,
    start,
    wait,
)
from replies import answer_of, http_body, reply_of
from scenes import slice_view

from medsight_core.answer import NOTICE


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
    server.on_json("PUT /session/", {"session_id": "s2"})
    ask(panel)
    requests = [seen.method for seen in server.seen if "session" in seen.path]
    assert requests == ["PUT", "POST", "PUT", "DELETE", "POST"]
    server.on_json("DELETE /session/s2", {})


def test_same_voxels_in_another_node_are_not_uploaded_again(panel, server):
    add_volume("one")
    ask(panel)
    panel.ui.volumeSelector.setCurrentNode(add_volume("two"))
    ask(panel)
    assert [seen.method for seen in server.seen].count("PUT") == 1
    assert "history" not in asked(server)[-1], "another volume, another conversation"


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


def test_opening_the_module_connects_and_shows_who_answers(panel):
    assert "licence is shown once a server is connected" in panel.ui.noticeLabel.text
    assert NOTICE in panel.ui.noticeLabel.text
    panel.enter()
    assert not panel.ui.connectButton.enabled
    wait_until(lambda: not panel.connection.background.busy)
    assert "Connected · tiny 7" in panel.ui.connectionLabel.text
    assert panel.ui.serverSection.collapsed
    assert NOTICE in panel.ui.noticeLabel.text
    assert "licence: CC0" in panel.ui.noticeLabel.text
    assert panel.ui.connectButton.enabled


def test_suggestion_fills_the_prompt(panel):
    connect(panel)
    assert "Outline the right lung." in panel.ui.suggestionsLabel.text
    panel.ui.suggestionsLabel.linkActivated.emit("Is there a liver?")
    assert panel.ui.promptEdit.plainText == "Is there a liver?"


def test_choices_live_in_the_scene_and_the_token_does_not(panel, tmp_path):
    volume = add_volume("second")
    panel.ui.promptEdit.plainText = "Outline the lungs."
    slice_view()
    panel.enter()
    panel.ui.scopeSelector.currentIndex = 1
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
    assert panel.ui.scopeSelector.currentIndex == 0
    assert panel.ui.tokenEdit.text == TOKEN


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


def test_panel_stays_alive_and_closed_to_a_second_question_while_waiting(panel, server):
    add_volume()
    with held(server):
        start(panel)
        assert panel.background.busy
        assert not panel.ui.askButton.enabled
        assert panel.ui.askButton.toolTip == "Waiting for the server"
        assert panel.ui.progressBar.visible
        assert panel.ui.cancelButton.visible
        assert panel.ui.promptEdit.plainText == ""
        assert "Outline the lungs." in panel.ui.answerBrowser.plainText
        wait_until(lambda: "Waiting for the server" in panel.ui.statusLabel.text)
    wait(panel)
    assert not panel.ui.progressBar.visible
    assert not panel.ui.cancelButton.visible
    assert "Answered in" in panel.ui.statusLabel.text


def test_words_and_phases_show_as_they_come(panel, server):
    job = Job(server, reply_of(["right lung"], [RIGHT], AFFINE))
    add_volume()
    start(panel, "Outline the right lung.")
    job.send("progress", phase="queued", ahead=2, elapsed=0.0, total=0.0)
    wait_until(lambda: "line, 2 questions before this one" in panel.ui.statusLabel.text)
    job.send("progress", phase="encode", done=0.4, elapsed=2.0, total=2.0)
    wait_until(lambda: "Looking at the volume, 40 %" in panel.ui.statusLabel.text)
    assert panel.ui.progressBar.value == 40
    job.send("text", text="There is <a> ")
    job.send("text", text="right lung")
    wait_until(lambda: "There is <a> right lung \N{HORIZONTAL ELLIPSIS}" in panel.ui.answerBrowser.plainText)
    job.send("done", reply={}, result="")
    wait(panel)
    assert "There is" not in panel.ui.answerBrowser.plainText, "the answer takes its place"
    assert "Outlined: \N{BLACK CIRCLE}" in panel.ui.answerBrowser.plainText
    assert "looking at the volume" in panel.ui.statusLabel.text


def test_upload_shows_how_far_it_is(panel, server):
    add_volume()
    with held(server, "PUT /session/"):
        start(panel)
        wait_until(lambda: "Uploading the volume, " in panel.ui.statusLabel.text)
        assert panel.ui.progressBar.maximum == 100
    wait(panel)


def test_another_volume_can_be_looked_at_while_waiting(panel, server):
    first = add_volume("one")
    with held(server):
        start(panel)
        panel.ui.volumeSelector.setCurrentNode(add_volume("two"))
        assert panel.ui.answerBrowser.plainText == ""
    wait(panel)
    assert panel.ui.answerBrowser.plainText == ""
    panel.ui.volumeSelector.setCurrentNode(first)
    assert "Outline the lungs." in panel.ui.answerBrowser.plainText
    assert panel.ui.segmentsTable.segmentCount() == 2


def test_scopes_are_what_the_server_can_and_the_layout_has(panel, server):
    def offered():
        return [panel.ui.scopeSelector.itemText(n) for n in range(panel.ui.scopeSelector.count)]

    assert offered() == ["Whole volume"]
    slice_view("Axial", (-5, -6, 4), "Red")
    slice_view("Coronal", (-5, -6, 4), "Green")
    slice_view("Sagittal", (-5, -6, 4), "Yellow")
    add_volume()
    connect(panel)
    views = ["Whole volume", "Current red slice", "Current yellow slice", "Current green slice"]
    assert offered() == [*views, "Several axial slices", "Several coronal slices"]
    panel.ui.scopeSelector.currentIndex = 3
    ask(panel)
    assert asked(server)[-1]["scope"] == "plane"
    assert asked(server)[-1]["plane"]["right"] == pytest.approx([1, 0, 0], abs=1e-9)
    assert "Green slice" in panel.ui.answerBrowser.plainText
    panel.ui.scopeSelector.currentIndex = 2
    ask(panel)
    assert "yellow slice lies nearest to sagittal" in panel.ui.statusLabel.text
    assert "choose a view that is axial or coronal" in panel.ui.statusLabel.text
    assert len(asked(server)) == 1
    server.on_json("GET /medsight/info", {**panels.INFO, "scopes": ["plane", "volume"]})
    panel.ui.connectButton.click()
    wait_until(lambda: not panel.connection.background.busy)
    assert offered() == views, "an older server knows no ranges"
    server.on_json("GET /medsight/info", {**panels.INFO, "scopes": ["volume"]})
    panel.ui.connectButton.click()
    wait_until(lambda: not panel.connection.background.busy)
    assert offered() == ["Whole volume"]


def choose_scope(panel, words):
    names = [panel.ui.scopeSelector.itemText(n) for n in range(panel.ui.scopeSelector.count)]
    panel.ui.scopeSelector.currentIndex = names.index(words)


def test_several_slices_are_asked_about_and_the_views_show_where_they_end(panel, server):
    red, green = slice_view("Axial", (0, 0, 0), "Red"), slice_view("Coronal", (0, 0, 0), "Green")
    volume = add_volume()
    connect(panel)
    ui = panel.ui
    assert not ui.slicesFrame.visible
    choose_scope(panel, "Several axial slices")
    assert ui.slicesFrame.visible
    assert (ui.firstSliceBox.value, ui.lastSliceBox.value) == (0, panels.SHAPE[2] - 1), "all, until told otherwise"
    ui.firstSliceBox.value = 5
    assert slice_offset(red, 2) == 5
    ui.lastSliceBox.value = 2
    assert slice_offset(red, 2) == 2
    assert slice_offset(green, 1) == 0, "the other views stay"
    ask(panel)
    assert asked(server)[-1]["scope"] == "range"
    assert asked(server)[-1]["plane"] == {"orientation": "axial", "first": 2, "last": 5}
    assert "axial slices 2 to 5" in panel.ui.answerBrowser.plainText
    choose_scope(panel, "Several coronal slices")
    ui.lastSliceBox.value = 7
    assert slice_offset(green, 1) == -7
    panel.ui.volumeSelector.setCurrentNode(add_volume("another"))
    assert (ui.firstSliceBox.value, ui.lastSliceBox.value) == (0, panels.SHAPE[1] - 1)
    choose_scope(panel, "Whole volume")
    assert not ui.slicesFrame.visible
    panel.ui.volumeSelector.setCurrentNode(volume)
    ask(panel)
    assert asked(server)[-1]["scope"] == "volume"


def test_slices_come_back_with_the_scene(panel, tmp_path):
    add_volume()
    connect(panel)
    choose_scope(panel, "Several coronal slices")
    panel.ui.firstSliceBox.value, panel.ui.lastSliceBox.value = 3, 6
    assert slicer.mrmlScene.WriteToMRB(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(0)
    assert panel.ui.scopeSelector.currentText == "Whole volume"
    slicer.mrmlScene.ReadFromMRB(str(tmp_path / "scene.mrb"), False)
    assert panel.ui.scopeSelector.currentText == "Several coronal slices"
    assert (panel.ui.firstSliceBox.value, panel.ui.lastSliceBox.value) == (3, 6)


def slice_offset(view, row):
    return pytest.approx(view.GetSliceToRAS().GetElement(row, 3), abs=0.01)


def test_suggestions_fit_the_modality(panel):
    volume = add_volume()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(volume) or hierarchy.CreateItem(hierarchy.GetSceneItemID(), volume)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "MR")
    connect(panel)
    assert "Outline the thalami." in panel.ui.suggestionsLabel.text
    assert "liver" not in panel.ui.suggestionsLabel.text
