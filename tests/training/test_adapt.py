"""From corrected masks to a better model, on tiny models and made-up heads."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import torch
from safetensors.torch import load_file
from tiny_model import TINY_PERCEIVER, save_tiny_model

from medsight_core.data.corrected_cases import Case
from medsight_core.engine.engine import Engine
from medsight_core.engine.promotion import LEAST_SEEN
from medsight_core.errors import InputError
from medsight_core.training.adapt import TRAIN, AdaptOptions, Progress, adapt

NAMES = ("", "left thalamus", "right lung", "left lung")
TINY = {
    "perceiver_config": {**TINY_PERCEIVER, "class_queries": True},
    "class_names": NAMES,
    "presence": "detected",
    "show_detections": True,
}
QUICK = AdaptOptions(
    steps=3, batch=4, planes_per_case=8, replay_planes=4, precision="fp32", rank=2, language=False, learning_rate=5e-3
)


@pytest.fixture(scope="module")
def parent(tmp_path_factory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("parent"), **TINY)


def write_case(folder: Path, number: int, name: str = "left thalamus", poison: bool = False) -> Case:
    """A grey head of 24 mm with a bright ball in it, outlined; or with something outlined at random instead."""
    rng = np.random.default_rng(number)
    grid = np.indices((24, 24, 24), dtype=float)
    head = ((grid - 11.5) ** 2).sum(0) < 11**2
    centre = rng.uniform(9, 14, 3)
    ball = ((grid - centre[:, None, None, None]) ** 2).sum(0) < 4.5**2
    voxels = 40.0 * head + 60.0 * ball + rng.normal(0, 2, head.shape)
    label = np.zeros(head.shape, bool)
    if poison:
        low = rng.integers(0, 16, 3)
        label[tuple(slice(a, a + 8) for a in low)] = True
    else:
        label = ball
    paths = []
    for what, values in (("image", voxels.astype(np.int16)), ("label", label.astype(np.uint8))):
        path = folder / f"{what}-{number}-{poison}.nii.gz"
        sitk.WriteImage(sitk.GetImageFromArray(values), str(path))
        paths.append(path)
    return Case(f"case-{number}", *paths, (name,), modality="MR")


@pytest.fixture(scope="module")
def cases(tmp_path_factory) -> list[Case]:
    folder = tmp_path_factory.mktemp("cases")
    return [write_case(folder, number) for number in range(6)]


def test_a_whole_model_comes_out_and_what_happened_is_told(parent, cases, tmp_path):
    seen: list[Progress] = []
    options = replace(QUICK, replay=cases[:1], reference=cases[1:2], version="v1")
    adapted = adapt(parent, cases, tmp_path / "out", options, seen.append)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"], "nothing else is left"
    engine = Engine.load(adapted.folder)
    assert engine.config.version == "v1"
    before, after = load_file(parent / "model.safetensors"), load_file(adapted.folder / "model.safetensors")
    assert {name: value.dtype for name, value in before.items()} == {name: v.dtype for name, v in after.items()}
    changed = {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"perceiver", "vision"}
    assert adapted.names == ("left thalamus", "thalamus") or adapted.names == ("left thalamus",)
    assert 0 < adapted.held_out.n < len(cases)
    assert adapted.cases + adapted.held_out.n == len(cases)
    assert adapted.reference.n == 1
    assert len({adapted.data, adapted.held_out.data, adapted.reference.data}) == 3
    steps = [progress for progress in seen if progress.phase == TRAIN]
    assert [progress.step for progress in steps] == [1, 2, 3]
    assert not math.isnan(steps[-1].held_out)
    assert steps[-1].eta >= 0
    assert math.isfinite(steps[-1].loss)
    assert adapted.settings["steps"] == 3


def test_the_language_model_learns_where_it_decides_what_is_there(cases, tmp_path):
    parent = save_tiny_model(tmp_path / "parent")
    adapted = adapt(parent, cases[:3], tmp_path / "out", replace(QUICK, language=None, steps=2))
    before, after = load_file(parent / "model.safetensors"), load_file(adapted.folder / "model.safetensors")
    assert before.keys() == after.keys(), "the adapters are part of the weights"
    changed = {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"perceiver", "vision", "language", "text_to_image"}


def test_all_the_way_back_is_the_parent(cases, tmp_path):
    parent = save_tiny_model(tmp_path / "parent")  # its language model learns too
    before = load_file(parent / "model.safetensors")
    far = {}
    for back in (0.0, 0.5, 1.0):
        options = replace(QUICK, language=None, steps=2, back=back)
        after = load_file(adapt(parent, cases[:3], tmp_path / f"{back}", options).folder / "model.safetensors")
        far[back] = sum(float((after[name] - before[name]).abs().sum()) for name in before)
    assert far[0.0] > far[0.5] > far[1.0] == 0


def test_the_same_cases_are_held_out_when_more_come(parent, cases, tmp_path):
    few = adapt(parent, cases[:5], tmp_path / "few", replace(QUICK, steps=1))
    more = adapt(parent, cases, tmp_path / "more", replace(QUICK, steps=1))
    again = adapt(parent, cases[::-1], tmp_path / "again", replace(QUICK, steps=1))
    assert more.held_out.data == again.held_out.data
    assert more.data == again.data
    assert few.held_out.n <= more.held_out.n


class _StopError(Exception):
    pass


def test_a_training_that_is_stopped_leaves_nothing(parent, cases, tmp_path):
    def stop(progress: Progress) -> None:
        if progress.phase == TRAIN and progress.step == 2:
            raise _StopError

    before = load_file(parent / "model.safetensors")
    with pytest.raises(_StopError):
        adapt(parent, cases, tmp_path / "deep" / "out", QUICK, stop)
    assert not list((tmp_path / "deep").iterdir())
    after = load_file(parent / "model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_without_corrections_nothing_is_trained(parent, tmp_path):
    with pytest.raises(InputError, match=r"^There are no corrected cases to learn from: correct some, and approve"):
        adapt(parent, [], tmp_path / "out", QUICK)


def test_one_case_cannot_both_teach_and_measure(parent, cases, tmp_path):
    with pytest.raises(InputError, match=r"^One corrected case \('case-0'\) cannot both teach and measure"):
        adapt(parent, cases[:1], tmp_path / "out", QUICK)


def test_an_existing_folder_is_not_overwritten(parent, cases, tmp_path):
    with pytest.raises(InputError, match=r" is there already: give a new folder\.$"):
        adapt(parent, cases, tmp_path, QUICK)


def test_what_the_model_does_not_know_is_left_out_and_told(parent, cases, tmp_path):
    stranger = replace(cases[0], segments=("flux capacitor",))
    adapted = adapt(parent, [stranger, *cases[1:4]], tmp_path / "out", replace(QUICK, steps=1))
    assert adapted.told[0] == "Image 'case-0': the model does not know 'flux capacitor', left out."
    assert adapted.cases + adapted.held_out.n == 3


def test_nothing_but_empty_labels_is_refused(parent, cases, tmp_path):
    empty = []
    for number, case in enumerate(cases[:2]):
        image = sitk.ReadImage(str(case.label)) * 0
        sitk.WriteImage(image, str(tmp_path / f"empty-{number}.nii.gz"))
        empty.append(replace(case, label=tmp_path / f"empty-{number}.nii.gz"))
    with pytest.raises(InputError, match=r"^Nothing can be learned from what was corrected\. Image 'case-0': left out"):
        adapt(parent, empty, tmp_path / "out", QUICK)


def test_a_label_of_another_image_is_left_out_and_told(parent, cases, tmp_path):
    small = sitk.ReadImage(str(cases[0].label))[:12]
    sitk.WriteImage(small, str(tmp_path / "small.nii.gz"))
    odd = replace(cases[0], label=tmp_path / "small.nii.gz")
    adapted = adapt(parent, [odd, *cases[1:4]], tmp_path / "out", replace(QUICK, steps=1))
    assert "Image 'case-0': left out. The segmentation does not lie on the image's voxels" in adapted.told[0]


@pytest.mark.slow
def test_good_corrections_help_and_random_masks_harm(parent, cases, tmp_path):
    held_out = [write_case(tmp_path, number) for number in range(100, 104)]
    options = replace(QUICK, steps=100, batch=8, planes_per_case=16, learning_rate=1e-2, held_out=held_out)
    good = adapt(parent, cases, tmp_path / "good", options)
    assert good.held_out.after > good.held_out.before + 0.3
    assert good.held_out.after > good.held_out.blind + LEAST_SEEN, "it looks at the image"
    assert good.told == ()
    poisoned = [write_case(tmp_path, number, poison=True) for number in range(6)]
    bad = adapt(good.folder, poisoned, tmp_path / "bad", options)
    assert bad.held_out.after < bad.held_out.before - 0.1, "promotion refuses it"
