"""Reference of the pairing of targets with queries: section 2.4 of the specification.

Every possible assignment is tried, so that the answer does not depend on any solver; sizes must stay small.
"""

from __future__ import annotations

from itertools import permutations
from typing import NamedTuple

import torch
from reference.losses import dice, entropy, resize
from torch import Tensor


class Assignment(NamedTuple):
    """(target, query) pairs in order of the targets, their summed cost, and by how much the runner-up costs more."""

    pairs: list[tuple[int, int]]
    cost: float
    margin: float


def pair_costs(logits: Tensor, classes: Tensor, masks: Tensor, labels: list[int]) -> Tensor:
    """Cost of every target with every query, (G, N): dice + entropy - the probability of the target's class.

    Mask logits (N, h, w) are resized to the size of the masks (G, H, W); class logits are (N, C + 1).
    """
    enlarged = resize(logits, *masks.shape[-2:])
    costs = torch.zeros(len(labels), len(logits), dtype=torch.float64)
    for target, label in enumerate(labels):
        for query in range(len(logits)):
            wanted = masks[target].to(enlarged)
            powers = torch.exp(classes[query] - classes[query].max())
            likely = powers[label] / powers.sum()
            costs[target, query] = dice(enlarged[query], wanted, 1.0) + entropy(enlarged[query], wanted) - likely
    return costs


def assign(costs: Tensor) -> Assignment:
    """The cheapest one-to-one assignment of min(G, N) pairs; surplus targets or queries stay alone."""
    number_of_targets, number_of_queries = costs.shape
    values = costs.tolist()
    found: list[tuple[float, list[tuple[int, int]]]] = []
    if number_of_targets <= number_of_queries:
        for queries in permutations(range(number_of_queries), number_of_targets):
            pairs = list(enumerate(queries))
            found.append((sum(values[target][query] for target, query in pairs), pairs))
    else:
        for targets in permutations(range(number_of_targets), number_of_queries):
            pairs = sorted(zip(targets, range(number_of_queries), strict=True))
            found.append((sum(values[target][query] for target, query in pairs), pairs))
    found.sort(key=lambda entry: entry[0])
    margin = found[1][0] - found[0][0] if len(found) > 1 else float("inf")
    return Assignment(found[0][1], found[0][0], margin)
