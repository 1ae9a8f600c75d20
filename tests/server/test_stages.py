"""A stage of the whole training over HTTP, from corrections or prepared data to a version, with a real training."""

from __future__ import annotations

import re
import time
from typing import Any, Iterator

import pytest
from ball_heads import DETECTING, NAME, write_head, write_sets
from tiny_model import save_tiny_model

from medsight_core.client import Annotator, Training
from medsight_core.data.corrected_cases import Case
from medsight_core.errors import InputError, NotFoundError
from medsight_core.model.loading import load_model
from medsight_core.server.running import running_server
from medsight_core.server.settings import Settings
from medsight_core.training.presets import PRESETS
from medsight_core.training.stage_data import write_regions
from medsight_core.training.stages import PAPER_STAGES
from monailabel_app.lib.trainers import stages

PATIENCE = 1200.0
QUICK = {"preset": "smoke", "steps": 1, "batch": 2}


@pytest.fixture(scope="module")
def anna(tmp_path_factory) -> Iterator[Annotator]:
    folder = tmp_path_factory.mktemp("stages")
    studies, model, data = folder / "studies", save_tiny_model(folder / "model", **DETECTING), folder / "data"
    write_sets(studies / "medsight" / "sets", range(50, 51))
    (data / "heads").mkdir(parents=True)
    cases = []
    for number in range(3):
        image, label = write_head(studies, number, f"head-{number}")
        label = label.rename(folder / label.name)
        cases.append(Case(f"head-{number}", image, label, (NAME,), modality="MR"))
    write_regions(cases, load_model(model)[1], data / "heads", 4, 0, lambda done: None)
    with (
        running_server(Settings(studies, model, port=0, training_data=data), PATIENCE) as server,
        Annotator("anna", server.address, server.token) as anna,
    ):
        for case in cases:
            anna.submit(case.id, case.label, {1: NAME})
        yield anna


def wait(anna: Annotator) -> Training:
    deadline = time.monotonic() + PATIENCE
    while not (training := anna.training()).ended:
        assert time.monotonic() < deadline, training
        time.sleep(0.1)
    return training


def start(anna: Annotator, **options: Any) -> None:
    """Begin once the process of the training before is gone, which outlives its last word by a while."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            anna.train(True, **options)
            return
        except InputError as error:
            if "is running already" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def test_the_apps_tables_are_those_of_the_training():
    assert tuple(stages.STAGES) == PAPER_STAGES
    assert set(stages._PRESETS) == set(PRESETS)


@pytest.mark.parametrize(
    ("stage", "options", "error", "text"),
    [
        (
            "other",
            {},
            NotFoundError,
            "There is no such model to train: use one of medsight, medsight-perceiver",
        ),
        ("codebook", {"parent": "v9"}, NotFoundError, "There is no model version 'v9' here"),
        ("codebook", {"parent": "../v1"}, InputError, "This version is not allowed"),
        ("codebook", {"data": "lungs"}, NotFoundError, "There is no prepared data of this name: use one of heads, or"),
        ("codebook", {"data": "/etc"}, InputError, "This name of prepared data is not allowed"),
        ("codebook", {"preset": "big"}, InputError, "preset is 'big': use one of demo, smoke, paper."),
        ("codebook", {"batch": -1}, InputError, "batch is -1: use a whole number from 0 to 4096."),
        ("codebook", {}, InputError, "There is no corrected label to learn from that was approved"),
    ],
)
def test_refusals_are_one_sentence(anna, stage, options, error, text):
    with pytest.raises(error, match=re.escape(text)):
        anna.train(stage=stage, **options)
    assert anna.training() == Training("idle")


@pytest.mark.slow
def test_a_stage_and_the_next_one_from_its_version(anna):
    started = anna.train(True, stage="perceiver", **QUICK)
    assert (started.state, started.cases) == ("starting", 3)
    with pytest.raises(InputError, match="A training is running already"):
        anna.train(True, stage="codebook", **QUICK)
    first = wait(anna)
    assert first.version == "v1", first
    start(anna, stage="codebook", data="heads", parent=first.version, **QUICK)
    second = wait(anna)
    assert second.version == "v2", second
    _, one, two = anna.models()
    assert (one.parent, two.parent) == ("base", "v1")
    assert two.new_cases is not None, "the labels measured"
    assert not two.may_be_served or two.new_cases[1] > two.new_cases[0]
