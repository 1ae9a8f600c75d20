"""What each stage minimises: masks and classes of matched queries, masks of region codes, the codebook's terms.

Sums are divided by what was counted over the whole step before it began (`task.Task.count`). So the loss of a step is
the same whether its samples came as one batch, were accumulated from several, or were spread over processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from medsight_core.training.matching import DICE_SMOOTH, match, resize

_CODE_SMOOTH = 1e-6


@dataclass(frozen=True)
class RegionTargets:
    """What one image shows: masks (G, H, W) in 0..1 and their classes (G,)."""

    masks: Tensor
    classes: Tensor

    def pairs(self, num_queries: int) -> int:
        """How many of the targets will be matched."""
        return min(len(self.masks), num_queries)


def dice_loss(logits: Tensor, targets: Tensor, smooth: float = DICE_SMOOTH) -> Tensor:
    """One minus soft Dice of each mask, (n,), from logits and targets (n, h, w) (model-spec 2.4)."""
    probability, targets = logits.float().sigmoid().flatten(1), targets.float().flatten(1)
    overlap = (probability * targets).sum(1)
    return 1 - (2 * overlap + smooth) / (probability.sum(1) + targets.sum(1) + smooth)


def mask_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross entropy of each mask, mean over its pixels, (n,), from logits and targets (n, h, w)."""
    return F.binary_cross_entropy_with_logits(logits.float(), targets.float(), reduction="none").flatten(1).mean(1)


def region_losses(
    masks: Tensor,
    classes: Tensor,
    targets: Sequence[RegionTargets],
    no_object_weight: float = 0.0,
    pairs_total: float | None = None,
    images_total: float | None = None,
    matches: Sequence[tuple[Tensor, Tensor]] | None = None,
) -> dict[str, Tensor]:
    """Dice, cross entropy and class loss of the matched queries, means over all pairs of a step (model-spec 2.4).

    masks: logits (B, N, h, w), resized to each image's targets. classes: logits (B, N, C + 1). targets: of B images.
    no_object_weight: 0 leaves unmatched queries untaught, as the authors do; above, they learn the last class with
        that weight beside 1 for the matched, so that a region can be rejected by its class.
    pairs_total, images_total: counted over the whole step; this batch's own when left out.
    matches: (target, query) indices of each image when they are decided elsewhere.
    """
    num_queries, no_object = classes.shape[1], classes.shape[-1] - 1
    pairs_total = sum(target.pairs(num_queries) for target in targets) if pairs_total is None else pairs_total
    images_total = len(targets) if images_total is None else images_total
    dice, entropy, right_class = classes.new_zeros(3, dtype=torch.float32).unbind()
    for row, target in enumerate(targets):
        wanted, query = (
            match(masks[row], classes[row], target.masks, target.classes) if matches is None else matches[row]
        )
        truth = torch.full((num_queries,), no_object, device=classes.device)
        truth[query] = target.classes[wanted]
        weight = torch.full((num_queries,), float(no_object_weight), device=classes.device)
        weight[query] = 1.0
        right_class = right_class + (F.cross_entropy(classes[row].float(), truth, reduction="none") * weight).sum()
        if len(query):
            logits, goal = resize(masks[row, query].float(), target.masks.shape[-2:]), target.masks[wanted]
            dice = dice + dice_loss(logits, goal).sum()
            entropy = entropy + mask_entropy(logits, goal).sum()
    pairs = max(pairs_total, 1)
    unmatched = images_total * num_queries - pairs_total
    weights = pairs_total + no_object_weight * unmatched
    return {"dice": dice / pairs, "entropy": entropy / pairs, "class": right_class / (weights or 1.0)}


def code_mask_losses(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Sums over codes of dice and cross entropy of logits and targets (n, h, w); empty targets count zero (spec 4).

    weights: (n,) of the codes in the sums; 1 when None.
    """
    present = (targets.flatten(1).sum(1) > 0).float()
    if weights is not None:
        present = present * weights
    return (dice_loss(logits, targets, _CODE_SMOOTH) * present).sum(), (mask_entropy(logits, targets) * present).sum()
