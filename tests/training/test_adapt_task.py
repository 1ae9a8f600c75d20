"""What corrected and remembered planes teach, and what they leave alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_model import TINY_PERCEIVER, tiny_model

from medsight_core.training.adapt_data import AdaptDataset, collate_taught, remember
from medsight_core.training.adapt_task import AdaptTask, Taught, _corrected, _remembered
from medsight_core.training.losses import RegionTargets
from medsight_core.training.taught_planes import TaughtPlane

NAMES = ("", "left thalamus", "right lung", "left lung")


@pytest.fixture(scope="module")
def parts():
    return tiny_model(class_names=NAMES, presence="detected", show_detections=True, perceiver_config=TINY_PERCEIVER)


def plane(name: str = "left thalamus", absent: tuple[str, ...] = ()) -> TaughtPlane:
    picture = np.zeros((56, 56), np.uint8)
    picture[10:30, 20:40] = 200
    mask = np.zeros((32, 32), np.uint8)
    mask[6:17, 11:23] = 255
    return TaughtPlane(picture, {name: mask} if name else {}, absent, "axial MR")


def taught(known: list[int], *shown: int) -> Taught:
    masks = torch.zeros(len(shown), 32, 32)
    for number, _ in enumerate(shown):
        masks[number, 5:20, 5:20] = 1
    return Taught(RegionTargets(masks, torch.tensor(shown, dtype=torch.long)), torch.tensor(known, dtype=torch.long))


def test_what_nobody_looked_for_may_be_claimed():
    masks = torch.zeros(5, 32, 32)
    quiet, bold, wrong = (torch.zeros(5, 5) for _ in range(3))
    quiet[:, 4] = 9.0  # no object
    bold[:, 2] = 9.0  # another thing, which nobody looked for
    wrong[:, 1] = 9.0  # the thing that somebody looked for and did not find
    losses = [float(_corrected(masks, classes, taught([1]))[0]) for classes in (quiet, bold, wrong)]
    assert losses[0] == pytest.approx(0.0, abs=1e-3)
    assert losses[1] == pytest.approx(0.0, abs=1e-3)
    assert losses[2] > 5


def test_a_second_claim_of_what_is_there_is_wrong():
    masks = torch.zeros(5, 32, 32)
    masks[0, 5:20, 5:20] = 9.0
    one, two = torch.zeros(5, 5), torch.zeros(5, 5)
    one[0, 1] = two[:2, 1] = 9.0
    one[1:, 4] = two[2:, 4] = 9.0
    assert float(_corrected(masks, two, taught([1], 1))[0]) > float(_corrected(masks, one, taught([1], 1))[0]) + 0.3


def test_remembering_is_best_where_nothing_changed():
    torch.manual_seed(0)
    masks, classes = torch.randn(5, 32, 32), 3 * torch.randn(5, 5)
    same = _remembered(masks, classes, classes.log_softmax(-1), masks)
    other = _remembered(-masks, classes.flip(0), classes.log_softmax(-1), masks)
    assert float(same[0]) == pytest.approx(0.0, abs=1e-5)
    assert float(same[0]) < float(other[0])
    assert float(same[1]) < float(other[1])


def test_a_step_is_the_same_however_it_is_split(parts):
    model, processor = parts
    remembered = remember(model, processor, [plane()], 0, lambda done: None)
    data = AdaptDataset(
        [plane(), plane("", ("left thalamus",))], remembered, processor, {"left thalamus": "M10_0"}, 8, 0
    )
    task = AdaptTask(model, ("perceiver.",), code_rows=False, replay_weight=0.7)
    samples = [data[index] for index in range(4)]
    with torch.no_grad():
        whole = collate_taught(samples)
        together = task(totals=torch.tensor(task.count(whole)), **whole)
        halves = [collate_taught(samples[:2]), collate_taught(samples[2:])]
        totals = torch.tensor([4])
        apart = [task(totals=totals, **half) for half in halves]
    assert {"class", "claim", "outline", "loss"} <= together.keys()
    for name, value in together.items():
        assert float(value) == pytest.approx(sum(float(part.get(name, 0.0)) for part in apart), rel=1e-3, abs=1e-5)


def test_a_sample_is_always_the_same_and_never_mirrored(parts):
    _, processor = parts
    data = AdaptDataset([plane()], [], processor, {"left thalamus": "M10_0"}, 30, 0)
    assert torch.equal(data[3]["pixel_values"], data[3]["pixel_values"])
    assert not torch.equal(data[3]["pixel_values"], data[4]["pixel_values"])
    for index in range(30):
        sample = data[index]
        mask = sample["taught"].targets.masks[0]
        columns = torch.arange(32.0)
        assert float((mask.sum(0) * columns).sum() / mask.sum()) == pytest.approx(16.5, abs=5)
        picture = sample["pixel_values"][0, 0]
        bright = (picture > picture.amin() + 0.5 * (picture.amax() - picture.amin())).float()
        across = float((bright.sum(0) * torch.arange(56.0)).sum() / bright.sum()) * 32 / 56
        assert float((mask.sum(0) * columns).sum() / mask.sum()) == pytest.approx(across, abs=1.2), "mask moves along"
