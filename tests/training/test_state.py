"""How far a training is, as another process reads it."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from medsight_core.training.state import TrainingFile, TrainingState

RUNNING = TrainingState("running", "train", 0.5, 2, 10, 20, 0.75, 30.0, math.nan, 12.5, 6, ("One was left out.",))


@pytest.fixture
def file(tmp_path) -> TrainingFile:
    return TrainingFile(tmp_path / "models" / "training.json")


def test_before_the_first_training_there_is_none(file):
    assert file.read(running=False) == TrainingState()
    assert file.read(running=False).state == "idle"


def test_what_is_written_is_read_and_is_strict_json(file):
    file.write(RUNNING)
    assert file.read(running=True) == replace(RUNNING, held_out=None)
    json.loads(file.path.read_text(), parse_constant=pytest.fail)


def test_a_training_that_runs_no_more_was_stopped(file):
    file.write(RUNNING)
    stopped = file.read(running=False)
    assert (stopped.state, stopped.eta, stopped.step) == ("stopped", None, 10)
    assert stopped.detail == (
        "The training was stopped before its end: nothing is kept of it, and the served model is as it was."
    )


@pytest.mark.parametrize("state", ["promoted", "kept", "failed", "stopped"])
def test_how_it_ended_stays(file, state):
    ended = TrainingState(state, version="v3", detail="Because.")
    file.write(ended)
    assert file.read(running=False) == ended


def test_a_damaged_file_is_no_training_and_an_unwritable_one_stops_nobody(file, tmp_path):
    file.path.parent.mkdir()
    file.path.write_text('{"state": "run')
    assert file.read(running=True) == TrainingState()
    (tmp_path / "blocked").write_text("a file where the folder should be")
    TrainingFile(tmp_path / "blocked" / "training.json").write(RUNNING)
