"""The demo goes the whole way, and does not call a wrong answer right."""

import pytest
from typer.testing import CliRunner

from medsight_core.answer import Answer, Region
from medsight_core.cli import app, demo, failures
from medsight_core.terminology import coding
from sample_data.fetch import reference_masks


def test_the_questions_are_about_what_the_samples_hold():
    for question in demo.QUESTIONS:
        there = reference_masks(question.sample).keys()
        assert set(question.found) <= there
        assert not set(question.absent) & there
        assert all(coding(name) for name in (*question.found, *question.absent))
    assert [question.folder for question in demo.QUESTIONS if question.folder] == ["ct", "mr"]


@pytest.mark.parametrize(
    ("answer", "mistakes"),
    [
        (Answer("", (Region(1, "right lung", "", (0, 0), 1), Region(2, "left lung", "", (0, 0), 1))), []),
        (Answer("", (Region(1, "right lung", "", (0, 0), 1),)), ["left lung is not outlined on ct-chest"]),
    ],
)
def test_a_region_that_must_be_found_is_missed(answer, mistakes):
    question = next(question for question in demo.QUESTIONS if question.folder == "ct")
    assert demo._mistakes(question, answer) == mistakes


@pytest.mark.parametrize(
    ("answer", "mistakes"),
    [
        (Answer("No liver is seen.", absent=("liver",)), []),
        (Answer("A brain."), ["liver is not called absent on mr-brain"]),
        (Answer("The liver [1].", (Region(1, "liver", "", (4, 9), 1),)), ["liver is not called absent on mr-brain"]),
    ],
)
def test_a_region_that_must_be_absent_is_invented(answer, mistakes):
    question = next(question for question in demo.QUESTIONS if question.absent)
    assert demo._mistakes(question, answer) == mistakes


@pytest.mark.slow
def test_a_model_that_knows_nothing_ends_the_demo_with_an_error(tiny_model_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(failures.errors, "width", 10_000)
    options = ["--once", "--model", tiny_model_dir, "--studies", tmp_path / "studies", "--out", tmp_path / "demo"]
    result = CliRunner().invoke(app, ["demo", *map(str, options)])
    assert result.exit_code == 3
    assert result.stderr.startswith("Not every answer is right: ")
    assert "is not called absent on mr-brain" in result.stderr
    assert "ct-chest" in result.stdout
    for case in ("ct", "mr"):  # what it did answer is there to look at
        assert (tmp_path / "demo" / case / "answer.json").is_file()
        assert (tmp_path / "demo" / case / "overlay.png").is_file()


def test_a_demo_without_a_model_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(failures.errors, "width", 10_000)
    options = ["--once", "--model", tmp_path, "--studies", tmp_path / "studies", "--out", tmp_path / "demo"]
    result = CliRunner().invoke(app, ["demo", *map(str, options)])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"There is no model in {tmp_path} (no config.json): ")
    assert not (tmp_path / "demo").exists()
