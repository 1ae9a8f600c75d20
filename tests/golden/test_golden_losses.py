"""The losses of masks and classes, with their gradients, against the reference (section 10, tests 5 and 8)."""

from dataclasses import dataclass

import pytest
import torch
from reference import losses as reference
from reference import matching
from reference.losses import ImageResult

from medsight_core.training.losses import RegionTargets, code_mask_losses, dice_loss, mask_entropy, region_losses

QUERIES, CLASSES = 5, 4
CLOSE = {"atol": 1e-6, "rtol": 0.0}


def draw(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def blobs(number: int, height: int, width: int, seed: int, soft: bool = False) -> torch.Tensor:
    """Masks (G, H, W) with about half of the pixels on; soft ones have every value between."""
    heights = reference.resize(draw(number, 3, 3, seed=seed).double(), height, width).float()
    return torch.sigmoid(3.0 * heights) if soft else (heights > 0).float()


@dataclass
class Batch:
    """Predictions that gradients flow to, and the targets of each image."""

    masks: torch.Tensor
    classes: torch.Tensor
    targets: list[RegionTargets]

    @classmethod
    def drawn(cls, targets: list[torch.Tensor], seed: int = 500, loudness: float = 1.0) -> "Batch":
        """One image per tensor of masks (G, H, W); its classes are drawn too."""
        generator = torch.Generator().manual_seed(seed)
        return cls(
            (loudness * 2.0 * draw(len(targets), QUERIES, 6, 6, seed=seed + 1)).requires_grad_(),
            (loudness * draw(len(targets), QUERIES, CLASSES + 1, seed=seed + 2)).requires_grad_(),
            [RegionTargets(masks, torch.randint(CLASSES, (len(masks),), generator=generator)) for masks in targets],
        )

    def expected(self, weight: float = 0.0, pairs: list[list[tuple[int, int]]] | None = None):
        """Losses of the reference and their gradients to mask and class logits, in double precision."""
        masks = self.masks.detach().double().requires_grad_()
        classes = self.classes.detach().double().requires_grad_()
        images = []
        for index, target in enumerate(self.targets):
            labels = target.classes.tolist()
            found = pairs[index] if pairs else paired(masks[index], classes[index], target.masks.double(), labels)
            images.append(ImageResult(masks[index], classes[index], target.masks.double(), labels, found))
        values = reference.region_losses(images, weight)
        return values, gradients(values, masks, classes), images


def paired(masks, classes, targets, labels) -> list[tuple[int, int]]:
    if not labels:
        return []
    best = matching.assign(matching.pair_costs(masks.detach(), classes.detach(), targets, labels))
    assert best.margin > 1e-5, "the seed must not leave the choice to rounding"
    return best.pairs


def gradients(values: dict[str, torch.Tensor], *leaves: torch.Tensor) -> dict[str, list[torch.Tensor]]:
    """Gradient of every loss to every leaf; zeros where a loss does not depend on it."""
    result = {}
    for name, value in values.items():
        parts: tuple[torch.Tensor | None, ...] = (None,) * len(leaves)
        if value.requires_grad:
            parts = torch.autograd.grad(value, leaves, retain_graph=True, allow_unused=True)
        result[name] = [
            torch.zeros_like(leaf) if part is None else part for leaf, part in zip(leaves, parts, strict=True)
        ]
    return result


def assert_equal(batch: Batch, ours: dict[str, torch.Tensor], values, wanted_gradients, rtol: float = 0.0) -> None:
    assert set(ours) == {"dice", "entropy", "class"}
    ours_gradients = gradients(ours, batch.masks, batch.classes)
    for name in ours:
        assert ours[name].shape == ()
        torch.testing.assert_close(ours[name].double(), values[name], atol=1e-6, rtol=rtol)
        for part, wanted in zip(ours_gradients[name], wanted_gradients[name], strict=True):
            assert part.isfinite().all()
            torch.testing.assert_close(part.double(), wanted, atol=1e-6, rtol=rtol)


BATCHES = {
    "one target": [blobs(1, 6, 6, seed=1)],
    "fewer targets than queries": [blobs(3, 16, 11, seed=2), blobs(2, 6, 6, seed=3)],
    "as many targets as queries": [blobs(QUERIES, 16, 11, seed=4)],
    "more targets than queries": [blobs(QUERIES + 2, 9, 14, seed=5), blobs(1, 7, 5, seed=6)],
    "targets smaller than the maps": [blobs(2, 4, 5, seed=7)],
    "soft targets": [blobs(3, 16, 11, seed=8, soft=True)],
    "an empty mask": [torch.cat([torch.zeros(1, 8, 9), blobs(2, 8, 9, seed=9)])],
    "one image without targets": [blobs(3, 16, 11, seed=10), torch.zeros(0, 16, 11), blobs(7, 8, 8, seed=11)],
}


@pytest.mark.parametrize("weight", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("case", BATCHES)
def test_region_losses(case, weight):
    batch = Batch.drawn(BATCHES[case])
    values, wanted, _ = batch.expected(weight)
    assert_equal(batch, region_losses(batch.masks, batch.classes, batch.targets, weight), values, wanted)


@pytest.mark.parametrize("weight", [0.0, 0.1])
def test_loud_logits_keep_losses_and_gradients_finite(weight):
    batch = Batch.drawn(BATCHES["one image without targets"], loudness=60.0)
    assert batch.masks.abs().max() > 200
    values, wanted, _ = batch.expected(weight)
    assert_equal(batch, region_losses(batch.masks, batch.classes, batch.targets, weight), values, wanted, rtol=1e-5)


def test_an_image_without_targets_changes_nothing_in_the_official_loss():
    batch = Batch.drawn(BATCHES["one image without targets"])
    with_it = region_losses(batch.masks, batch.classes, batch.targets)
    kept = [0, 2]
    without = region_losses(batch.masks[kept], batch.classes[kept], [batch.targets[index] for index in kept])
    for name in with_it:
        torch.testing.assert_close(with_it[name], without[name], **CLOSE)
        assert without[name] > 0.1


def test_no_target_in_the_whole_batch_gives_zero_and_can_be_trained_on():
    batch = Batch.drawn([torch.zeros(0, 16, 11), torch.zeros(0, 6, 6)])
    ours = region_losses(batch.masks, batch.classes, batch.targets)
    assert {name: value.item() for name, value in ours.items()} == {"dice": 0.0, "entropy": 0.0, "class": 0.0}
    sum(ours.values()).backward()
    assert batch.masks.grad is None or not batch.masks.grad.any()
    assert batch.classes.grad is None or not batch.classes.grad.any()


def test_no_target_in_the_whole_batch_still_teaches_no_object():
    batch = Batch.drawn([torch.zeros(0, 16, 11), torch.zeros(0, 6, 6)])
    values, wanted, _ = batch.expected(weight=0.1)
    assert values["class"] > 0.1
    assert_equal(batch, region_losses(batch.masks, batch.classes, batch.targets, 0.1), values, wanted)


def test_an_image_counts_as_often_in_the_class_term_as_it_has_pairs():
    batch = Batch.drawn(BATCHES["more targets than queries"])
    values, _, images = batch.expected()
    per_image = [
        torch.stack([reference.class_entropy(image.classes[q], image.labels[t]) for t, q in image.pairs]).mean()
        for image in images
    ]
    assert (torch.stack(per_image).mean() - values["class"]).abs() > 1e-2, "the seed must tell the two means apart"
    ours = region_losses(batch.masks, batch.classes, batch.targets)
    torch.testing.assert_close(ours["class"].double(), (QUERIES * per_image[0] + per_image[1]) / 6, **CLOSE)


def test_without_its_weight_an_unmatched_query_learns_nothing():
    batch = Batch.drawn(BATCHES["fewer targets than queries"])
    _, _, images = batch.expected()
    ours = gradients(region_losses(batch.masks, batch.classes, batch.targets), batch.masks, batch.classes)
    for index, image in enumerate(images):
        for query in set(range(QUERIES)) - {query for _, query in image.pairs}:
            assert not any(part[index, query].any() for parts in ours.values() for part in parts)


@pytest.mark.parametrize("weight", [0.0, 0.1])
def test_pairs_that_another_head_decided_are_kept(weight):
    batch = Batch.drawn(BATCHES["one image without targets"])
    pairs = [[(0, 4), (1, 0), (2, 2)], [], [(1, 3), (2, 4), (4, 1), (5, 0), (6, 2)]]
    assert pairs != [image.pairs for image in batch.expected()[2]]
    values, wanted, _ = batch.expected(weight, pairs)
    indices = [
        tuple(torch.tensor([pair[side] for pair in image], dtype=torch.long) for side in (0, 1)) for image in pairs
    ]
    ours = region_losses(batch.masks, batch.classes, batch.targets, weight, matches=indices)
    assert_equal(batch, ours, values, wanted)


@pytest.mark.parametrize("weight", [0.0, 0.1])
def test_parts_of_a_step_add_up_to_the_whole(weight):
    batch = Batch.drawn(BATCHES["one image without targets"])
    values, wanted, images = batch.expected(weight)
    totals = {"pairs_total": float(sum(len(image.pairs) for image in images)), "images_total": 3.0}
    parts = [
        region_losses(batch.masks[part], batch.classes[part], batch.targets[part], weight, **totals)
        for part in (slice(0, 1), slice(1, 2), slice(2, 3))
    ]
    ours = {name: parts[0][name] + parts[1][name] + parts[2][name] for name in parts[0]}
    assert_equal(batch, ours, values, wanted)


@pytest.mark.parametrize("smooth", [1.0, 1e-6, 0.5])
def test_dice_and_entropy_of_single_masks(smooth):
    logits = (3.0 * draw(4, 9, 7, seed=600)).requires_grad_()
    targets = torch.cat([blobs(2, 9, 7, seed=601), blobs(1, 9, 7, seed=602, soft=True), torch.zeros(1, 9, 7)])
    dices, entropies = dice_loss(logits, targets, smooth=smooth), mask_entropy(logits, targets)
    exact = logits.detach().double()
    for index in range(4):
        wanted = reference.dice(exact[index], targets[index].double(), smooth)
        torch.testing.assert_close(dices[index].double(), wanted, **CLOSE)
        wanted = reference.entropy(exact[index], targets[index].double())
        torch.testing.assert_close(entropies[index].double(), wanted, **CLOSE)
    if smooth == 1.0:
        assert torch.equal(dices, dice_loss(logits, targets))


CODES = {
    "hard": blobs(3, 12, 12, seed=700),
    "soft edges": reference.resize(blobs(3, 40, 30, seed=701).double(), 12, 12).float(),
    "one empty": torch.cat([blobs(1, 12, 12, seed=702), torch.zeros(1, 12, 12), blobs(1, 12, 12, seed=703)]),
    "one faint": torch.cat([blobs(1, 12, 12, seed=704), torch.eye(12)[:1, None] * torch.eye(12)[:1, :, None] * 0.02]),
    "a single pixel": torch.eye(12)[:1, None] * torch.eye(12)[:1, :, None],
    "all empty": torch.zeros(2, 12, 12),
    "no code": torch.zeros(0, 12, 12),
}


@pytest.mark.parametrize("loudness", [3.0, 100.0], ids=["plain", "loud"])
@pytest.mark.parametrize("case", CODES)
def test_code_mask_losses(case, loudness):
    targets = CODES[case]
    logits = (loudness * draw(*targets.shape, seed=710)).requires_grad_()
    exact = logits.detach().double().requires_grad_()
    names = ("dice", "entropy")
    values = dict(zip(names, reference.code_mask_losses(exact, targets.double()), strict=True))
    ours = dict(zip(names, code_mask_losses(logits, targets), strict=True))
    for name, value in ours.items():
        assert value.shape == ()
        torch.testing.assert_close(value.double(), values[name], atol=1e-6, rtol=1e-6)
    if not targets.any():
        assert [value.item() for value in ours.values()] == [0.0, 0.0]
        return
    wanted = gradients(values, exact)
    for name, parts in gradients(ours, logits).items():
        assert parts[0].isfinite().all()
        torch.testing.assert_close(parts[0].double(), wanted[name][0], atol=1e-6, rtol=1e-5)
        assert not parts[0][~targets.flatten(1).any(dim=1)].any()


@pytest.mark.parametrize("case", ["all empty", "no code"])
def test_codes_without_a_mask_can_be_trained_on(case):
    logits = draw(*CODES[case].shape, seed=711).requires_grad_()
    sum(code_mask_losses(logits, CODES[case])).backward()
    assert not logits.grad.any()
