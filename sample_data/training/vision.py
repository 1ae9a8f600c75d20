"""Vision tower and perceiver of the first-light model, from random weights: the tower first, then both.

Two kinds of steps then alternate. In a *decoding* step the queries are rows of a table with one row per concept; masks
and "no object" are taught for present and absent concepts. In a *region* step the 20 learned queries are matched to
what the plane shows (model-spec 2.4, with the unmatched taught "no object"). The table is a scaffold: later the
language model's projected code states take its place, and learn to equal its rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from medsight_core.model.medsight import MedSightModel
from sample_data.training.concepts import CONCEPTS
from sample_data.training.planes import (
    MIN_VISIBLE_PIXELS,
    PARTS,
    LabelledPlanes,
    augment,
    concept_masks,
    draw,
    known_concepts,
    visible_pixels,
)
from sample_data.training.schedule import learning_rate_share

NO_OBJECT = len(CONCEPTS)
REGION_STEPS = 0.15  # share of steps with the learned queries
COARSE_STEPS = 0.2  # share of the training that leaves out the finest scale, for speed


class Scaffold(nn.Module):
    """What only training needs: one query per concept."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(len(CONCEPTS), dim) * 0.1)


def train_tower(
    model: MedSightModel,
    planes: LabelledPlanes,
    minutes: float,
    batch: int,
    learning_rate: float,
    generator: torch.Generator,
    report: Callable[[str], None],
) -> None:
    """Stand-in for CLIP's pre-training: every patch says which structure each of its mask cells shows.

    A random tower does not get going behind the perceiver (training notes, finding 2); here all structures of a plane
    teach it at once. The head is thrown away.
    """
    factor = model.config.mask_size // model.config.grid
    head = nn.Linear(model.config.vision_config.hidden_size, factor**2 * (len(PARTS) + 1))
    parameters = [*model.vision.parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=learning_rate, betas=(0.9, 0.99), weight_decay=0.01)
    frequency = torch.bincount(planes.labels.flatten().long(), minlength=len(PARTS) + 1).float()
    weight = (frequency / frequency.sum()).clamp(min=1e-5) ** -0.5  # small structures count more, not all the same
    pixel, start, step, average = PixelNorm(model), time.monotonic(), 0, 0.0
    while (progress := (time.monotonic() - start) / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate * learning_rate_share(progress, step, warm_up=50, floor=0.05)
        images, labels = augment(planes, draw(planes, batch, generator), generator)
        patches, _ = model.see(pixel(images))
        cells = head(patches).permute(0, 3, 1, 2)  # (B, factor^2 * classes, h, w)
        logits = F.pixel_shuffle(cells, factor)  # (B, classes, m, m)
        stride = labels.shape[-1] // logits.shape[-1]
        loss = F.cross_entropy(logits, labels[:, stride // 2 :: stride, stride // 2 :: stride].long(), weight)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        step += 1
        average = loss.item() if step == 1 else 0.95 * average + 0.05 * loss.item()
        if step % 50 == 0:
            report(f"tower step {step} ({100 * progress:.0f} %): {average:.3f}")
    report(f"tower: {step} steps of {batch} planes in {minutes:g} minutes")


def train_vision(
    model: MedSightModel,
    scaffold: Scaffold,
    planes: LabelledPlanes,
    minutes: float,
    batch: int,
    learning_rate: float,
    generator: torch.Generator,
    report: Callable[[str], None],
    checkpoint: Callable[[], None],
    warm_start: bool = False,
) -> None:
    """Train ``model.vision``, ``model.perceiver`` and the scaffold in place for ``minutes``.

    checkpoint: called now and then to save them. warm_start: they are trained already, so no coarse steps come first.
    """
    parameters = [*model.vision.parameters(), *model.perceiver.parameters(), *scaffold.parameters()]
    groups = [
        {"params": model.vision.parameters(), "peak": 0.3 * learning_rate},  # trained already
        {"params": [*model.perceiver.parameters(), *scaffold.parameters()], "peak": learning_rate},
    ]
    optimiser = torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.99), weight_decay=0.01)
    pixel = PixelNorm(model)
    start, step, averages = time.monotonic(), 0, {}  # type: ignore[var-annotated]
    while (progress := (time.monotonic() - start) / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * learning_rate_share(progress, step, warm_up=100, floor=0.02)
        stages = len(model.perceiver.stages) - (progress < COARSE_STEPS and not warm_start)
        images, labels = augment(planes, index := draw(planes, batch, generator), generator)
        patches, _ = model.see(pixel(images))
        counts = visible_pixels(labels)
        if torch.rand((), generator=generator) < REGION_STEPS:
            losses = region_losses(model, patches, labels, counts, stages)
        else:
            modality = planes.modality[index.numpy()]
            losses = decoding_losses(model, scaffold, patches, labels, counts, modality, stages, generator)
        optimiser.zero_grad(set_to_none=True)
        total = torch.stack(list(losses.values())).sum()
        total.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        for name, value in losses.items():
            averages[name] = 0.98 * averages.get(name, value.item()) + 0.02 * value.item()
        step += 1
        if step % 50 == 0:
            figures = " ".join(f"{name} {value:.3f}" for name, value in averages.items())
            report(f"vision step {step} ({100 * progress:.0f} %): {figures}")
        if step % 300 == 0:
            checkpoint()
    report(f"vision: {step} steps of {batch} planes in {minutes:g} minutes")


class PixelNorm:
    """Grey planes (B, S, S) in 0..1 as the tower's normalised input (B, 3, S, S)."""

    def __init__(self, model: MedSightModel) -> None:
        self.mean = torch.tensor(model.config.image_mean)[:, None, None]
        self.std = torch.tensor(model.config.image_std)[:, None, None]

    def __call__(self, images: Tensor) -> Tensor:
        """Normalise as `MedSightProcessor.pixel_values` does."""
        return (images[:, None] - self.mean) / self.std


def decoding_losses(
    model: MedSightModel,
    scaffold: Scaffold,
    patches: Tensor,
    labels: Tensor,
    counts: Tensor,
    modality: np.ndarray,
    stages: int,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Masks and presence of a few concepts asked by name, one to twelve at a time."""
    number = int(torch.tensor([1, 4, 8, 12])[torch.randint(4, (), generator=generator)])
    concepts = torch.stack([_ask(counts[row], kind, number, generator) for row, kind in enumerate(modality)])  # (B, n)
    output = model.perceiver(patches, scaffold.queries[concepts], num_stages=stages)
    area = counts.gather(1, concepts)
    present, absent = area >= MIN_VISIBLE_PIXELS, area == 0
    targets = concept_masks(labels, concepts)
    losses = {}
    for depth in range(stages + 1):  # the stem's masks too: they decide where the first stage may look
        share = 1.0 if depth == stages else 0.25
        losses[f"mask{depth}"] = share * mask_loss(output.scale_masks[depth], targets, present, absent)
    truth = torch.where(present, concepts, NO_OBJECT)
    for depth in range(stages):
        share = 0.5 if depth == stages - 1 else 0.1
        decided = (present | absent).flatten()
        logits = output.scale_classes[depth].flatten(0, 1)[decided].float()
        losses[f"class{depth + 1}"] = share * F.cross_entropy(logits, truth.flatten()[decided])
    return losses


def _ask(counts: Tensor, modality: str, number: int, generator: torch.Generator) -> Tensor:
    """Concepts to ask of one plane: mostly visible ones, then absent ones of its modality, some of the other."""
    known = known_concepts(modality)
    seen = [c for c in known if counts[c] >= MIN_VISIBLE_PIXELS]
    hidden = [c for c in known if counts[c] == 0]
    foreign = [c.index for c in CONCEPTS if c.index not in known]
    chosen = []
    for _ in range(number):
        dice = torch.rand((), generator=generator)
        pool = seen if dice < 0.6 and seen else hidden if dice < 0.9 and hidden else foreign
        chosen.append(pool[int(torch.randint(len(pool), (), generator=generator))])
    return torch.tensor(chosen)


def region_losses(
    model: MedSightModel, patches: Tensor, labels: Tensor, counts: Tensor, stages: int
) -> dict[str, Tensor]:
    """Hungarian matching of the learned queries to the visible structures, matched on the second finest scale."""
    output = model.perceiver(patches, num_stages=stages)
    limit = model.config.perceiver_config.num_queries
    rows, queries, concepts = [], [], []
    classes = output.classes.float()
    for row in range(len(labels)):
        seen = (counts[row] >= MIN_VISIBLE_PIXELS).nonzero()[:, 0]
        seen = seen[counts[row][seen].argsort(descending=True)][:limit]
        if not len(seen):
            continue
        with torch.no_grad():
            coarse = output.scale_masks[stages - 1][row].float()
            targets = _shrink(concept_masks(labels[row : row + 1], seen[None]), coarse.shape[-1])[0]
            cost = _pair_cost(coarse, targets) - classes[row].softmax(-1)[:, seen].T
        target, query = linear_sum_assignment(cost.numpy())
        rows += [row] * len(target)
        queries += query.tolist()
        concepts += seen[target].tolist()
    truth = torch.full(classes.shape[:2], NO_OBJECT)
    truth[rows, queries] = torch.tensor(concepts, dtype=torch.long)
    weight = torch.where(truth.flatten() == NO_OBJECT, 0.1, 1.0)
    entropy = F.cross_entropy(classes.flatten(0, 1), truth.flatten(), reduction="none")
    losses = {"region_class": 0.3 * (entropy * weight).sum() / weight.sum()}
    if rows:
        picked = torch.tensor(concepts)[:, None]
        targets = concept_masks(labels[rows], picked)
        everything = torch.ones_like(picked, dtype=torch.bool)
        logits = output.masks[rows, queries][:, None]
        losses["region_mask"] = 0.5 * mask_loss(logits, targets, everything, ~everything)
    return losses


def _pair_cost(logits: Tensor, targets: Tensor) -> Tensor:
    """Dice and cross-entropy cost (G, N) between N mask logits (N, h, w) and G targets (G, h, w)."""
    logits, targets = logits.flatten(1), targets.flatten(1)
    probability = logits.sigmoid()
    overlap = targets @ probability.T
    dice = 1 - (2 * overlap + 1) / (targets.sum(1)[:, None] + probability.sum(1)[None] + 1)
    positive, negative = F.softplus(-logits), F.softplus(logits)
    entropy = (targets @ positive.T + (1 - targets) @ negative.T) / logits.shape[1]
    return dice + entropy


def mask_loss(logits: Tensor, targets: Tensor, present: Tensor, absent: Tensor) -> Tensor:
    """Dice plus cross entropy for present masks (B, n, h, w), cross entropy alone for absent ones."""
    logits = logits.float()
    targets = _shrink(targets, logits.shape[-1])
    # A structure fills a hundredth of the cells: inside and outside each count for half, or all masks stay empty.
    inside = (targets * F.softplus(-logits)).sum((-1, -2)) / targets.sum((-1, -2)).clamp(min=1)
    outside = ((1 - targets) * F.softplus(logits)).sum((-1, -2)) / (1 - targets).sum((-1, -2)).clamp(min=1)
    probability = logits.sigmoid()
    overlap = (probability * targets).sum((-1, -2))
    dice = 1 - (2 * overlap + 1) / (probability.sum((-1, -2)) + targets.sum((-1, -2)) + 1)
    seen = (dice + 0.3 * inside + outside) * present
    unseen = outside * absent
    return seen.sum() / present.sum().clamp(min=1) + unseen.sum() / absent.sum().clamp(min=1)


def _shrink(masks: Tensor, size: int) -> Tensor:
    """Masks (B, n, S, S) as the share of each of size x size cells that they fill; S is a multiple of size."""
    return F.avg_pool2d(masks, masks.shape[-1] // size)
