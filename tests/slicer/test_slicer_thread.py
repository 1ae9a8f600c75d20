"""The conversation in the panel: keys, links, undo, and what a saved scene brings back."""

from __future__ import annotations

import slicer
from harness.slicer_app import wait_until
from panels import RIGHT, add_volume, ask, asked
from scenes import edit, segment_names, slice_view


def key(panel, name: str) -> None:
    from PySide6 import QtCore, QtTest

    panel.ui.promptEdit.window().activateWindow()
    panel.ui.promptEdit.setFocus()
    wait_until(lambda: panel.ui.promptEdit.focus)
    QtTest.QTest.keyClick(panel.ui.promptEdit, getattr(QtCore.Qt, f"Key_{name}"))


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


def test_arrows_bring_questions_back_but_never_from_under_a_text(panel):
    add_volume()
    ask(panel, "First?")
    ask(panel, "Second?")
    for expected in ("Second?", "First?", "First?"):
        key(panel, "Up")
        assert panel.ui.promptEdit.plainText == expected
    for expected in ("Second?", "", ""):
        key(panel, "Down")
        assert panel.ui.promptEdit.plainText == expected
    panel.ui.promptEdit.plainText = "Something of one's own"
    key(panel, "Up")
    assert panel.ui.promptEdit.plainText == "Something of one's own"


def test_hovering_dims_the_others_and_a_click_blinks_once(panel):
    import qt

    add_volume()
    ask(panel)
    node = panel.ui.segmentsTable.segmentationNode()
    right, left = (node.GetSegmentation().GetSegmentIdBySegmentName(f"{side} lung") for side in ("right", "left"))
    display = node.GetDisplayNode()
    panel.ui.answerBrowser.highlighted.emit(qt.QUrl("region:0:3"))
    assert display.GetSegmentOpacity2DFill(right) == 1.0
    assert display.GetSegmentOpacity2DFill(left) < 0.5
    panel.ui.answerBrowser.highlighted.emit(qt.QUrl(""))
    assert display.GetSegmentOpacity2DFill(left) == 1.0
    for _ in range(2):
        panel.ui.answerBrowser.anchorClicked.emit(qt.QUrl("region:0:3"))
        assert not display.GetSegmentVisibility(right)
    panel.ui.answerBrowser.anchorClicked.emit(qt.QUrl("region:0:4"))
    assert display.GetSegmentVisibility(right), "the first one is back before the second goes"
    wait_until(lambda: display.GetSegmentVisibility(left))


def test_undo_and_redo_an_answer(panel, server):
    add_volume()
    ask(panel)
    assert panel.ui.undoButton.enabled
    assert not panel.ui.redoButton.enabled
    panel.ui.undoButton.click()
    assert panel.ui.segmentsTable.segmentCount() == 0
    assert not panel.ui.undoButton.enabled
    panel.ui.redoButton.click()
    assert panel.ui.segmentsTable.segmentCount() == 2


def test_edited_segment_is_kept_unless_told_otherwise_for_one_answer(panel):
    volume = add_volume()
    ask(panel)
    node = panel.ui.segmentsTable.segmentationNode()
    segment_id = node.GetSegmentation().GetSegmentIdBySegmentName("left lung")
    edit(node, segment_id, volume, RIGHT)
    panel.ui.undoButton.click()
    assert "Segments were changed by hand since the last answer" in panel.ui.statusLabel.text
    ask(panel)
    assert "You changed left lung, so that was kept" in panel.ui.answerBrowser.plainText
    assert segment_names(node) == ["right lung", "left lung", "left lung (2)"]
    panel.ui.replaceEditedBox.checked = True
    ask(panel)
    assert "left lung (2)" not in segment_names(node)
    assert not panel.ui.replaceEditedBox.checked


def test_saved_scene_shows_thread_and_links_again(panel, tmp_path):
    import qt

    slice_view()
    add_volume()
    ask(panel, "Où est le poumon droit ? 肺")
    shown = panel.ui.answerBrowser.plainText
    path = tmp_path / "scene.mrb"
    assert slicer.mrmlScene.WriteToMRB(str(path), None)
    slicer.mrmlScene.Clear(0)
    assert panel.ui.answerBrowser.plainText == ""
    assert slicer.mrmlScene.ReadFromMRB(str(path), True)
    assert panel.ui.answerBrowser.plainText == shown
    node = panel.ui.segmentsTable.segmentationNode()
    panel.ui.answerBrowser.anchorClicked.emit(qt.QUrl("region:0:4"))
    segment_id = node.GetSegmentation().GetSegmentIdBySegmentName("left lung")
    assert panel.ui.segmentsTable.selectedSegmentIDs() == (segment_id,)
    ask(panel)
    assert segment_names(node) == ["right lung", "left lung"], "known as the answer's own after loading, too"


def test_closing_the_scene_closes_the_conversation(panel):
    add_volume()
    ask(panel)
    slicer.mrmlScene.Clear(0)
    assert panel.ui.answerBrowser.plainText == ""
    assert not panel.ui.segmentsTable.visible
    add_volume()
    assert not panel.ui.newConversationButton.enabled
