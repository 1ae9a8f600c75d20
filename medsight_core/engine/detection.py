"""What the perceiver's class head finds on planes without being asked: names and how surely each is there.

The learned queries each claim a class; a class is there as surely as the query that claims it most. Trained with
"no object" on unmatched queries and calibrated on held-out images, this tells present from absent far better than a
small language model does. It knows neither words of questions nor masks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from medsight_core.model.medsight import MedSightModel

LEAST_SCORE = 1e-6  # of a probability whose logit is taken


class Detections:
    """Presence of named classes on P planes.

    names: of the classes that have one, in the head's order. scores: (P, n) calibrated probabilities.
    """

    def __init__(self, names: tuple[str, ...], scores: Tensor, threshold: float) -> None:
        self.names, self.scores, self.threshold = names, scores, threshold
        self._place = {name: index for index, name in enumerate(names)}

    @classmethod
    def of(cls, model: MedSightModel, regions: Tensor, threshold: float | None = None) -> Detections:
        """From region vectors (P, N, D) of the learned queries. threshold: the model's own by default."""
        config = model.config
        places = [place for place, name in enumerate(config.class_names) if name]
        names = tuple(config.class_names[place] for place in places)
        scores = class_scores(model, regions)[:, places]
        lines = torch.tensor([config.calibration.get(name, (1.0, 0.0)) for name in names]).reshape(-1, 2)
        threshold = config.presence_threshold if threshold is None else threshold
        return cls(names, calibrated(scores, lines.to(scores)), threshold)

    def on(self, planes: slice | Tensor) -> Detections:
        """Those of some of the planes."""
        return Detections(self.names, self.scores[planes], self.threshold)

    def of_name(self, name: str) -> Tensor | None:
        """How surely a name is there on each plane, (P,); None when no class has the name."""
        place = self._place.get(name)
        return None if place is None else self.scores[:, place]

    @property
    def together(self) -> Tensor:
        """How surely each name is there anywhere, (n,)."""
        return agreed(self.scores)

    @property
    def seen(self) -> tuple[str, ...]:
        """The names that are there, in the head's order."""
        there = (self.together >= self.threshold).tolist()
        return tuple(name for name, found in zip(self.names, there) if found)


def agreed(scores: Tensor) -> Tensor:
    """How surely things are there anywhere, (n,), by their scores on planes (P, n): on two neighbours, if P > 2.

    Many planes give chance many chances, but it seldom errs alike on neighbours.
    """
    return scores.amax(0) if len(scores) < 3 else torch.minimum(scores[:-1], scores[1:]).amax(0)


def class_scores(model: MedSightModel, regions: Tensor) -> Tensor:
    """Uncalibrated probability (P, C) that a class is there: the best query's, of region vectors (P, N, D)."""
    return model.perceiver.head.classes(regions).float().softmax(dim=-1)[..., :-1].amax(dim=1)


def calibrated(scores: Tensor, lines: Tensor) -> Tensor:
    """Probabilities (..., n) of raw scores (..., n) by lines (n, 2): slope and offset of their logits."""
    return torch.sigmoid(lines[:, 0] * torch.logit(scores, LEAST_SCORE) + lines[:, 1])
