"""The report in the panel: collecting, following, writing over, taking out, exporting."""

from __future__ import annotations

import pytest
import slicer
from panels import add_volume, ask


@pytest.fixture
def asked(panel):
    """The panel after one question, with its answer in the report."""
    add_volume()
    ask(panel)
    panel.ui.collectButton.click()
    return panel


@pytest.fixture
def saved_as(panel, monkeypatch):
    """A function that answers the file dialog."""
    import qt

    def saved_as(path) -> list:
        asked = []
        monkeypatch.setattr(
            qt.QFileDialog, "getSaveFileName", staticmethod(lambda *arguments: asked.append(arguments) or str(path))
        )
        return asked

    return saved_as


def page(panel) -> str:
    return panel.ui.reportBrowser.plainText


def go(panel, link: str) -> None:
    import qt

    panel.ui.reportBrowser.anchorClicked.emit(qt.QUrl(link))


def enabled(panel) -> list[str]:
    names = ("collectButton", "noteButton", "removeButton", "exportButton", "findingEdit")
    return [name for name in names if getattr(panel.ui, name).enabled]


def test_buttons_can_be_pressed_when_they_can_do_something(panel):
    assert enabled(panel) == []
    add_volume()
    assert enabled(panel) == ["noteButton"]
    ask(panel)
    assert enabled(panel) == ["collectButton", "noteButton"]
    panel.ui.collectButton.click()
    assert enabled(panel) == ["collectButton", "noteButton", "exportButton"]
    go(panel, "finding:0")
    assert enabled(panel) == ["collectButton", "noteButton", "removeButton", "exportButton", "findingEdit"]


def test_collected_findings_have_their_outlines_and_measurements(asked):
    assert "1. Outlined: right lung left lung" in page(asked)
    assert "Outline the lungs." in page(asked)
    assert "● right lung\n0.14 ml · 8.6 mm · 0 · confidence 90%\n" in page(asked).replace("\N{NO-BREAK SPACE}", " ")
    assert "1 finding was added to the report" in asked.ui.statusLabel.text


def test_only_new_answers_are_collected(asked):
    asked.ui.collectButton.click()
    assert "No findings were added to the report, and its outlines were measured anew." in asked.ui.statusLabel.text
    for prompt in ("Outline the lungs.", "And now?", "And then?"):
        ask(asked, prompt)
    asked.ui.collectButton.click()
    assert "2 findings were added" in asked.ui.statusLabel.text, "the same answer to the same question is no news"
    assert page(asked).count("?") == 2


def test_finding_is_written_over_in_the_scene_and_the_page(asked):
    go(asked, "finding:0")
    assert asked.ui.findingEdit.plainText == "Outlined: right lung left lung"
    asked.ui.findingEdit.plainText = "Both lungs are <clear>."
    assert "1. Both lungs are <clear>." in page(asked)
    assert "Both lungs are <clear>." in slicer.util.getNode("MedSIGHT report").GetText()
    assert asked.ui.findingEdit.plainText == "Both lungs are <clear>."


def test_nothing_is_written_while_no_finding_is_chosen(asked):
    before = slicer.util.getNode("MedSIGHT report").GetText()
    asked.ui.findingEdit.plainText = "typed by nobody"
    assert slicer.util.getNode("MedSIGHT report").GetText() == before


def test_choosing_changes_nothing_in_the_scene(asked):
    from MedSIGHTLib.report_store import load_report, save_report

    save_report(asked.volume, load_report(asked.volume).with_text(0, "2\N{NO-BREAK SPACE}cm"))  # which Qt makes a space
    asked.enter()
    for link in ("finding:0", "finding:0:1", "finding:0"):
        go(asked, link)
    assert asked.ui.findingEdit.plainText == "2 cm"
    assert load_report(asked.volume).findings[0].text == "2\N{NO-BREAK SPACE}cm"


def test_structure_leads_to_its_segment_or_says_that_it_is_gone(asked):
    go(asked, "finding:0:1")
    node = asked.ui.segmentsTable.segmentationNode()
    segment_id = node.GetSegmentation().GetSegmentIdBySegmentName("left lung")
    assert asked.ui.segmentsTable.selectedSegmentIDs() == (segment_id,)
    assert not node.GetDisplayNode().GetSegmentVisibility(segment_id), "it blinks"
    asked.pointer.close()
    assert node.GetDisplayNode().GetSegmentVisibility(segment_id)
    node.GetSegmentation().RemoveSegment(segment_id)
    go(asked, "finding:0:1")
    assert "That segment is no longer in the scene: ask again to get it back." in asked.ui.statusLabel.text
    go(asked, "https://example.org")


def test_hovering_dims_the_others(asked):
    import qt

    node = asked.ui.segmentsTable.segmentationNode()
    left = node.GetSegmentation().GetSegmentIdBySegmentName("left lung")
    display = node.GetDisplayNode()
    asked.ui.reportBrowser.highlighted.emit(qt.QUrl("finding:0:0"))
    assert display.GetSegmentOpacity2DFill(left) < 0.5
    for link in ("finding:0", ""):
        asked.ui.reportBrowser.highlighted.emit(qt.QUrl(link))
        assert display.GetSegmentOpacity2DFill(left) == 1.0


def test_structure_then_finding_are_taken_out(asked):
    go(asked, "finding:0:0")
    assert asked.ui.removeButton.text == "Remove structure"
    asked.ui.removeButton.click()
    assert "● left lung" in page(asked).replace("\N{NO-BREAK SPACE}", " ")
    assert "● right lung" not in page(asked).replace("\N{NO-BREAK SPACE}", " ")
    assert asked.ui.removeButton.text == "Remove finding"
    asked.ui.removeButton.click()
    assert page(asked) == ""
    assert enabled(asked) == ["collectButton", "noteButton"]
    assert asked.ui.segmentsTable.segmentCount() == 2, "segments stay"


def test_note_is_added_and_chosen(asked):
    asked.ui.noteButton.click()
    assert asked.ui.findingEdit.plainText == ""
    asked.ui.findingEdit.plainText = "Seen by a person."
    assert "2. Seen by a person." in page(asked)
    go(asked, "finding:0")
    assert asked.ui.findingEdit.plainText == "Outlined: right lung left lung"
    assert "2. Seen by a person." in page(asked)


def test_each_volume_has_its_own_report(asked):
    first = asked.volume
    go(asked, "finding:0")
    asked.ui.volumeSelector.setCurrentNode(add_volume("another"))
    assert page(asked) == ""
    assert asked.ui.findingEdit.plainText == ""
    assert enabled(asked) == ["noteButton"]
    asked.ui.volumeSelector.setCurrentNode(first)
    assert "1. Outlined" in page(asked)


def test_new_conversation_leaves_the_report(asked):
    asked.ui.newConversationButton.click()
    assert "1. Outlined" in page(asked)
    ask(asked, "And now?")
    asked.ui.collectButton.click()
    assert "2. Outlined" in page(asked)


def test_report_node_that_is_removed_elsewhere_is_gone_here(asked):
    asked.ui.noteButton.click()
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("MedSIGHT report"))
    assert page(asked) == ""
    assert asked.ui.findingEdit.plainText == ""


def test_saved_scene_shows_the_report_again(asked, tmp_path):
    shown = page(asked)
    path = tmp_path / "scene.mrb"
    assert slicer.mrmlScene.WriteToMRB(str(path), None)
    go(asked, "finding:0")
    slicer.mrmlScene.Clear(0)
    assert page(asked) == ""
    assert slicer.mrmlScene.ReadFromMRB(str(path), True)
    assert page(asked) == shown
    go(asked, "finding:0:1")
    assert len(asked.ui.segmentsTable.selectedSegmentIDs()) == 1


def test_export_asks_where_to_and_says_what_it_wrote(asked, saved_as, tmp_path):
    dialogs = saved_as(tmp_path / "mine.html")
    asked.ui.exportButton.click()
    assert dialogs[0][2:] == (
        "MedSIGHT report.html",
        "Web page with pictures (*.html);;Plain text (*.txt);;JSON (*.json)",
    )
    assert (tmp_path / "mine.html").read_text("utf-8").count("<img ") == 2
    assert "The report was written to mine.html." in asked.ui.statusLabel.text


def test_export_that_is_called_off_says_nothing(asked, saved_as):
    said = asked.ui.statusLabel.text
    saved_as("")
    asked.ui.exportButton.click()
    assert asked.ui.statusLabel.text == said


def test_export_that_fails_is_said(asked, saved_as, tmp_path):
    saved_as(tmp_path / "mine.pdf")
    asked.ui.exportButton.click()
    assert "A report cannot be written as .pdf" in asked.ui.statusLabel.text


def test_volume_that_lost_its_voxels_is_said(asked):
    asked.volume.SetAndObserveImageData(None)
    asked.ui.collectButton.click()
    assert "The chosen volume holds no voxels: load it again, or choose another." in asked.ui.statusLabel.text
