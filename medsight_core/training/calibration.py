"""Probabilities that mean what they say: how surely the class head finds a name, fitted on images it never saw.

A network that has learned its training set by heart is too sure on others. For each name a line maps the logit of the
head's best query to that of a probability (Platt 1999), weakly drawn towards the line of all names together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import logit

from medsight_core.data.biomedparse import LabelledImage
from medsight_core.data.names import canonical
from medsight_core.engine.detection import LEAST_SCORE, class_scores
from medsight_core.errors import InputError
from medsight_core.model.medsight import MedSightModel
from medsight_core.model.processor import MedSightProcessor
from medsight_core.training.datasets import visible_image

_PULL = 4.0  # weight of the common line, in observations
_FEWEST = 5  # images with and without a name before it gets a line of its own

Line = tuple[float, float]


@torch.inference_mode()
def presence_scores(
    model: MedSightModel,
    processor: MedSightProcessor,
    images: Sequence[LabelledImage],
    batch: int = 8,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, np.ndarray]:
    """By name, (n, 2): the head's raw score for each image that could show it, and 1 where it does.

    An image could show what other images of its dataset show; names that are unclear in it are left out.
    Raises InputError for a model whose classes have no names.
    """
    names = model.config.class_names
    if not any(names):
        raise InputError("The model's classes have no names: give config.json class_names first.")
    labelled: defaultdict[str, set[str]] = defaultdict(set)
    for image in images:
        labelled[image.dataset].update(canonical(mask.name) for mask in image.masks)
    pairs: defaultdict[str, list[tuple[float, bool]]] = defaultdict(list)
    model.eval()
    for start in range(0, len(images), batch):
        records = [images[index] for index in range(start, min(start + batch, len(images)))]
        pixels = torch.stack([processor.pixel_values(visible_image(record.path, processor)) for record in records])
        regions = model.encode(pixels.to(model.device)).regions
        for record, scores in zip(records, class_scores(model, regions).tolist()):
            shown = {canonical(mask.name) for mask in record.masks}
            for name, score in zip(names, scores):
                if name in labelled[record.dataset] and name not in record.unclear:
                    pairs[name].append((score, name in shown))
        if progress:
            progress(start + len(records), len(images))
    return {name: np.array(found, dtype=float) for name, found in sorted(pairs.items())}


def fit_lines(scores: dict[str, np.ndarray]) -> dict[str, Line]:
    """(slope, offset) by name of what `presence_scores` gives; names seldom there, or nearly always, share one."""
    common = _fit(np.concatenate(list(scores.values())), (1.0, 0.0), 0.0)
    lines = {}
    for name, pairs in scores.items():
        positive = pairs[:, 1].sum()
        enough = min(positive, len(pairs) - positive) >= _FEWEST
        lines[name] = _fit(pairs, common, _PULL) if enough else common
    return lines


def _fit(pairs: np.ndarray, towards: Line, pull: float) -> Line:
    """Least cross entropy, with a quadratic pull; slopes stay positive, so that more stays more."""
    x, truth = logit(np.clip(pairs[:, 0], LEAST_SCORE, 1 - LEAST_SCORE)), pairs[:, 1]

    def loss(line: np.ndarray) -> float:
        z = line[0] * x + line[1]
        return float((np.logaddexp(0, z) - truth * z).sum() + pull * ((line - towards) ** 2).sum())

    slope, offset = minimize(loss, towards, bounds=((0.05, 5.0), (-10.0, 10.0))).x
    return float(slope), float(offset)
