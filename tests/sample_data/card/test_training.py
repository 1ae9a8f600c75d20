"""The record of a training run: what each stage did, on how many images, on what machine, and no path."""

from __future__ import annotations

import json

import pytest

from medsight_core.errors import InputError
from medsight_core.training.stages import STAGES
from sample_data.card.training import training_record
from sample_data.generate.folders import write_planes
from sample_data.generate.sources import Material, sources
from sample_data.make_demo_model import join_metas


@pytest.fixture
def run(tmp_path):
    """Folders of stages and of images as `sample_data.make_demo_model` leaves them."""
    stages, images = tmp_path / "stages", tmp_path / "images"
    for number, name in enumerate(STAGES):
        report = {
            "stage": name, "metric": "dice", "samples": 90, "steps": 100 + number, "seconds": 60.0,
            "model": str(tmp_path), "recipe": {"batch": 8, "precision": "bf16"}, "start": {"dice": 0.1},
            "end": {"dice": 0.5, "loss": 1.0},
        }  # fmt: skip
        (stages / name).mkdir(parents=True)
        (stages / name / "metrics.json").write_text(json.dumps(report))
    write_planes(images / "abdomen", sources(["abdomen"]), Material(), 9, 3, seed=2, side=64, workers=1)
    for part in ("train", "held-out"):
        join_metas([images / "abdomen" / part / "meta.json"], images / f"{part}.json")
    return stages, images


def test_a_record_tells_stages_images_and_machine(run, tmp_path):
    record = training_record(*run, seed=5)
    assert [stage["stage"] for stage in record["stages"]] == list(STAGES)
    assert record["stages"][1] == {
        "stage": "perceiver", "steps": 101, "batch": 8, "precision": "bf16", "samples": 90, "seconds": 60.0,
        "metric": "dice", "start": 0.1, "end": 0.5,
    }  # fmt: skip
    assert record["images"]["train"]["abdomen"]["images"] == 9
    assert 1 <= record["images"]["train"]["abdomen"]["subjects"] <= 9
    assert record["images"]["held-out"] == {"abdomen": {"images": 3, "subjects": 1}}
    assert record["machine"]["threads"] >= 1
    assert record["machine"]["cpu"]
    assert str(tmp_path) not in json.dumps(record), "it travels with the weights"


def test_what_did_not_run_as_planned_travels_along(run):
    stages, images = run
    metrics = stages / "tower" / "metrics.json"
    metrics.write_text(json.dumps({**json.loads(metrics.read_text()), "note": "stopped early"}))
    record = training_record(stages, images, seed=5)
    assert record["stages"][0]["note"] == "stopped early"
    assert "note" not in record["stages"][1]


def test_an_unfinished_stage_is_named(run):
    stages, images = run
    (stages / "codebook" / "metrics.json").write_text(json.dumps({"stage": "codebook", "start": {"dice": 0.1}}))
    with pytest.raises(InputError, match=r"^The stage 'codebook' is not finished \(.* has no end\): train it first\.$"):
        training_record(stages, images, 0)
