"""A report as plain data: what becomes of answers, what a person does to it, and its JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from medsight_core.answer import NOTICE, Answer, ModelInfo, Region

MODEL = ModelInfo("tiny", "7", "CC0")
LUNGS = Answer(
    "The right lung [1] and the heart [2] are outlined.",
    (
        Region(1, "right lung", "M0_1", (4, 14), 0.5, 1234.56, color=(1.0, 0.5, 0.0)),
        Region(2, "heart", "M0_2", (23, 28), 0.9),
    ),
    model=MODEL,
)
NO = Answer("There is no liver [sic].", absent=("liver",), model=MODEL)


@pytest.fixture
def lib(medsight_module):
    from MedSIGHTLib import conversation, findings, measuring

    return SimpleNamespace(
        Turn=conversation.Turn,
        Conversation=conversation.Conversation,
        Report=findings.Report,
        Structure=findings.Structure,
        Measurements=measuring.Measurements,
    )


@pytest.fixture
def conversation(lib):
    turns = (lib.Turn("Outline.", LUNGS, {1: "lung_1", 2: "heart_1"}), lib.Turn("Liver?", NO, looked_at="Red slice"))
    return lib.Conversation(turns)


def texts(report) -> list[str]:
    return [finding.text for finding in report.findings]


def test_each_answer_becomes_a_finding_with_its_structures(lib, conversation):
    first, second = lib.Report().collect(conversation).findings
    assert first.text == "The right lung and the heart are outlined."
    assert (first.question, first.looked_at, first.model) == ("Outline.", "", MODEL)
    assert [structure.segment_id for structure in first.structures] == ["lung_1", "heart_1"]
    assert first.structures[0] == lib.Structure("lung_1", "right lung", (1.0, 0.5, 0.0), confidence=0.5)
    assert (second.text, second.looked_at, second.structures) == ("There is no liver [sic].", "Red slice", ())


def test_region_that_never_became_a_segment_is_no_structure(lib):
    report = lib.Report().collect(lib.Conversation((lib.Turn("a", LUNGS, {2: "heart_1"}),)))
    assert [structure.name for structure in report.findings[0].structures] == ["heart"]


def test_answers_are_taken_once_and_edits_stay(lib, conversation):
    report = lib.Report().collect(conversation).with_text(1, "No liver.").without(0)
    conversation.add(lib.Turn("And now?", NO))
    report = report.with_note().collect(conversation)
    assert texts(report) == ["No liver.", "", "There is no liver [sic]."]
    assert report.collect(conversation) == report


def test_same_answer_again_is_no_news_but_with_another_segment_it_is(lib, conversation):
    report = lib.Report().collect(conversation)
    slower = replace(LUNGS, timings={"total": 9.0})
    conversation.add(lib.Turn("Outline.", slower, {1: "lung_1", 2: "heart_1"}))
    assert report.collect(conversation) == report
    conversation.add(lib.Turn("Outline.", slower, {1: "lung_2", 2: "heart_1"}))
    assert len(report.collect(conversation).findings) == 3


def test_structures_can_be_taken_out(lib, conversation):
    report = lib.Report().collect(conversation).without(0, 0)
    assert [structure.name for structure in report.findings[0].structures] == ["heart"]
    assert len(report.findings) == 2


def test_without_its_last_finding_a_report_is_new(lib, conversation):
    report = lib.Report().collect(conversation).without(1).without(0)
    assert report == lib.Report()
    assert len(report.collect(conversation).findings) == 2


def test_models_are_named_once_and_notes_have_none(lib, conversation):
    conversation.add(lib.Turn("c", replace(NO, model=ModelInfo("tiny", "8"))))
    assert lib.Report().collect(conversation).with_note().models == (MODEL, ModelInfo("tiny", "8"))


def test_half_a_character_does_not_keep_a_report_from_being_saved(lib):
    report = lib.Report().with_note().with_text(0, "a\ud83d b")
    assert texts(report) == ["a? b"]
    report.to_json().encode()


def test_report_survives_its_json(lib, conversation):
    report = lib.Report().collect(conversation).with_text(1, '肝 "no" <b>\n;:%')
    measured = lib.Measurements(2310.4, 265.31, None)
    finding = report.findings[0]
    structures = (replace(finding.structures[0], measured=measured, unit="HU", by_hand=True), finding.structures[1])
    report = replace(report, findings=(replace(finding, structures=structures), *report.findings[1:]))
    text = report.to_json()
    assert lib.Report.from_json(text) == report
    assert "肝" in text, "readable by people, too"


def test_json_has_the_notice_the_model_and_the_measurements_and_no_more_than_was_said(lib, conversation):
    data = json.loads(lib.Report().collect(conversation).to_json())
    assert data["notice"] == NOTICE
    assert set(data) == {"format", "version", "notice", "findings", "taken"}
    finding = data["findings"][0]
    assert set(finding) == {"text", "question", "looked_at", "model", "structures"}
    assert finding["model"] == {"id": "tiny", "version": "7", "licence": "CC0"}
    assert set(finding["structures"][0]) == {"segment_id", "name", "color", "by_hand", "measured", "unit", "confidence"}


def test_marks_of_taken_answers_tell_nothing(lib, conversation):
    report = lib.Report().collect(conversation)
    assert all(len(mark) == 16 and int(mark, 16) >= 0 for mark in report.taken)


BROKEN = {"text": "a", "question": "", "looked_at": "", "model": {"id": "", "version": "", "licence": ""}}
STRUCTURE = {"segment_id": "a", "name": "a", "color": [0, 0, 0], "by_hand": False, "measured": None, "unit": ""}


def _text(structures=(), **changes) -> str:
    data = {"format": "medsight-report", "version": 1, "findings": [{**BROKEN, "structures": structures}], "taken": []}
    return json.dumps({**data, **changes})


def test_smallest_report_is_read(lib):
    assert texts(lib.Report.from_json(_text([STRUCTURE]))) == ["a"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        _text(version=2),
        _text(format="another"),
        _text(findings=[{}]),
        _text(findings=None),
        _text([{**STRUCTURE, "color": [0, 0]}]),
        _text([{**STRUCTURE, "color": [0, 0, float("nan")]}]),
        _text([{**STRUCTURE, "measured": {"volume_ml": 1, "diameter_mm": float("inf"), "mean": None}}]),
        _text([{**STRUCTURE, "measured": {"volume_ml": 1}}]),
    ],
)
def test_what_is_no_report_is_refused(lib, text):
    with pytest.raises(ValueError, match="not a report"):
        lib.Report.from_json(text)
