"""The pairing of targets with queries against the reference, which tries every assignment (section 10, test 5)."""

import pytest
import torch
from reference import losses, matching

from medsight_core.training.matching import match, pair_costs, resize

QUERIES, CLASSES = 5, 4
SIZES = [(6, 6), (16, 11), (4, 5)]  # of the targets; the logits are 6 x 6


def draw(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def predictions(seed: int, loudness: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Mask logits (N, 6, 6) and class logits (N, C + 1); quiet classes leave the decision to the masks."""
    return 2.0 * draw(QUERIES, 6, 6, seed=seed), loudness * draw(QUERIES, CLASSES + 1, seed=seed + 1)


def targets(number: int, kind: str, size: tuple[int, int], seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Masks (G, H, W) of coarse blobs and their classes."""
    blobs = losses.resize(draw(number, 3, 3, seed=seed + 2).double(), *size)
    masks = torch.sigmoid(3.0 * blobs).float()
    if kind != "soft":
        masks = (masks > 0.5).float()
    if kind == "one empty":
        masks[0] = 0.0
    if kind == "bool":
        masks = masks > 0.5
    return masks, torch.randint(CLASSES, (number,), generator=torch.Generator().manual_seed(seed + 3))


def reference_costs(logits, classes, masks, labels) -> torch.Tensor:
    return matching.pair_costs(logits.double(), classes.double(), masks.double(), labels.tolist())


@pytest.mark.parametrize("size", SIZES, ids=["same size", "larger oblong", "smaller"])
@pytest.mark.parametrize("kind", ["hard", "bool", "soft", "one empty"])
@pytest.mark.parametrize("number", [1, 3, QUERIES, QUERIES + 2])
@pytest.mark.parametrize("seed", [100, 200])
def test_costs_and_pairs(seed, number, kind, size):
    logits, classes = predictions(seed, loudness=1.0 if seed == 100 else 0.05)
    masks, labels = targets(number, kind, size, seed)
    expected = reference_costs(logits, classes, masks, labels)
    costs = pair_costs(logits, classes, masks, labels)
    assert costs.shape == (number, QUERIES)
    torch.testing.assert_close(costs.double(), expected, atol=1e-6, rtol=0.0)

    best = matching.assign(expected)
    assert best.margin > 1e-5, "the seed must not leave the choice to rounding"
    target, query = match(logits, classes, masks, labels)
    assert (target.dtype, query.dtype) == (torch.int64, torch.int64)
    assert list(zip(target.tolist(), query.tolist(), strict=True)) == best.pairs


def test_the_pairs_are_the_cheapest_together_and_not_one_by_one():
    logits, classes = predictions(100)
    masks, labels = targets(QUERIES, "hard", (16, 11), 100)
    alone = reference_costs(logits, classes, masks, labels).argmin(dim=1).tolist()
    assert len(set(alone)) < QUERIES, "two targets must want the same query"
    _, query = match(logits, classes, masks, labels)
    assert sorted(query.tolist()) == list(range(QUERIES))


def test_surplus_targets_stay_alone_wherever_they_stand():
    logits, classes = predictions(100)
    masks, labels = targets(QUERIES + 2, "hard", (6, 6), 100)
    kept, _ = match(logits, classes, masks, labels)
    assert len(kept) == QUERIES
    back = match(logits, classes, masks.flip(0), labels.flip(0))[0]
    assert sorted(QUERIES + 1 - back) == kept.tolist()


def test_no_target_matches_nothing():
    logits, classes = predictions(100)
    none = torch.zeros(0, 16, 11), torch.zeros(0, dtype=torch.int64)
    assert pair_costs(logits, classes, *none).shape == (0, QUERIES)
    target, query = match(logits, classes, *none)
    assert (target.shape, query.shape) == ((0,), (0,))
    assert (target.dtype, query.dtype) == (torch.int64, torch.int64)


def test_loud_logits_are_matched_as_the_document_says():
    logits, classes = predictions(300)
    logits, classes = 100.0 * logits, 100.0 * classes
    masks, labels = targets(3, "hard", (16, 11), 300)
    expected = reference_costs(logits, classes, masks, labels)
    torch.testing.assert_close(pair_costs(logits, classes, masks, labels).double(), expected, atol=1e-6, rtol=1e-6)
    target, query = match(logits, classes, masks, labels)
    assert list(zip(target.tolist(), query.tolist(), strict=True)) == matching.assign(expected).pairs


def test_mixed_precision_does_not_round_the_costs():
    logits, classes = predictions(100)
    masks, labels = targets(3, "hard", (16, 11), 100)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        costs = pair_costs(logits, classes, masks, labels)
    torch.testing.assert_close(costs.double(), reference_costs(logits, classes, masks, labels), atol=1e-6, rtol=0.0)


def test_predictions_that_are_being_trained_can_be_matched():
    logits, classes = (value.requires_grad_() for value in predictions(100))
    masks, labels = targets(3, "hard", (16, 11), 100)
    _, query = match(logits, classes, masks, labels)
    assert not query.is_floating_point()


@pytest.mark.parametrize("size", [(6, 9), (12, 18), (17, 11), (4, 5), (1, 1)])
def test_maps_are_resized_bilinearly_without_smoothing(size):
    maps = draw(2, 6, 9, seed=400)
    ours = resize(maps, size).double()
    torch.testing.assert_close(ours, losses.resize(maps.double(), *size), atol=1e-6, rtol=0.0)


def test_a_reduced_mask_keeps_its_soft_edges():
    mask = (losses.resize(draw(1, 3, 3, seed=401).double(), 40, 30) > 0).float()
    ours = resize(mask, (12, 12)).double()
    torch.testing.assert_close(ours, losses.resize(mask.double(), 12, 12), atol=1e-6, rtol=0.0)
    assert ((ours > 0.05) & (ours < 0.95)).any()
