"""A report being worked on, in a real scene: what is chosen, and that every change is kept there."""

from __future__ import annotations

import pytest
from replies import reply_of
from scenes import LEFT, RIGHT, add_volume, affine_lps, oblique_ras


@pytest.fixture
def asked(scene):
    """A volume with two outlined lungs, the conversation about them, and an editor of its report."""
    from MedSIGHTLib.conversation import Conversation, Turn
    from MedSIGHTLib.conversation_store import save_conversation
    from MedSIGHTLib.report_editing import ReportEditor
    from MedSIGHTLib.segments import apply_segmentation

    volume = add_volume(oblique_ras(), None, "")
    reply = reply_of(["right lung", "left lung"], (RIGHT, LEFT), affine_lps(oblique_ras()))
    outlined = apply_segmentation(reply, volume)
    save_conversation(volume, Conversation((Turn("Outline the lungs.", reply.answer, outlined.segment_ids),)))
    editor = ReportEditor()
    editor.show(volume)
    return editor, list(outlined.segment_ids.values())


def kept(editor):
    from MedSIGHTLib.report_store import load_report

    return load_report(editor.volume)


def test_without_a_volume_there_is_nothing_to_do(scene):
    from MedSIGHTLib.report_editing import ReportEditor

    editor = ReportEditor()
    editor.show(None)
    assert not editor.can_collect
    assert (editor.chosen, editor.text) == (None, "")


def test_answers_are_taken_in_once(asked):
    editor, _ = asked
    assert editor.can_collect
    assert editor.collect() == "1 finding was added to the report, and its outlines were measured anew."
    assert editor.collect() == "No findings were added to the report, and its outlines were measured anew."
    assert kept(editor) == editor.report


def test_a_link_chooses_a_structure_that_can_be_taken_out(asked):
    editor, segment_ids = asked
    editor.collect()
    assert editor.follow("finding:0:1")
    assert (editor.chosen, editor.place, editor.remove_title) == (0, 1, "Remove structure")
    assert editor.segment_of("finding:0:1") == segment_ids[1]
    editor.remove()
    assert [structure.segment_id for structure in kept(editor).findings[0].structures] == segment_ids[:1]
    assert (editor.chosen, editor.place, editor.remove_title) == (0, None, "Remove finding")
    editor.remove()
    assert kept(editor).findings == ()
    assert editor.chosen is None


@pytest.mark.parametrize("link", ["finding:7", "finding:7:0", "finding:0:2", "https://example.org", ""])
def test_other_links_choose_nothing(asked, link):
    editor, _ = asked
    editor.collect()
    assert not editor.follow(link)
    assert editor.segment_of(link) is None
    assert editor.chosen is None


def test_a_note_is_chosen_and_written(asked):
    editor, _ = asked
    editor.add_note()
    editor.write("No effusion.")
    assert editor.text == "No effusion."
    assert [finding.text for finding in kept(editor).findings] == ["No effusion."]


def test_another_volume_chooses_nothing(asked):
    editor, _ = asked
    editor.add_note()
    editor.show(add_volume(oblique_ras(), None, ""))
    assert editor.chosen is None
    assert editor.report.findings == ()
