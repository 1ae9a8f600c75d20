"""From code states to regions: which state stands for a name, and whether the thing is there on a plane.

A code state is decoded by the perceiver's second pass (model-spec section 6), only where that is needed to know.
How regions spread over the planes of a volume is `volumetric`'s. It knows nothing of words or of the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medsight_core.engine.detection import Detections
from medsight_core.engine.features import ViewFeatures
from medsight_core.model.medsight import MedSightModel
from medsight_core.model.perceiver import PerceiverOutput
from medsight_core.soft_masks import SoftMask


@dataclass(frozen=True)
class Candidate:
    """A name with its code, the plane (of the view) whose reply mentioned it, and the code's hidden state (H,)."""

    name: str
    code: str
    plane: int
    state: Tensor


@dataclass(frozen=True)
class Finding:
    """A thing that was found.

    confidence, presence: 0..1, as of `Region`. mask: bool (I, J, K), never empty. soft: where that was asked for.
    """

    name: str
    code: str
    confidence: float
    presence: float
    mask: np.ndarray
    soft: SoftMask | None = None


def presence(output: PerceiverOutput, by_class: bool) -> Tensor:
    """How surely each decoded query is there, (B, n) in 0..1.

    by_class: one minus the class head's probability of "no object"; otherwise the best pixel of the mask, for official
    checkpoints whose class head was never taught to reject.
    """
    if by_class:
        return 1 - output.classes.softmax(dim=-1)[..., -1]
    return output.masks.flatten(2).amax(dim=-1).sigmoid()


def presence_of(
    model: MedSightModel, output: PerceiverOutput, names: Sequence[str], detections: Detections | None
) -> Tensor:
    """How surely each of n named queries is there on B planes, (B, n) in 0..1, as ``config.presence`` says.

    detections: of these planes; names that no class has are judged by the decoded query's own class.
    """
    scores = presence(output, model.config.presence != "mask").float()
    for place, name in enumerate(names):
        found = detections.of_name(name) if detections is not None else None
        if found is not None:
            scores[:, place] = found
    return scores


def detected(names: Sequence[str], detections: Detections | None) -> Tensor | None:
    """How surely n names are there on P planes, (P, n), where the class head knows each of them; None otherwise."""
    scores = [None if detections is None else detections.of_name(name) for name in names]
    known = [score for score in scores if score is not None]
    return torch.stack(known, dim=1) if len(known) == len(scores) else None


def best_candidates(
    model: MedSightModel,
    features: ViewFeatures,
    candidates: Sequence[Candidate],
    detections: Detections | None = None,
    tell: Callable[[], None] = lambda: None,
) -> list[Candidate]:
    """The candidates of one reply for each name: of the plane where the thing is most surely present.

    One code is one mask (model-spec 6.1), so a name that a reply gives several codes keeps them all.
    features, detections: of all planes. tell: called before each plane on which masks have to be decoded to know.
    """
    spoken: dict[str, dict[int, list[Candidate]]] = {}
    for candidate in candidates:
        spoken.setdefault(candidate.name, {}).setdefault(candidate.plane, []).append(candidate)
    unsure = [name for name, planes in spoken.items() if len(planes) > 1]
    scores = _presence_on_planes(model, features, [c for c in candidates if c.name in unsure], detections, tell)
    best = []
    for name, planes in spoken.items():
        plane = max(planes, key=lambda plane: scores[name, plane]) if len(planes) > 1 else next(iter(planes))
        best += planes[plane]
    return best


def _presence_on_planes(
    model: MedSightModel,
    features: ViewFeatures,
    candidates: Sequence[Candidate],
    detections: Detections | None,
    tell: Callable[[], None],
) -> dict[tuple[str, int], float]:
    """How surely each name is there on each plane that speaks of it."""
    scores: dict[tuple[str, int], float] = {}
    for plane in dict.fromkeys(candidate.plane for candidate in candidates):
        own = [candidate for candidate in candidates if candidate.plane == plane]
        names = [candidate.name for candidate in own]
        here = detections and detections.on(slice(plane, plane + 1))
        found = detected(names, here)
        if found is None:
            tell()
            output = model.decode(features.patches([plane]), torch.stack([candidate.state for candidate in own])[None])
            found = presence_of(model, output, names, here)
        for name, score in zip(names, found[0].tolist()):
            scores[name, plane] = max(score, scores.get((name, plane), 0.0))
    return scores
