"""Decoding steps, dead codes, and figures that mean what they say."""

from __future__ import annotations

import pytest
import torch
from tiny_model import tiny_model

from medsight_core.training.losses import RegionTargets
from medsight_core.training.region_tasks import CodebookTask, RegionTask, hard_dice, measure_pairs


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
