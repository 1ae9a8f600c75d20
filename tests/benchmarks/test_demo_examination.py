"""The whole examination with a tiny random model that detects: every part runs, and goes on when it was stopped."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tiny_model import save_tiny_model

import benchmarks.demo.run as run
import benchmarks.demo.wording as wording
from benchmarks.demo.__main__ import examine
from benchmarks.demo.controls import from_another_modality
from benchmarks.demo.exams import Exam, foreign_names
from benchmarks.demo.failures import FALSE, WORST, draw_failures, worst
from benchmarks.demo.run import PARTS
from benchmarks.demo.summary import goals, to_markdown
from benchmarks.demo.trials import Slice, Trial, several_trial
from medsight_core.engine.engine import Engine
from medsight_core.errors import InputError
from medsight_core.imaging.volume import Volume
from sample_data.card.words import CONTROLS, GOALS, SITE_FIGURES, SITES
from sample_data.generate.sources import Material
from sample_data.questions.read import Question

NAMES = {
    "brain": ("MR", ("left thalamus", "right thalamus", "lesion")),
    "chest": ("CT", ("right lung", "left lung", "body")),
    "head": ("CT", ("skull", "soft tissue")),
    "abdomen": ("CT", ("liver", "aorta")),
    "fetal": ("US", ("fetal head",)),
}


def exam(site: str, subject: str = "brain-maps/a") -> Exam:
    """A grey gradient whose first two names lie left and right of the middle."""
    modality, names = NAMES[site]
    voxels = np.add.outer(np.arange(12) * 40, np.zeros((12, 6))).astype(np.int16)
    half = np.zeros(voxels.shape, bool)
    half[2:6, 2:10] = True
    truth = dict(zip(names, (half, half[::-1].copy())))
    return Exam(site, subject, Volume(voxels, np.eye(4), modality), truth, names)


@pytest.fixture
def exams(monkeypatch):
    """Tiny exams in the place of generated and real ones, and two questions in that of the held-out ones."""
    made = [exam(site, f"{site}/{n}") for site in NAMES for n in range(3 if site == "fetal" else 1)]
    monkeypatch.setitem(run.SIZES, "quick", run.Size({}, planes=3, each=2))
    monkeypatch.setattr(run, "_CONTROL_PLANES", 5)
    monkeypatch.setattr(run, "held_out_exams", lambda material, scans: iter(made))
    monkeypatch.setattr(run, "real_exams", lambda studies: iter([exam("brain"), exam("chest")]))
    asked = (
        Question("1", "Where is the right lung?", ("right lung",), "CT", "chest", "where"),
        Question("2", "Tell me a joke.", (), "MR", "brain", "off-topic"),
    )
    monkeypatch.setattr(wording, "read_questions", lambda: asked)
    return made


@pytest.fixture
def model(tmp_path):
    return save_tiny_model(
        tmp_path / "model", class_names=("", "right lung", "left lung", "left thalamus"), presence="detected",
        show_detections=True, correct_words=True, presence_threshold=0.1, max_new_tokens=3,
    )  # fmt: skip


@pytest.mark.slow
def test_an_examination_goes_on_part_by_part_and_ends_with_every_figure(exams, model, tmp_path, capsys):
    out = tmp_path / "out"
    examine(model, Material(), "quick", out, ["outlines", "several"])
    assert "Figures need these parts too: seconds, checks" in capsys.readouterr().out
    assert not (out / "figures.json").exists()
    first = json.loads((out / "rows.json").read_text())["rows"]
    examine(model, Material(), "quick", out, [])
    rows = json.loads((out / "rows.json").read_text())["rows"]
    assert set(rows) == set(PARTS)
    assert rows["outlines"] == first["outlines"], "asked once: seconds of answers would differ"
    figures = json.loads((out / "figures.json").read_text())
    assert set(figures["goals"]) == set(GOALS)
    assert set(figures["controls"]) == set(CONTROLS)
    assert {site: set(found) for site, found in figures["sites"].items()} == {s: set(SITE_FIGURES) for s in SITES}
    assert all(figure["n"] for found in figures["sites"].values() for figure in found.values())
    assert figures["goals"]["swapped"]["goal"] == "at most 0"
    assert isinstance(figures["failures"], list), "what a random model outlines depends on the processor"
    assert "| absent requests: false masks |" in (out / "figures.md").read_text()


def test_rows_of_another_model_and_unknown_parts_are_refused(exams, model, tmp_path):
    out = tmp_path / "out"
    examine(model, Material(), "quick", out, ["several"])
    with pytest.raises(InputError, match=r"rows.json' holds answers of another model or size: give another --out"):
        examine(model, Material(), "half", out, ["several"])
    with pytest.raises(InputError, match=r"^There is no part 'colours': use some of seconds, outlines"):
        examine(model, Material(), "quick", out, ["colours"])


def test_what_cannot_be_in_an_image_belongs_to_the_other_half_of_the_body():
    every = [exam(site) for site in NAMES]
    assert foreign_names(exam("brain"), every) == ["aorta", "left lung", "liver", "right lung"], "no skull, no body"
    assert foreign_names(exam("chest"), every) == ["fetal head", "left thalamus", "right thalamus", "skull"]


def test_names_of_another_modality_are_never_there(model):
    every, rng = [exam(site) for site in NAMES], np.random.default_rng(0)
    asked = list(from_another_modality(Engine.load(model), Slice(exam("chest"), "axial", 3), every, 9, rng))
    assert {trial.name for trial in asked} == {"fetal head", "left thalamus", "right thalamus"}, "a head CT is a CT"
    assert not any(trial.present for trial in asked)
    head = list(from_another_modality(Engine.load(model), Slice(exam("head"), "axial", 3), every, 9, rng))
    assert head == [], "a head CT shows a brain, whether labelled or not, and trunks come as CT"


def test_several_things_with_sides_are_not_asked_for_where_nobody_can_tell_sides(model):
    engine, rng = Engine.load(model), np.random.default_rng(0)
    trial = several_trial(engine, Slice(exam("brain"), "axial", 3), rng)
    assert set(trial.name.split(", ")) == {"left thalamus", "right thalamus"}
    assert several_trial(engine, Slice(exam("brain"), "sagittal", 4), rng) is None


def test_the_worst_answers_are_drawn(model, tmp_path):
    plane = Slice(exam("chest"), "axial", 3)
    asked = Trial("outline", "chest", "chest/0", "axial", "right lung", present=True, accepted=True, dice=0.2)
    wrong = replace(asked, name="liver", present=False, dice=None, confidence=0.7)
    failures = draw_failures(Engine.load(model), [plane], [[asked, wrong]], tmp_path / "failures")
    assert [(failure["file"], failure["name"]) for failure in failures] == [
        ("worst-outline-ct.jpg", "right lung"), ("false-mask-ct.jpg", "liver"),
    ]  # fmt: skip
    for failure in failures:
        with Image.open(tmp_path / "failures" / failure["file"]) as picture:
            assert picture.format == "JPEG"
            assert np.asarray(picture).std() > 0


def test_the_worst_answers_of_each_modality_are_chosen():
    def trial(**fields) -> Trial:
        return Trial("outline", "brain", "a", "axial", "thalamus", **{"present": True, "accepted": True, **fields})

    plane, other = Slice(exam("brain"), "axial", 2), Slice(exam("fetal"), "axial", 2)
    good, bad, refused = trial(dice=0.9), trial(dice=0.2), trial(dice=0.0, accepted=False)
    sure, unsure = (trial(present=False, confidence=value) for value in (0.9, 0.6))
    found = worst([plane, other], [[good, bad, refused, unsure], [trial(dice=0.4), sure]])
    assert [(kind, one) for kind, _, one in found] == [
        (WORST, bad), (FALSE, unsure), (WORST, trial(dice=0.4)), (FALSE, sure),
    ]  # fmt: skip


def test_what_was_not_asked_has_no_value_and_keeps_its_goal():
    rows = {part: [] for part in PARTS} | {"seconds": {"first": [], "second": []}, "worse": {}, "controls": {}}
    figures = goals(rows)
    assert set(figures) == set(GOALS)
    for figure in figures.values():
        assert (figure.to_json()["value"], figure.to_json()["met"]) == (None, None)
    assert figures["false masks"].goal == "at most 0.05"
    assert "| Dice lost by noise | nan |  | 0 | at most 0.1 |  |" in to_markdown(rows)
