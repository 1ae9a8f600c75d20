"""Reference of the mask and class losses: sections 2.4, 4 and 9.5 of the specification.

One mask, one pair, one image at a time. Who is paired with whom comes in from outside (``reference.matching``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class ImageResult(NamedTuple):
    """One image: mask logits (N, h, w), class logits (N, C + 1), masks (G, H, W), classes, (target, query) pairs."""

    logits: Tensor
    classes: Tensor
    masks: Tensor
    labels: list[int]
    pairs: list[tuple[int, int]]


def probability(logits: Tensor) -> Tensor:
    """The logistic function, element by element."""
    return 1.0 / (1.0 + torch.exp(-logits))


def dice(logits: Tensor, target: Tensor, smooth: float) -> Tensor:
    """1 - (2 sum(pt) + smooth) / (sum(p) + sum(t) + smooth) of one mask (h, w)."""
    p = probability(logits)
    return 1.0 - (2.0 * (p * target).sum() + smooth) / (p.sum() + target.sum() + smooth)


def entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over the pixels of -t log p - (1 - t) log(1 - p), written with logits: log(1 + e^x) - t x."""
    return (torch.logaddexp(torch.zeros_like(logits), logits) - target * logits).mean()


def class_entropy(logits: Tensor, label: int) -> Tensor:
    """Cross entropy of one query's class logits (C + 1,)."""
    return torch.logsumexp(logits, dim=0) - logits[label]


def resize(maps: Tensor, height: int, width: int) -> Tensor:
    """Bilinear sampling of (n, h, w) at the centres of the new pixels, the border repeated (align_corners False)."""
    rows = _weights(maps.shape[1], height).to(maps)
    columns = _weights(maps.shape[2], width).to(maps)
    return torch.einsum("Hh,nhw,Ww->nHW", rows, maps, columns)


def _weights(size: int, new_size: int) -> Tensor:
    """How much each old sample counts in each new one, (new_size, size)."""
    weights = torch.zeros(new_size, size, dtype=torch.float64)
    for new in range(new_size):
        place = (new + 0.5) * size / new_size - 0.5
        place = min(max(place, 0.0), size - 1.0)
        before = math.floor(place)
        after = min(before + 1, size - 1)
        weights[new, before] += 1.0 - (place - before)
        weights[new, after] += place - before
    return weights


def region_losses(images: Sequence[ImageResult], no_object_weight: float = 0.0) -> dict[str, Tensor]:
    """Stage 1: dice and entropy averaged over every pair of the batch, and the class term.

    Official: the class term is each image's mean, weighted by its share of the pairs; an image without a pair adds
    nothing. With ``no_object_weight``: every query that has no pair is taught the last class at that weight, and the
    term is the weighted mean over all queries.
    """
    number = sum(len(image.pairs) for image in images)
    zero = torch.zeros((), dtype=torch.float64)
    dices, entropies, classes = zero, zero, zero
    for image in images:
        size = image.masks.shape[-2:]
        image_class = zero
        for target, query in image.pairs:
            enlarged = resize(image.logits[query][None], *size)[0]
            wanted = image.masks[target].to(enlarged)
            dices = dices + dice(enlarged, wanted, smooth=1.0) / number
            entropies = entropies + entropy(enlarged, wanted) / number
            image_class = image_class + class_entropy(image.classes[query], image.labels[target]) / len(image.pairs)
        if image.pairs:
            classes = classes + image_class * len(image.pairs) / number
    if no_object_weight > 0:
        classes = class_term_with_no_object(images, no_object_weight)
    return {"dice": dices, "entropy": entropies, "class": classes}


def class_term_with_no_object(images: Sequence[ImageResult], weight: float) -> Tensor:
    """Weighted mean over all queries: a paired one counts 1 with its target's class, any other ``weight``."""
    total, weights = torch.zeros((), dtype=torch.float64), 0.0
    for image in images:
        wanted = {query: image.labels[target] for target, query in image.pairs}
        nothing = image.classes.shape[-1] - 1
        for query in range(len(image.classes)):
            share = 1.0 if query in wanted else weight
            total = total + share * class_entropy(image.classes[query], wanted.get(query, nothing))
            weights += share
    return total / weights


def code_mask_losses(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Stages 4 and 5: sums over the codes (n, h, w) of dice and of entropy; a code whose target is empty adds zero."""
    dices = torch.zeros((), dtype=torch.float64)
    entropies = torch.zeros((), dtype=torch.float64)
    for logit, target in zip(logits, targets, strict=True):
        if target.sum() > 0:
            dices = dices + dice(logit, target, smooth=1e-6)
            entropies = entropies + entropy(logit, target)
    return dices, entropies


def token_entropies(logits: Tensor, labels: Sequence[int]) -> Tensor:
    """Cross entropy of every supervised token: the logits (T, V) of a position are judged by the label after it."""
    return torch.stack(
        [class_entropy(logits[at - 1], label) for at, label in enumerate(labels) if at and label != -100]
    )
