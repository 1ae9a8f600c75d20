"""From corrected cases to a version: served when it is better, kept with the reason when not, nothing when it fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ball_heads import DETECTING, NAME, write_head
from tiny_model import save_tiny_model

from medsight_core.data.corrected_cases import Case
from medsight_core.engine.registry import BASE, Registry
from medsight_core.errors import InputError
from medsight_core.model.loading import read_config
from medsight_core.training.adapt import TRAIN, AdaptOptions, Progress
from medsight_core.training.learn import learn

QUICK = AdaptOptions(steps=2, batch=4, planes_per_case=8, replay_planes=4, precision="fp32", rank=2, language=False)


def case(folder: Path, number: int, poison: bool = False) -> Case:
    image, label = write_head(folder, number, f"head-{number}", poison)
    return Case(f"head-{number}", image, label, (NAME,), modality="MR")


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("base"), **DETECTING)


@pytest.fixture
def registry(tmp_path, base) -> Registry:
    return Registry(tmp_path / "models", base)


@pytest.fixture
def cases(tmp_path) -> list[Case]:
    return [case(tmp_path, number) for number in range(4)]


def test_a_training_without_effect_is_kept_with_its_record(registry, cases):
    seen: list[Progress] = []
    lesson = learn(registry, cases, replace(QUICK, reference=cases[:1], learning_rate=1e-9), seen.append)
    assert lesson.version.name == "v1"
    assert not lesson.verdict.allowed
    assert "which is no rise" in lesson.verdict.reason
    assert registry.current() == BASE
    assert read_config(lesson.version.folder).version == "tiny+v1"
    assert [progress.step for progress in seen if progress.phase == TRAIN] == [1, 2]
    text = (lesson.version.folder / "CHANGES.md").read_text()
    for line in (
        f"- structures that were taught: {NAME}",
        "- what is asked and answered: as before: no new name, modality or orientation",
        "- steps: 2",
        "- remarks on corrections (told to who trained): 0",
        f"- Meant to change: outlines of {NAME} on images like those that were corrected.",
        "- Nothing that is absent was asked for on the held-out images. Nothing that is absent was asked for on the "
        "reference set.",
    ):
        assert line in text.splitlines(), text
    assert "head-" not in text, "no image is named"
    assert lesson.version.data_hash.startswith("SHA256:")


def test_without_a_reference_set_nothing_is_served(registry, cases):
    lesson = learn(registry, cases, QUICK, lambda progress: None)
    assert lesson.verdict.reason == "Its Dice could not be measured: give cases to hold out and a reference set."
    assert registry.version("v1").evaluation.reference.n == 0


def test_what_fails_leaves_nothing(registry, cases, tmp_path):
    with pytest.raises(InputError, match="There are no corrected cases to learn from"):
        learn(registry, [], QUICK, lambda progress: None)

    def full(progress: Progress) -> None:
        if progress.phase == TRAIN:
            raise OSError(28, "No space left on device")

    with pytest.raises(InputError) as caught:
        learn(registry, cases, QUICK, full)
    assert str(caught.value) == (
        f"The new version cannot be written to {registry.root} (No space left on device): make room there and train "
        "again; the served model is as it was."
    )
    assert not list(registry.root.glob("v*"))
    assert not list(registry.root.glob(".part-*"))
    assert not registry.at_work()


def test_who_trains_second_is_refused(registry, cases):
    def again(progress: Progress) -> None:
        learn(registry, cases, QUICK, lambda progress: None)

    with pytest.raises(InputError, match="A training is running already: wait for it, or stop it"):
        learn(registry, cases, QUICK, again)


@pytest.mark.slow
def test_random_masks_are_not_served_although_those_that_measure_are_random_too(registry, tmp_path):
    def swapped(number: int) -> Case:
        """The mask is another image's: by chance near the ball, and it says nothing of this one."""
        return replace(case(tmp_path, number), label=case(tmp_path, number + 50).label)

    poisoned, held_out = ([swapped(number) for number in numbers] for numbers in (range(5), range(20, 23)))
    reference = [swapped(30)]  # it shall not be what refuses
    options = replace(QUICK, steps=40, batch=8, learning_rate=1e-2, held_out=held_out, reference=reference)
    lesson = learn(registry, poisoned, options, lambda progress: None)
    measured = lesson.version.evaluation.held_out
    assert measured.after > measured.before + 0.05, "a rise, and yet:"
    assert not lesson.verdict.allowed
    assert lesson.verdict.reason.startswith("What it outlines fits other cases' outlines (Dice 0.")
    assert lesson.told[-1].endswith("look whether the corrections belong to their images.")
    assert registry.current() == BASE
    assert not registry.promote("v1").allowed, "nor by hand"


@pytest.mark.slow
def test_good_corrections_are_served_and_random_masks_are_not(registry, tmp_path):
    heads = [case(tmp_path, number) for number in range(6)]
    held_out, reference = ([case(tmp_path, number) for number in numbers] for numbers in (range(20, 23), range(30, 32)))
    options = replace(
        QUICK, steps=100, batch=8, planes_per_case=16, learning_rate=1e-2, held_out=held_out, reference=reference
    )
    good = learn(registry, heads, options, lambda progress: None)
    assert good.verdict.allowed, good.verdict.reason
    assert registry.current() == "v1"
    poisoned = [case(tmp_path, number, poison=True) for number in range(6)]
    bad = learn(registry, poisoned, options, lambda progress: None)
    assert not bad.verdict.allowed, bad.verdict.reason
    assert (bad.version.name, bad.version.parent) == ("v2", "v1")
    assert registry.current() == "v1"
