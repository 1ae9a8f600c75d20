"""From trials to figures with their intervals. Knows numbers only: no model, no images."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchmarks.demo.trials import Trial
from medsight_core.intervals import bootstrap_interval, wilson_interval

_BINS = 10


@dataclass(frozen=True)
class Figure:
    """A figure with its 95 % interval. n: trials behind it. goal: what it should be, as text; met: whether it is.

    Numbers are NaN where nothing was asked, or too little for an interval.
    """

    title: str
    value: float
    low: float
    high: float
    n: int
    goal: str = ""
    met: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, null for NaN."""
        return {name: None if value != value else value for name, value in asdict(self).items()}


def macro_dice(title: str, trials: Iterable[Trial], goal: float | None = None, fewest: int = 3) -> Figure:
    """Mean over names of each name's mean Dice, of things that are there; refused ones count 0.

    fewest: trials of a name that is counted. The interval resamples trials within names, or names that were asked once.
    """
    groups = defaultdict(list)
    for trial in trials:
        if trial.dice is not None:
            groups[trial.name].append(trial.dice)
    kept = [values for values in groups.values() if len(values) >= fewest]
    if not kept:
        return Figure(title, math.nan, math.nan, math.nan, 0, _at_least(goal), None)
    value = float(np.mean([np.mean(values) for values in kept]))
    resampled = kept if fewest > 1 else [[float(np.mean(values)) for values in kept]]
    low, high = bootstrap_interval(resampled, seed=0) or (math.nan, math.nan)
    met = None if goal is None else value >= goal
    return Figure(f"{title} ({len(kept)} names)", value, low, high, sum(map(len, kept)), _at_least(goal), met)


def rate(title: str, hits: Sequence[bool], least: float | None = None, most: float | None = None) -> Figure:
    """A share with its Wilson interval."""
    count, goal = len(hits), _at_least(least) if least is not None else "" if most is None else f"at most {most:g}"
    if not count:
        return Figure(title, math.nan, math.nan, math.nan, 0, goal)
    share, (low, high) = sum(hits) / count, wilson_interval(sum(hits), count)
    met = share >= least if least is not None else None if most is None else share <= most
    return Figure(title, share, low, high, count, goal, met)


def balanced(title: str, trials: Iterable[Trial], least: float | None = None) -> Figure:
    """Share of right answers to yes-or-no questions that are asked as often of present as of absent things."""
    return rate(title, [trial.said == ("yes" if trial.present else "no") for trial in trials], least=least)


def at_chance(title: str, trials: Iterable[Trial]) -> Figure:
    """The same of questions that nobody can answer: half of them right, as the interval must allow."""
    figure = balanced(title, trials)
    met = figure.low <= 0.5 <= figure.high if figure.n else None
    return replace(figure, goal="0.5 in the interval", met=met)


def calibration_error(title: str, trials: Iterable[Trial], most: float | None = None) -> Figure:
    """Expected calibration error of the detector's probabilities, ten equal bins; interval by bootstrap."""
    pairs = np.array([(trial.presence, trial.present) for trial in trials if trial.presence is not None], float)
    return _of_pairs(title, pairs, _expected_error, goal=most, higher=False)


def rank_correlation(title: str, trials: Iterable[Trial], least: float | None = None) -> Figure:
    """Spearman's correlation of confidence and Dice, of what was outlined and is there."""
    pairs = np.array([(trial.confidence, trial.dice) for trial in trials if trial.dice is not None and trial.accepted])
    return _of_pairs(title, pairs, lambda p: float(spearmanr(p[:, 0], p[:, 1]).statistic), goal=least, higher=True)


def median_seconds(title: str, seconds: Sequence[float], most: float) -> Figure:
    """Median with the 5 % and 95 % quantiles of what was measured."""
    low, middle, high = (float(np.quantile(seconds, q)) for q in (0.05, 0.5, 0.95)) if seconds else (math.nan,) * 3
    met = middle <= most if seconds else None
    return Figure(title, middle, low, high, len(seconds), f"at most {most:g}", met)


def _of_pairs(
    title: str, pairs: np.ndarray, measure: Callable[[np.ndarray], float], goal: float | None, higher: bool
) -> Figure:
    text = "" if goal is None else _at_least(goal) if higher else f"at most {goal:g}"
    if len(pairs) < 10:
        return Figure(title, math.nan, math.nan, math.nan, len(pairs), text)
    rng = np.random.default_rng(0)
    draws = [measure(pairs[rng.integers(len(pairs), size=len(pairs))]) for _ in range(300)]
    low, high = (float(value) for value in np.nanquantile(draws, (0.025, 0.975)))
    value = measure(pairs)
    met = None if goal is None else value >= goal if higher else value <= goal
    return Figure(title, value, low, high, len(pairs), text, met)


def _expected_error(pairs: np.ndarray) -> float:
    bins = np.minimum((pairs[:, 0] * _BINS).astype(int), _BINS - 1)
    gaps = [abs(pairs[bins == b].mean(0) @ (1, -1)) * (bins == b).mean() for b in np.unique(bins)]
    return float(sum(gaps))


def _at_least(goal: float | None) -> str:
    return "" if goal is None else f"at least {goal:g}"
