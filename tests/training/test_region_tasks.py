"""Decoding steps, dead codes, and figures that mean what they say."""

from __future__ import annotations

import pytest
import torch
from tiny_model import TINY_PERCEIVER, tiny_model

from medsight_core.errors import InputError
from medsight_core.training.losses import RegionTargets
from medsight_core.training.region_tasks import CodebookTask, RegionTask, hard_dice, measure_pairs, united


@pytest.mark.parametrize("pairs", [0, 1, 3, 4, 5])
def test_a_decoding_step_runs_a_few_queries_with_and_without_target(pairs):
    task = RegionTask(tiny_model()[0])
    found = (torch.arange(pairs), torch.randperm(5)[:pairs])
    chosen, (targets, places) = task._choose(found, queries=5, step=3, index=8)
    assert len(chosen) == len(set(chosen.tolist())) == 4
    assert len(targets) == len(places) == task._matched(pairs, 5) >= min(pairs, 3)
    query_of = dict(zip(found[0].tolist(), found[1].tolist()))
    assert [query_of[int(target)] for target in targets] == chosen[places].tolist()
    again, _ = task._choose(found, queries=5, step=3, index=8)
    assert again.tolist() == chosen.tolist()


def test_dead_codes_move_to_vectors_that_no_code_is_near():
    model, _ = tiny_model()
    task = CodebookTask(model, revive_every=1)
    before = model.codebook.tables.detach().clone()
    encoded = torch.nn.functional.normalize(torch.randn(2, 5, 8), dim=-1)
    task._last = (encoded, torch.zeros(2, 5, dtype=torch.long), torch.tensor([3, 3]))
    task.after_step()
    moved = (model.codebook.tables != before).any(-1)
    assert moved[3].sum() == 10  # as many as there are vectors
    assert not moved[3, 0]  # in use
    assert not moved[[0, 1, 2, 4]].any()  # tables of other modalities
    rows = model.codebook.tables[3][moved[3]]
    assert all(any(torch.equal(row, vector) for vector in encoded.flatten(0, 1)) for row in rows)


def test_pairs_are_measured():
    masks = torch.full((1, 3, 4, 4), -1.0)
    masks[0, 1, :2] = 1.0
    classes = torch.zeros(1, 3, 3)
    classes[0, 0, 2] = classes[0, 1, 1] = classes[0, 2, 0] = 9.0
    target = RegionTargets(torch.zeros(1, 4, 4).index_fill(1, torch.tensor([0]), 1.0), torch.tensor([1]))
    sums = measure_pairs(masks, classes, [target], [(torch.tensor([0]), torch.tensor([1]))])
    assert float(sums["dice"]) == pytest.approx(2 * 4 / (8 + 4))
    assert (int(sums["right_class"]), int(sums["pairs"])) == (1, 1)
    assert (int(sums["rejected"]), int(sums["unmatched"])) == (1, 2)


def test_nothing_found_where_nothing_is_counts_as_right():
    assert hard_dice(torch.full((1, 2, 2), -1.0), torch.zeros(1, 2, 2)).tolist() == [1.0]


def test_steps_by_name_ask_for_what_is_there_and_for_what_is_not():
    task = RegionTask(model_with_class_queries(), decode_share=0.0, named_share=1.0)
    halves = torch.zeros(3, 32, 32)
    halves[0, :16], halves[1, 16:24], halves[2, 24:] = 1, 1, 1
    target = RegionTargets(halves, torch.tensor([2, 1, 1]))
    whole = united(target)
    assert whole.classes.tolist() == [1, 2]
    assert torch.equal(whole.masks, torch.stack([halves[1] + halves[2], halves[0]])), "one class is one mask"
    classes, (wanted, places) = task._ask(target, step=3, index=5)
    assert sorted(classes.tolist()) == [0, 1, 2, 3], "all four classes, those that are there first"
    assert classes[places].tolist() == whole.classes[wanted].tolist()
    assert torch.equal(classes, task._ask(target, step=3, index=5)[0])
    batch = {
        "pixel_values": torch.randn(1, 3, 56, 56), "masks": [halves], "classes": [target.classes],
        "indices": torch.tensor([5]),
    }  # fmt: skip
    totals = torch.tensor(task.count(batch))
    assert totals.tolist() == [3, 3, 2, 1]
    task.losses(batch, totals)["loss"].backward()
    assert task.model.perceiver.class_queries.grad.abs().sum() > 0
    assert task.model.perceiver.queries.grad is None, "the learned queries take no part"


def test_some_steps_by_name_ask_for_few_things_and_count_as_many():
    task = RegionTask(model_with_class_queries(), named_share=1.0)
    task.FEW, task.MATCHED, task.NAMED, task.PRESENT = 2, 1, 4, 3
    target = RegionTargets(torch.ones(3, 32, 32), torch.tensor([0, 1, 2]))
    batch = {"pixel_values": torch.zeros(1, 3, 56, 56), "masks": [target.masks], "classes": [target.classes]}
    seen = set()
    for _ in range(20):
        classes, (wanted, _) = task._ask(target, int(task.steps), index=0)
        assert task.count(batch)[2] == len(wanted)
        seen.add((len(classes), len(wanted)))
        task.after_step()
    assert seen == {(2, 1), (4, 3)}


def test_the_finest_scale_may_learn_later():
    task = RegionTask(tiny_model()[0], decode_share=0.0, coarse_steps=1)
    batch = {
        "pixel_values": torch.randn(1, 3, 56, 56), "masks": [torch.ones(1, 32, 32)], "classes": [torch.tensor([1])],
        "indices": torch.tensor([0]),
    }  # fmt: skip
    finest = task.model.perceiver.stages[-1].image_ffn.up.weight
    task.losses(batch, torch.tensor(task.count(batch)))["loss"].backward()
    assert finest.grad is None
    task.after_step()
    task.losses(batch, torch.tensor(task.count(batch)))["loss"].backward()
    assert finest.grad.abs().sum() > 0


def test_a_model_without_class_queries_cannot_be_asked_by_name():
    with pytest.raises(InputError, match=r"^named_share is 0.5 and the model has no class queries: set"):
        RegionTask(tiny_model()[0], named_share=0.5)


def model_with_class_queries():
    return tiny_model(perceiver_config={**TINY_PERCEIVER, "class_queries": True})[0]
