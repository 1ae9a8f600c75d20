"""``medsight train``: the sentences for requests that cannot be run; the runs themselves are in tests/training."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from medsight_core.cli.app import app
from medsight_core.training import pipeline


def failure(*words: str) -> str:
    result = CliRunner().invoke(app, ["train", *words])
    assert result.exit_code == 2, result.output
    return " ".join(result.output.split())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("all", "--out", "x", "--preset", "demo", "--model", "m"),
            "Training all stages needs --model and --regions: give them, or --preset smoke alone.",
        ),
        (("all", "--out", "x", "--preset", "huge"), "There is no preset 'huge': use one of paper, smoke, demo."),
        (
            ("codebook", "--model", "m", "--data", "d", "--out", "x", "--set", "revive_every"),
            "--set 'revive_every' is not of the form name=value.",
        ),
        (
            ("codebook", "--model", "m", "--data", "d", "--out", "x", "--set", "decode_share=1"),
            "There is no setting 'decode_share' in this stage: use one of accumulation, batch,",
        ),
    ],
)
def test_a_request_that_cannot_be_run_is_told(words, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sentence in failure(*words)
    assert not list(tmp_path.iterdir())


def test_missing_data_is_told(tmp_path, tiny_model_dir):
    said = failure("codebook", "--model", str(tiny_model_dir), "--data", str(tmp_path / "no.json"), "--out", "x")
    assert "no.json" in said


def test_a_model_that_is_not_there_is_told(tmp_path):
    result = CliRunner().invoke(
        app, ["train", "codebook", "--model", str(tmp_path), "--data", "d.json", "--out", str(tmp_path / "x")]
    )
    assert result.exit_code == 1
    assert "There is no model in" in result.output


def test_all_stages_do_not_ask_for_descriptions(monkeypatch):
    plans = []
    monkeypatch.setattr(pipeline, "train_all", lambda plan, *_: plans.append(plan) or {})
    words = ["train", "all", "--preset", "demo", "--model", "m", "--regions", "r.json", "--out", "x"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert (plans[0].model, plans[0].regions, plans[0].descriptions) == (Path("m"), Path("r.json"), None)


def test_descriptions_that_cannot_be_made_up_are_asked_for(tmp_path, tiny_model_dir):
    words = ("all", "--preset", "demo", "--model", str(tiny_model_dir), "--regions", "r.json")
    said = failure(*words, "--out", str(tmp_path / "x")).replace(" ", "")
    assert f"modelin'{tiny_model_dir}',whichisnottolddetections:give--descriptions." in said
