"""The rule by which a trained model may be served: better on what it was trained for, not worse on what it knew.

Plain numbers in, a verdict with its reason out. It knows neither files nor models.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

MOST_LOST = 0.02  # Dice on the reference set
# By how much Dice with a case's own outline exceeds that with other cases'. Measured on MR crops of the hippocampus,
# where all images look much alike: 0.09 to 0.10 with outlines that belong, 0.00 to 0.01 with outlines that changed
# places, 20 held-out cases each (docs/learning-curve.md).
LEAST_SEEN = 0.05
_ROUNDING = 1e-9
_DICE = ("before", "after", "blind", "own")


@dataclass(frozen=True)
class Score:
    """Mean Dice over ``n`` requests, each for one structure on one image, before and after a training.

    data: a hash of the cases, "" for unsaid. blind, own: Dice of what is outlined after with other cases' outlines, and
    on the same requests with the case's own; nan where it was not measured. A model that looks at the image fits the
    own ones clearly better.
    """

    before: float
    after: float
    n: int
    data: str = ""
    blind: float = math.nan
    own: float = math.nan


@dataclass(frozen=True)
class Evaluation:
    """held_out: on corrected cases that the training did not see. reference: on a frozen set of earlier cases."""

    held_out: Score
    reference: Score

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; nan, which JSON does not know, is None."""
        scores: dict[str, Any] = asdict(self)
        for score in scores.values():
            for key in _DICE:
                score[key] = None if math.isnan(score[key]) else score[key]
        return scores

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Evaluation:
        """Raises LookupError or TypeError when it is none."""
        return cls(_score(data["held_out"]), _score(data["reference"]))


def _score(data: Mapping[str, Any]) -> Score:
    dice = {key: math.nan if data.get(key) is None else float(data[key]) for key in _DICE}
    return Score(n=int(data["n"]), data=str(data["data"]), **dice)


@dataclass(frozen=True)
class Verdict:
    """Whether a version may be served, and why, as sentences."""

    allowed: bool
    reason: str


def judge(evaluation: Evaluation, reference_start: float | None = None) -> Verdict:
    """The verdict on a version: the held-out Dice rises, and the reference set's falls by `MOST_LOST` at most.

    Random masks teach a model to outline the same place whatever it sees. Where held-out masks are random too, that is
    a rise; so what is outlined must also fit the own image better than others.

    reference_start: Dice of the first ancestor on the same reference set. What many small trainings lose together must
    not exceed what one may lose.
    """
    new, known = evaluation.held_out, evaluation.reference
    start = known.before if reference_start is None else max(known.before, reference_start)
    if not all(map(math.isfinite, (new.before, new.after, start, known.after))) or not (new.n and known.n):
        return Verdict(False, "Its Dice could not be measured: give cases to hold out and a reference set.")
    rise = f"Dice on corrected images that only measure (n = {new.n}) went from {new.before:.3f} to {new.after:.3f}"
    fall = f"Dice on the reference set (n = {known.n}) went from {start:.3f} to {known.after:.3f}"
    if new.after <= new.before:
        return Verdict(False, f"{rise}, which is no rise: correct more cases and train again.")
    own = new.own if math.isfinite(new.own) else new.after
    if math.isfinite(new.blind) and own - new.blind < LEAST_SEEN:
        return Verdict(
            False,
            f"What it outlines fits other cases' outlines (Dice {new.blind:.3f}) about as well as their own "
            f"({own:.3f}): look whether the corrections belong to their images.",
        )
    if start - known.after > MOST_LOST + _ROUNDING:
        return Verdict(
            False,
            f"{fall} and may fall by {MOST_LOST:g} at most: train with more of the earlier data, or in fewer steps.",
        )
    return Verdict(True, f"{rise}. {fall}.")
