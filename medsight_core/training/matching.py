"""Which query stands for which target: the Hungarian assignment of an image's masks to its region queries."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

DICE_SMOOTH = 1.0


def pair_costs(mask_logits: Tensor, class_logits: Tensor, masks: Tensor, classes: Tensor) -> Tensor:
    """Cost (G, N) of every target with every query: dice + cross entropy - probability of the class (model-spec 2.4).

    mask_logits: (N, h, w), resized to the targets. class_logits: (N, C + 1). masks: (G, H, W), 0..1. classes: (G,).
    """
    with torch.autocast(masks.device.type, enabled=False):  # rounded products would match other pairs
        logits = resize(mask_logits.float(), masks.shape[-2:]).flatten(1)  # (N, H*W)
        targets = masks.flatten(1).to(logits.dtype)  # (G, H*W)
        probability = logits.sigmoid()
        overlap = targets @ probability.T
        dice = 1 - (2 * overlap + DICE_SMOOTH) / (targets.sum(1)[:, None] + probability.sum(1) + DICE_SMOOTH)
        # Cross entropy of every pair as two products: softplus(x) - t x, summed over the pixels.
        entropy = (F.softplus(logits).sum(1) - targets @ logits.T) / logits.shape[1]
        return dice + entropy - class_logits.float().softmax(dim=-1)[:, classes].T


@torch.no_grad()
def match(mask_logits: Tensor, class_logits: Tensor, masks: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Target and query indices, (min(G, N),) each, of the cheapest assignment, by increasing target.

    Shapes as `pair_costs`. Targets beyond the number of queries stay unmatched; no targets match nothing.
    """
    if not len(masks):
        nothing = torch.empty(0, dtype=torch.long, device=masks.device)
        return nothing, nothing
    targets, queries = linear_sum_assignment(pair_costs(mask_logits, class_logits, masks, classes).cpu().numpy())
    return torch.as_tensor(targets, device=masks.device), torch.as_tensor(queries, device=masks.device)


def resize(maps: Tensor, size: torch.Size | tuple[int, ...]) -> Tensor:
    """Maps (n, h, w) bilinearly at another size, as the official model resizes logits (no antialiasing)."""
    if maps.shape[-2:] == torch.Size(size):
        return maps
    return F.interpolate(maps[None], size=tuple(size), mode="bilinear", align_corners=False)[0]
