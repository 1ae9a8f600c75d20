"""All stages one after another, two steps each: the order, the data made between, and going on after a stop."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from medsight_core.data.coded import read_coded
from medsight_core.data.records import Conversations
from medsight_core.engine.engine import Engine
from medsight_core.errors import InputError
from medsight_core.training.pipeline import Plan, train_all
from medsight_core.training.presets import Preset
from medsight_core.training.stages import PAPER_STAGES, STAGES
from sample_data.phantom import phantom_volume

FAST = {
    "steps": 2, "batch": 4, "precision": "fp32", "checkpointing": False, "target_size": 16, "max_length": 4000,
    "by_epoch": False,
}  # fmt: skip
TINY = Preset(recipes={name: FAST for name in STAGES})


@pytest.fixture
def plan(phantoms, descriptions, start_model, tmp_path):
    return Plan(start_model, phantoms, descriptions, tmp_path / "run", TINY, with_tower=True)


def test_all_stages_lead_to_a_model_that_answers(plan):
    said = []
    figures = train_all(plan, lambda what, done, last: said.append(what))
    assert list(figures) == ["tower", *PAPER_STAGES]
    assert list(dict.fromkeys(said)) == [
        "Stage 0, tower", "Stage 1, perceiver", "Stage 2, codebook", "Naming the code of each mask",
        "Writing conversations", "Stage 3, align-vision", "Stage 4, align-text", "Stage 5, instruct",
    ]  # fmt: skip
    made = plan.folder / "data"
    grounded = Conversations(made / "grounded.jsonl", plan.root)
    instruct = Conversations(made / "instruct.jsonl", plan.root)
    assert len(instruct) == len(grounded) + len(Conversations(plan.descriptions))
    assert any(conversation.codes for conversation in grounded)
    volume, _ = phantom_volume("abdomen", 5, side=56, slices=4)
    assert Engine.load(plan.folder / "model").ask(volume, "Outline the liver.").text


def test_a_stopped_run_goes_on_and_a_finished_one_is_left_alone(plan):
    class StopError(Exception):
        pass

    def stop(what, done, last):
        if what == "Stage 4, align-text":
            raise StopError

    with pytest.raises(StopError):
        train_all(plan, stop)
    with pytest.raises(InputError, match=r"holds an earlier run: give another folder, or --resume to go on with it\."):
        train_all(plan, stop)
    said = []
    train_all(plan, lambda what, done, last: said.append(what), resume=True)
    assert said[0] == "Writing conversations"  # those that are there are passed over
    assert {"Stage 4, align-text", "Stage 5, instruct"} <= set(said)
    assert not {"Stage 1, perceiver", "Stage 3, align-vision"} & set(said)
    again = []
    train_all(plan, lambda what, done, last: again.append(what), resume=True)
    assert not any(what.startswith("Stage") for what in again)


def test_several_processes_are_refused(plan, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match=r"^All stages run in one process: start stage by stage with torchrun, or"):
        train_all(plan, lambda *step: None)


def test_images_outside_the_data_folder_are_told_at_once(plan, tmp_path):
    meta = json.loads(plan.regions.read_text())
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for key in ("image_roots", "mask_roots", "annotations"):
        meta[key] = [str((plan.regions.parent / path).absolute()) for path in meta[key]]
    (folder / "meta.json").write_text(json.dumps(meta))
    (folder / "words.json").write_text(plan.descriptions.read_text())
    away = replace(plan, regions=folder / "meta.json", descriptions=folder / "words.json")
    with pytest.raises(InputError, match=r"^The images of 'phantom-abdomen.*' do not lie below '.*elsewhere': move"):
        train_all(away, lambda *step: None)


def test_conversations_that_are_given_are_used(plan, grounded):
    given = replace(plan, grounded=grounded, folder=plan.folder / "given", with_tower=False)
    figures = train_all(given, lambda *step: None)
    assert list(figures) == list(PAPER_STAGES)
    assert not (given.folder / "data" / "grounded.jsonl").exists()
    joined = (given.folder / "data" / "instruct.jsonl").read_text().splitlines()
    assert json.loads(joined[0])["id"] == Conversations(grounded)[0].id


def test_descriptions_that_cannot_be_made_up_are_asked_for_before_anything_is_done(
    plan, detecting_model, grounded
):  # fmt: skip
    without = replace(plan, descriptions=None)
    with pytest.raises(InputError) as told:
        train_all(without, lambda *step: None)
    assert str(told.value) == (
        f"Descriptions cannot be made up for the model in '{plan.model}', which is not told detections: give "
        "--descriptions."
    )
    with pytest.raises(InputError) as told:
        train_all(replace(without, model=detecting_model, grounded=grounded), lambda *step: None)
    assert str(told.value) == (
        f"Descriptions are made up only beside grounded conversations, and those of '{grounded}' are given: give "
        "--descriptions too."
    )
    assert not plan.folder.exists()


def test_a_model_that_is_told_detections_learns_from_made_up_conversations_too(phantoms, detecting_model, tmp_path):
    plan = Plan(detecting_model, phantoms, None, tmp_path / "run", TINY, made_up=8, talked_about=5)
    train_all(plan, lambda *step: None)
    made = plan.folder / "data"
    assert len(read_coded(made / "coded.jsonl", plan.root)) == 5
    told = [*Conversations(made / "text.jsonl", plan.root), *Conversations(made / "grounded.jsonl", plan.root)]
    assert len(Conversations(made / "text.jsonl", plan.root)) == 8
    assert all(conversation.turns[0].question.startswith("Seen on this ") for conversation in told)
    assert len(Conversations(made / "instruct.jsonl", plan.root)) == len(told)
    assert any(len(conversation.turns) >= 4 for conversation in told)
    volume, _ = phantom_volume("abdomen", 5, side=56, slices=4)
    assert Engine.load(plan.folder / "model").detect(volume)
