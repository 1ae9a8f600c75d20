"""docs/training.md, command by command in an empty folder: the smoke preset trains, and its result answers."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Callable

import numpy as np
import pytest

from medsight_core.engine.engine import Engine
from sample_data.phantom import phantom_volume

DOCUMENT = Path(__file__).parents[1] / "docs" / "training.md"
COMMANDS = [line[2:] for line in DOCUMENT.read_text().splitlines() if line.startswith("$ ")]
SMOKE, REST = COMMANDS[0], COMMANDS[1:]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory, commands) -> Callable[[str], None]:
    """Runs a command as it is typed, in one folder that was empty."""
    folder = tmp_path_factory.mktemp("training")

    def command(line: str) -> None:
        program, *words = shlex.split(line)
        if program == "medsight":
            done = commands.run("-m", "medsight_core", *words, folder=folder)
        else:
            path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
            done = subprocess.run(
                [program, *words], cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True
            )
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"

    command.folder = folder
    return command


@pytest.fixture(scope="module")
def folder(run) -> Path:
    """The folder after the first command."""
    run(SMOKE)
    return run.folder


def figures(folder: Path, stage: str) -> tuple[dict, dict]:
    report = json.loads((folder / "run" / stage / "metrics.json").read_text())
    return report["start"], report["end"]


@pytest.mark.parametrize(
    ("stage", "figure", "margin"),
    [
        ("tower", "dice", 0.5),
        ("perceiver", "dice", 0.5),
        ("perceiver", "rejected", 0.5),
        ("codebook", "dice", 0.4),
        ("codebook", "modality_accuracy", 0.3),
        ("align-vision", "cross_entropy", -2.0),
        ("align-text", "dice", 0.3),
        ("instruct", "cross_entropy", -0.5),
        ("instruct", "code_accuracy", 0.3),
    ],
)
def test_every_stage_gets_better(folder, stage, figure, margin):
    start, end = figures(folder, stage)
    gain = end[figure] - start[figure]
    assert gain >= margin if margin > 0 else gain <= margin


def test_the_result_outlines_what_is_asked_for_in_a_volume(folder):
    engine = Engine.load(folder / "run" / "model")
    scores = []
    for seed in (11, 12, 13):
        volume, masks = phantom_volume("abdomen", 3_000_000_000 + seed)
        for name in ("liver", "spleen", "left kidney", "right kidney"):
            if name in masks and masks[name].any():
                answer = engine.ask(volume, f"Outline the {name}.")
                found = [region.mask for region in answer.regions if region.name == name]
                truth = masks[name]
                union = np.logical_or.reduce(found) if found else np.zeros_like(truth)
                scores.append(2 * (union & truth).sum() / (union.sum() + truth.sum()))
    print([round(float(score), 2) for score in scores])
    assert np.mean(scores) >= 0.5


@pytest.mark.parametrize("command", REST)
def test_a_documented_command_works(folder, run, command):
    run(command)


def test_the_document_asks_and_shows_what_it_says(folder):
    assert (folder / "answer" / "answer.json").is_file()
    for stage in ("perceiver", "codebook", "align-vision", "align-text", "instruct"):
        contents = {path.name for path in (folder / "steps" / stage).iterdir()}
        assert contents == {"metrics.json", "tensorboard", "checkpoints", "model"}
