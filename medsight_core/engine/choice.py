"""Which case an annotator should see next, how much it stands out, and why, in words.

Takes impressions and returns a choice; it knows neither files nor servers nor who asks.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from medsight_core.engine.impression import Impression
from medsight_core.engine.selection import coverage, distance_to_mean, distance_to_nearest

STRATEGIES = {
    "hybrid": "Cases that stand for many doubtful ones unlike those already seen (the default).",
    "uncertainty": "Cases where the model is least sure of what is there and where it ends.",
    "diversity": "Cases that look least like those already labelled or handed out.",
    "random": "Cases by chance, as a yardstick for the others.",
}
DEFAULT_STRATEGY = "hybrid"
_FARTHEST = 2.0  # that vectors of length 1 can be apart


@dataclass(frozen=True)
class Choice:
    """A case: its id, its score (0..1, 0 for one taken by chance) and the reason, as one sentence."""

    id: str
    score: float
    reason: str


def choose(
    strategy: str,
    waiting: Mapping[str, Impression | None],
    seen: Sequence[Impression],
    chance: random.Random,
) -> Choice:
    """The next of the ``waiting`` cases (at least one), of which some may not have been looked at yet (None).

    strategy: one of `STRATEGIES`. seen: impressions of the cases that are labelled or that somebody works on.
    Equal scores go to the first of the waiting.
    """
    looked_at = {name: impression for name, impression in waiting.items() if impression is not None}
    if strategy == "random":
        return _by_chance(waiting, chance, f"Taken by chance from {_cases(len(waiting))} without a label.")
    if not looked_at:
        return _by_chance(waiting, chance, "Taken by chance: the model has not looked at the images yet, or cannot.")
    names, impressions = list(looked_at), list(looked_at.values())
    doubts = np.array([impression.uncertainty for impression in impressions])
    if strategy == "uncertainty":
        scores = doubts
        reason = partial(_doubt_in_words, impressions, doubts)
    elif strategy == "diversity":
        scores = _unlikeness(impressions, seen)
        reason = partial(_distance_in_words, scores, bool(seen))
    else:
        scores = _doubt_covered(impressions, doubts, seen)
        reason = partial(_covered_in_words, scores, doubts, bool(seen))
    best = int(scores.argmax())
    return Choice(names[best], round(float(scores[best]), 4), reason(best))


def _unlikeness(impressions: Sequence[Impression], seen: Sequence[Impression]) -> np.ndarray:
    """0..1: half the distance to the nearest case seen; before there is one, 1 less that to the middle of all.

    A first case that is typical teaches about many others, an odd one about itself.
    """
    vectors = _vectors(impressions)
    return distance_to_nearest(vectors, _vectors(seen)) / 2 if seen else 1 - distance_to_mean(vectors) / 2


def _doubt_covered(impressions: Sequence[Impression], doubts: np.ndarray, seen: Sequence[Impression]) -> np.ndarray:
    """0..1: how much nearer all waiting cases come to one that is seen, the doubtful ones counting more."""
    vectors = _vectors(impressions)
    nearest = distance_to_nearest(vectors, _vectors(seen)) if seen else np.full(len(vectors), _FARTHEST)
    return coverage(vectors, nearest, doubts if doubts.any() else np.ones(len(vectors)))


def _vectors(impressions: Sequence[Impression]) -> np.ndarray:
    return np.stack([impression.vector for impression in impressions])


def _doubt_in_words(impressions: Sequence[Impression], doubts: np.ndarray, best: int) -> str:
    impression = impressions[best]
    parts = [("its outlines are vague", impression.outlines)]
    if impression.presence is not None and impression.planes is not None:
        parts.append((f"it cannot tell whether the {impression.doubtful} is there", impression.presence))
        parts.append(("neighbouring planes contradict each other", impression.planes))
    because = max(parts, key=lambda part: part[1])[0]
    return f"The model is unsure here ({doubts[best]:.2f}, {_usual(doubts)}): above all, {because}."


def _distance_in_words(distances: np.ndarray, any_seen: bool, best: int) -> str:
    if not any_seen:
        return "Nothing is labelled yet, and it is the most typical of what waits."
    return f"It is unlike what has been labelled or handed out ({distances[best]:.2f}, {_usual(distances)})."


def _covered_in_words(covered: np.ndarray, doubts: np.ndarray, any_seen: bool, best: int) -> str:
    others = "that are unlike what has been labelled or handed out" if any_seen else "that wait"
    return (
        f"It stands for cases {others}, doubtful ones above all ({covered[best]:.2f}, {_usual(covered)}); "
        f"its own doubt is {doubts[best]:.2f} ({_usual(doubts)})."
    )


def _usual(values: np.ndarray) -> str:
    return f"{np.median(values):.2f} being usual"


def _by_chance(waiting: Mapping[str, Impression | None], chance: random.Random, reason: str) -> Choice:
    return Choice(chance.choice(list(waiting)), 0.0, reason)


def _cases(count: int) -> str:
    return "1 case" if count == 1 else f"{count} cases"
