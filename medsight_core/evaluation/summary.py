"""Scores of many cases as means with intervals: by modality, over modalities, and over all cases.

Knows numbers and the names of columns; writes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from medsight_core.evaluation.cases import Case, modality_order
from medsight_core.evaluation.scoring import Scores
from medsight_core.intervals import bootstrap_interval

METRICS = {  # in the order of the tables: the same thing by both scorers one after the other
    "official.closed": "closed questions, accuracy",
    "ours.closed": "closed questions, accuracy",
    "official.recall": "open questions, recall",
    "ours.recall": "open questions, recall",
    "official.all": "all questions",
    "ours.all": "all questions",
    "official.choice": "multiple choice, accuracy",
    "ours.choice": "multiple choice, accuracy",
    "official.dice": "Dice, mean over masks",
    "ours.dice": "Dice of the union",
    "ours.nsd": "surface Dice of the union",
    "ours.false_positive": "outlined where nothing is",
    "official.precision": "open questions, precision",
    "ours.precision": "open questions, precision",
    "official.f1": "open questions, F1",
    "ours.f1": "open questions, F1",
    "official.exact": "open questions, exact match",
}


@dataclass(frozen=True)
class Scored:
    """A case with its reply and scores."""

    case: Case
    reply: str
    scores: Scores


@dataclass(frozen=True)
class Cell:
    """A mean, its 95 % interval (None for a single value), and how many values it is of. All between 0 and 1."""

    mean: float
    interval: tuple[float, float] | None
    n: int


@dataclass(frozen=True)
class Row:
    """One metric. macro: mean of the groups' means, ``n`` counts groups. all: mean of all cases."""

    metric: str
    groups: dict[str, Cell]
    macro: Cell
    all: Cell


def summarise(scored: Sequence[Scored], seed: int) -> list[Row]:
    """One row for each metric that applies to any case."""
    return [
        _row(metric, [(each.case.modality, each.scores[metric]) for each in scored if metric in each.scores], seed)
        for metric in METRICS
        if any(metric in each.scores for each in scored)
    ]


def _row(metric: str, values: Iterable[tuple[str, float]], seed: int) -> Row:
    by_group: dict[str, list[float]] = defaultdict(list)
    for group, value in values:
        by_group[group].append(value)
    groups = {name: by_group[name] for name in sorted(by_group, key=modality_order)}
    means = [float(np.mean(own)) for own in groups.values()]
    every = [value for own in groups.values() for value in own]
    return Row(
        metric,
        {name: _cell(own, seed) for name, own in groups.items()},
        Cell(float(np.mean(means)), bootstrap_interval(list(groups.values()), seed), len(groups)),
        _cell(every, seed),
    )


def _cell(values: list[float], seed: int) -> Cell:
    return Cell(float(np.mean(values)), bootstrap_interval([values], seed), len(values))
