"""Both scorers on one case and its reply: numbers between 0 and 1 by metric.

Metrics that do not apply to a case are absent. Knows no files, no averages and no words about metrics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medsight_core.evaluation import mask_scores, text_scores
from medsight_core.evaluation.cases import Case
from medsight_core.evaluation.predictions import Prediction
from medsight_core.imaging.visible_box import VisibleBox

Scores = dict[str, float]


@dataclass(frozen=True)
class MaskRules:
    """When a point belongs to a mask, in our scorer.

    mask_threshold, presence_threshold: the model's own, as its users get them.
    tolerance: of the surface Dice, pixels of the picture.
    """

    mask_threshold: float
    presence_threshold: float
    tolerance: float


def official_text(case: Case, reply: str) -> Scores:
    """The authors' scores of a reply's text, region codes included (model-spec 8.1).

    "all" is a closed question's accuracy and an open one's recall. How the authors join the two is not in their code;
    this reading fits the numbers they print.
    """
    if case.kind == "choice":
        return {"official.choice": text_scores.official_choice(reply, case.answer, case.choices)}
    if case.kind == "closed":
        hit = text_scores.official_closed(reply, case.answer)
        return {"official.closed": hit, "official.all": hit}
    if case.kind == "open":
        found = text_scores.official_overlap(reply, case.answer)
        return {**{f"official.{name}": value for name, value in found.items()}, "official.all": found["recall"]}
    return {}


def our_text(case: Case, reply: str) -> Scores:
    """Our scores of a reply's text: whole words, each once, without region codes."""
    if case.kind == "choice":
        return {"ours.choice": text_scores.choice(reply, case.answer, case.choices)}
    if case.kind == "closed":
        hit = text_scores.closed(reply, case.answer)
        return {"ours.closed": hit, "ours.all": hit}
    if case.kind == "open":
        found = text_scores.overlap(reply, case.answer)
        return {**{f"ours.{name}": value for name, value in found.items()}, "ours.all": found["recall"]}
    return {}


def official_masks(prediction: Prediction, references: np.ndarray) -> Scores:
    """The authors' Dice: each map against the last target; a reply without codes has its dummy map (model-spec 8.2)."""
    logits = prediction.maps if prediction.maps is not None else prediction.dummy
    if logits is None:
        return {}
    return {"official.dice": mask_scores.official_dice(logits, references[-1])}


def our_masks(prediction: Prediction, references: np.ndarray, box: VisibleBox, rules: MaskRules) -> Scores:
    """Our scores: the union of what a user would see outlined against the union of all targets.

    Where no target has a pixel, only whether anything is outlined counts ("false_positive").
    """
    found, wanted = outlined(prediction, box, rules), union(references)
    if not wanted.any():
        return {"ours.false_positive": float(found.any())}
    return {
        "ours.dice": mask_scores.dice(found, wanted),
        "ours.nsd": mask_scores.surface_dice(found, wanted, rules.tolerance),
    }


def outlined(prediction: Prediction, box: VisibleBox, rules: MaskRules) -> np.ndarray:
    """The union of a reply's masks on the whole picture, bool (rows, columns); nothing for a reply without codes."""
    if prediction.maps is None:
        return np.zeros((box.rows, box.cols), bool)
    seen = prediction.maps[np.asarray(prediction.presence) >= rules.presence_threshold].astype(np.float32)
    probabilities = 1 / (1 + np.exp(-seen.clip(-80, 80)))
    return union(box.paint(probabilities, fill=0.0) > rules.mask_threshold)


def union(masks: np.ndarray) -> np.ndarray:
    """Where any of some masks is, bool (rows, columns)."""
    return np.asarray(np.logical_or.reduce(masks, axis=0))
