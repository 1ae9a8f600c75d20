"""Stages run, resume exactly, and do not depend on how a step is split."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from forking import kill
from safetensors.torch import load_file, save_file

from medsight_core.errors import InputError
from medsight_core.training.run import StageRun, run_stage, split
from medsight_core.training.stages import CONVERSATIONS, STAGES
from medsight_core.training.trainer import last_whole_checkpoint

FAST = {
    "steps": 4, "batch": 4, "precision": "fp32", "checkpointing": False, "target_size": 16, "save_every": 2,
    "log_every": 1, "max_length": 4000, "by_epoch": False, "warm_up": 0.0,
}  # fmt: skip


@pytest.fixture
def run_of(phantoms, descriptions, grounded, start_model, tmp_path):
    def make(name: str, folder: str = "run", **changes) -> StageRun:
        stage = STAGES[name]
        data = {"align-vision": descriptions}.get(name, grounded if stage.data == CONVERSATIONS else phantoms)
        return StageRun(
            stage, start_model, data, tmp_path / folder, replace(stage.recipe, **{**FAST, **changes}), stage.ours
        )

    return make


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model" / "model.safetensors")


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_changes_what_it_trains_and_nothing_else(run_of, start_model, name):
    run = run_of(name, learning_rate=1e-2)
    report = run_stage(run)
    assert report["steps"] == 4
    assert report["start"].keys() == report["end"].keys()
    assert json.loads((run.folder / "metrics.json").read_text()) == report
    before, after = load_file(start_model / "model.safetensors"), weights(run.folder)
    assert before.keys() == after.keys()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    prefixes = {
        "tower": ("vision.",),
        "perceiver": ("perceiver.",),
        "codebook": ("codebook.",),
        "align-vision": ("image_to_text.",),
        "align-text": ("text_to_image.", "language.model.embed_tokens.", "language.lm_head."),
        "instruct": ("language.", "image_to_text.", "text_to_image."),
    }[name]
    assert changed
    assert all(key.startswith(prefixes) for key in changed)
    if name == "align-text":  # of the tables only the codes' rows
        rows = slice(258, 258 + 576)
        for key in ("language.model.embed_tokens.weight", "language.lm_head.weight"):
            same = before[key] == after[key]
            assert same[: rows.start].all()
            assert not same[rows].all()


@pytest.mark.parametrize("name", ["perceiver", "codebook", "align-text"])
def test_a_stopped_stage_goes_on_to_the_same_weights(run_of, name):
    whole = run_of(name, "whole", steps=6)
    run_stage(whole)
    stopped = run_of(name, "stopped", steps=6)

    class StopError(Exception):
        pass

    def stop(step, count, last):
        if step == 5:
            raise StopError

    with pytest.raises(StopError):
        run_stage(stopped, progress=stop)
    assert last_whole_checkpoint(stopped.folder).name == "checkpoint-4"
    (stopped.folder / "checkpoints" / "checkpoint-5").mkdir()  # torn while it was written
    run_stage(stopped, resume=True)
    first, second = weights(whole.folder), weights(stopped.folder)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert json.loads((whole.folder / "metrics.json").read_text())["end"] == pytest.approx(
        json.loads((stopped.folder / "metrics.json").read_text())["end"]
    )


@pytest.mark.parametrize(("name", "learns"), [("codebook", "model.codebook."), ("align-text", "rows.")])
def test_a_checkpoint_holds_what_learns(run_of, name, learns):
    run = run_of(name, steps=2)
    run_stage(run)
    held = load_file(run.folder / "checkpoints" / "checkpoint-2" / "model.safetensors")
    assert any(key.startswith(learns) for key in held)
    assert not any(key.startswith(("model.vision.", "model.language.")) for key in held)


def test_a_checkpoint_that_does_not_fit_is_told(run_of):
    run_stage(run_of("codebook", steps=2))
    run = run_of("codebook", steps=2)
    shutil.rmtree(run.folder / "model")
    path = run.folder / "checkpoints" / "checkpoint-2" / "model.safetensors"
    held = load_file(path)
    lost = min(key for key in held if key.startswith("model.codebook."))
    del held[lost]
    save_file(held, path, metadata={"format": "pt"})
    with pytest.raises(InputError) as told:
        run_stage(run, resume=True)
    assert str(told.value) == (
        f"The last checkpoint in '{run.folder / 'checkpoints'}' does not fit (1 keys, the first is {lost}): train "
        "anew in another folder."
    )


@pytest.mark.slow
def test_a_killed_process_goes_on_to_the_same_weights(commands, start_model, phantoms, tmp_path):
    command = [
        "-m", "medsight_core", "train", "perceiver", "--model", str(start_model), "--data",
        str(phantoms), "--steps", "30", "--batch", "4", "--set", "save_every=3", "--set", "target_size=16",
    ]  # fmt: skip
    assert commands.run(*command, "--out", str(tmp_path / "whole")).returncode == 0
    out = tmp_path / "killed"
    started = commands.start(*command, "--out", str(out))
    while psutil.pid_exists(started.pid) and last_whole_checkpoint(out) is None:
        time.sleep(0.05)
    time.sleep(0.2)  # somewhere in a later step
    kill(started.pid)
    assert not (out / "model").exists(), "it finished before it could be killed: train longer"
    assert commands.run(*command, "--out", str(out), "--resume").returncode == 0
    first, second = weights(tmp_path / "whole"), weights(out)
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", ["perceiver", "codebook", "instruct"])
def test_a_step_is_the_same_in_micro_batches(run_of, name):
    whole, parts = run_of(name, "whole"), run_of(name, "parts", accumulation=2)
    losses = []
    for run in (whole, parts):
        seen = {}
        run_stage(run, progress=lambda step, count, last, seen=seen: seen.update({last.get("step"): last.get("loss")}))
        losses.append([seen[step] for step in (1, 2, 3)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["perceiver", "instruct"])
def test_two_processes_give_the_loss_curve_of_one(commands, run_of, start_model, name, tmp_path):
    run = run_of(name)
    command = [
        "-m", "medsight_core", "train", name, "--model", str(start_model), "--data", str(run.data), "--steps", "4",
        "--batch", "4", "--set", "log_every=1", "--set", "target_size=16", "--set", "precision=fp32",
        "--set", "max_length=4000",
    ]  # fmt: skip
    ended = [
        commands.run(*command, "--out", str(tmp_path / "one")),
        *commands.together(2, *command, "--out", str(tmp_path / "two")),
    ]
    assert not any(each.returncode for each in ended), ended[-1].stderr[-2000:]
    curves = []
    for folder in ("one", "two"):
        state = json.loads((tmp_path / folder / "checkpoints" / "checkpoint-4" / "trainer_state.json").read_text())
        curves.append([entry["loss"] for entry in state["log_history"] if "loss" in entry])
    assert len(curves[0]) == 4
    assert curves[0] == pytest.approx(curves[1], rel=1e-3)


def test_an_earlier_run_is_not_overwritten(run_of):
    run = run_of("codebook", steps=2)
    run_stage(run)
    with pytest.raises(InputError, match=r"holds an earlier run: give another folder, or --resume to go on with it\."):
        run_stage(run)
    assert run_stage(run, resume=True)["steps"] == 2  # finished: nothing is done again


def test_a_run_goes_on_only_as_it_was_begun(run_of):
    run_stage(run_of("codebook", steps=2))
    with pytest.raises(InputError, match=r"was begun with batch = 4 and this is 8: go on with the same, or"):
        run_stage(run_of("codebook", steps=2, batch=8), resume=True)
    assert run_stage(run_of("codebook", steps=2, log_every=3), resume=True)["steps"] == 2


def test_an_epoch_has_as_many_steps_however_they_are_split(run_of):
    steps = [
        run_stage(run_of("codebook", f"run{split}", steps=0, epochs=2, batch=8, accumulation=split))["steps"]
        for split in (1, 4)
    ]
    assert steps == [4, 4]  # 22 records: two whole batches an epoch


def test_a_batch_that_does_not_fit_the_processes_is_told(run_of, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(InputError, match=r"^A batch of 4 cannot be split over 3 processes and 1 micro-batches: make"):
        run_stage(run_of("codebook"))


def test_too_little_data_is_told(run_of):
    with pytest.raises(InputError, match=r"^There are 22 records to train on and a batch is 64: give more data, or a"):
        run_stage(run_of("codebook", batch=64))


def test_more_categories_than_classes_are_told(run_of, tiny_model_dir):
    run = replace(run_of("codebook"), model=tiny_model_dir)
    with pytest.raises(InputError, match=r"^The data has 17 categories and the model 4 classes: start from a model"):
        run_stage(run)


def test_conversations_about_one_image_stay_together():
    keys = [f"image{i // 3}" for i in range(30)]
    train, held_out = split(range(30), keys, 0.2, seed=1)
    assert len(held_out) == 6
    assert {keys[i] for i in train}.isdisjoint({keys[i] for i in held_out})
    assert sorted([*train, *held_out]) == list(range(30))
