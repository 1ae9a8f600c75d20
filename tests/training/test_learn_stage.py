"""Each stage of the whole training from corrected cases or prepared data to a version of the model."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from ball_heads import DETECTING, NAME, write_head
from tiny_model import save_tiny_model

from medsight_core.data.biomedparse import BiomedParse
from medsight_core.data.corrected_cases import Case
from medsight_core.data.prepared import prepared
from medsight_core.data.records import Conversations
from medsight_core.engine.registry import BASE, Registry
from medsight_core.errors import InputError, NotFoundError
from medsight_core.model.loading import load_model
from medsight_core.training.adapt import TRAIN, Progress
from medsight_core.training.learn_stage import StageOptions, learn_stage
from medsight_core.training.stage_data import write_regions, write_talk
from medsight_core.training.stages import PAPER_STAGES

QUICK = StageOptions(preset="smoke", steps=1, batch=2)


def case(folder: Path, number: int, **more) -> Case:
    image, label = write_head(folder, number, f"head-{number}")
    return Case(f"head-{number}", image, label, (NAME,), modality="MR", **more)


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("base"), **DETECTING)


@pytest.fixture(scope="module")
def cases(tmp_path_factory) -> list[Case]:
    folder = tmp_path_factory.mktemp("cases")
    return [case(folder, number) for number in range(3)]


@pytest.fixture(scope="module")
def registry(tmp_path_factory, base) -> Registry:
    return Registry(tmp_path_factory.mktemp("models"), base)


@pytest.fixture(scope="module")
def data(tmp_path_factory, base, cases) -> Path:
    """Prepared data as `data` of a request names it: pictures and conversations."""
    folder = tmp_path_factory.mktemp("prepared") / "heads"
    folder.mkdir()
    processor = load_model(base)[1]
    meta = write_regions(cases, processor, folder, 8, 0, lambda done: None)
    write_talk(base, meta, folder, 1, 0, lambda done: None)
    return folder


def test_what_was_not_looked_for_is_in_no_folder_with_what_was(tmp_path, base, cases):
    processor = load_model(base)[1]
    other = replace(cases[1], segments=("right lung",))
    regions = BiomedParse(write_regions([cases[0], other, cases[2]], processor, tmp_path, 6, 0, lambda done: None))
    names = [{mask.name for image in dataset for mask in image.masks} for dataset in regions.datasets]
    assert sorted(map(sorted, names)) == [["left thalamus"], ["right lung"]]
    assert sorted(dataset.modality for dataset in regions.datasets) == [5, 10], "the tables of their codes"
    classes = {mask.category for image in regions for mask in image.masks}
    assert classes == {1, 2}, "the classes that the model has for them"
    assert "head-" not in "".join(str(path) for path in tmp_path.rglob("*")), "no image is named"


def test_conversations_are_about_what_is_outlined(data):
    talk = list(Conversations(data / "conversations.jsonl"))
    assert any(NAME in turn.answer for each in talk for turn in each.turns)
    assert any("not seen" in turn.answer for each in talk for turn in each.turns)
    named = json.loads((data / "named" / "config.json").read_bytes())["names_of_codes"]
    assert NAME in named.values()
    assert "right lung" in named.values(), "what it knew, it still knows"


@pytest.mark.parametrize("stage", PAPER_STAGES)
def test_each_stage_becomes_a_version_that_the_next_one_starts_from(stage, registry, cases):
    before = registry.versions()[-1].name
    seen: list[Progress] = []
    lesson = learn_stage(registry, stage, cases, replace(QUICK, parent=before), seen.append)
    assert lesson.version.parent == before
    assert registry.current() == BASE, lesson.verdict
    assert not lesson.verdict.allowed, "without a reference set nothing is served"
    assert lesson.version.data_hash.startswith("SHA256:")
    assert [progress.step for progress in seen if progress.phase == TRAIN] == [1]
    change = lesson.version.change
    assert change.modifications["stage of the whole training"] == f"{PAPER_STAGES.index(stage) + 1}, {stage}"
    assert any(name.endswith("on held-out records") for name in change.data)
    assert "head-" not in (lesson.version.folder / "CHANGES.md").read_text()
    load_model(lesson.version.folder)


@pytest.mark.parametrize("stage", ["codebook", "instruct"])
def test_prepared_data_teach_and_labels_only_measure(stage, registry, cases, data):
    lesson = learn_stage(registry, stage, cases, replace(QUICK, data=data), lambda progress: None)
    assert lesson.version.parent == BASE
    assert lesson.version.evaluation.held_out.n == len(cases)
    assert lesson.version.change.data["corrected images trained on"] == 0
    again = learn_stage(registry, stage, [], replace(QUICK, data=data), lambda progress: None)
    assert again.version.data_hash == lesson.version.data_hash
    assert again.verdict.reason == "Its Dice could not be measured: give cases to hold out and a reference set."


def test_what_cannot_be_is_one_sentence_and_leaves_nothing(registry, cases, data, tmp_path):
    before = [version.name for version in registry.versions()]
    only_talk = tmp_path / "talk"
    only_talk.mkdir()
    shutil.copy(data / "conversations.jsonl", only_talk)
    for error, text, stage, given, options in (
        (InputError, "There is no stage 'none': use one of", "none", cases, QUICK),
        (NotFoundError, "There is no model version 'v99' here", "codebook", cases, replace(QUICK, parent="v99")),
        (InputError, "There is no preset 'big': use one of", "codebook", cases, replace(QUICK, preset="big")),
        (InputError, "There are no corrected cases to learn from", "codebook", [], QUICK),
        (InputError, "cannot both teach and measure", "codebook", cases[:1], QUICK),
        (InputError, "The stage codebook learns from labelled images: add a meta.json", "codebook", [],
         replace(QUICK, data=only_talk)),
        (InputError, "records to train on and a batch is 4000", "codebook", cases, replace(QUICK, batch=4000)),
    ):  # fmt: skip
        with pytest.raises(error, match=text):
            learn_stage(registry, stage, given, options, lambda progress: None)
    assert [version.name for version in registry.versions()] == before
    assert not list(registry.root.glob(".part-*"))


def test_prepared_data_are_named_and_never_a_path(tmp_path, data):
    assert prepared(data.parent, "heads") == data
    with pytest.raises(NotFoundError, match=r"There is no prepared data of this name: use one of heads, or put a"):
        prepared(data.parent, "lungs")
    with pytest.raises(NotFoundError, match="use one of none"):
        prepared(tmp_path, "heads")
    for name in ("../heads", "/etc", ".hidden", ""):
        with pytest.raises(InputError, match="This name of prepared data is not allowed"):
            prepared(data.parent, name)
