"""From code states to regions: which state stands for a name, whether the thing is there, and where.

A code state is decoded on every plane by the perceiver's second pass (model-spec section 6); planes where the thing is
not seen contribute nothing, and the rest is stacked in patient space. It knows nothing of words or of the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medsight_core.engine.detection import Detections
from medsight_core.engine.views import VolumeView, plane_batches
from medsight_core.model.medsight import MedSightModel
from medsight_core.model.perceiver import PerceiverOutput


@dataclass(frozen=True)
class Candidate:
    """A name with its code, the key plane whose reply mentioned it, and the code's hidden state (H,)."""

    name: str
    code: str
    plane: int
    state: Tensor


@dataclass(frozen=True)
class Finding:
    """A thing that was found. confidence: 0..1. mask: bool (I, J, K), never empty."""

    name: str
    code: str
    confidence: float
    mask: np.ndarray


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


def best_candidates(
    model: MedSightModel,
    key_patches: Tensor,
    candidates: Sequence[Sequence[Candidate]],
    detections: Detections | None = None,
) -> list[Candidate]:
    """The candidates of one reply for each name: of the plane where the thing is most surely present.

    One code is one mask (model-spec 6.1), so a name that a reply gives several codes keeps them all.
    key_patches: (B, h, w, D) of the key planes; candidates: those of each key plane's reply; detections: of them.
    """
    best: dict[str, tuple[float, list[Candidate]]] = {}
    for plane, spoken in enumerate(candidates):
        if not spoken:
            continue
        states = torch.stack([candidate.state for candidate in spoken])[None]
        output = model.decode(key_patches[plane : plane + 1], states)
        own = detections and detections.on(slice(plane, plane + 1))
        scores = presence_of(model, output, [candidate.name for candidate in spoken], own)[0].tolist()
        for name in dict.fromkeys(candidate.name for candidate in spoken):
            same = [(score, candidate) for score, candidate in zip(scores, spoken) if candidate.name == name]
            score = max(score for score, _ in same)
            if name not in best or score > best[name][0]:
                best[name] = (score, [candidate for _, candidate in same])
    return [candidate for _, same in best.values() for candidate in same]


def locate(
    model: MedSightModel,
    patches: Tensor,
    candidates: Sequence[Candidate],
    view: VolumeView,
    tell: Callable[[float], None],
    detections: Detections | None = None,
) -> list[Finding]:
    """Decode the candidates on all planes; names that are seen nowhere are left out.

    Several candidates of one name are one region, the union of their masks.
    patches: (P, h, w, D) of the view's planes. detections: of these planes, for models that decide by them.
    """
    if not candidates:
        return []
    config = model.config
    states = torch.stack([candidate.state for candidate in candidates])  # (n, H)
    names = [candidate.name for candidate in candidates]
    maps = np.zeros((len(candidates), len(patches), config.mask_size, config.mask_size), dtype=np.float32)
    seen = np.zeros((len(candidates), len(patches)), dtype=np.float32)
    for batch in plane_batches(len(patches), config.mask_size):
        output = model.decode(patches[batch], states.expand(batch.stop - batch.start, -1, -1))
        maps[:, batch] = output.masks.sigmoid().float().transpose(0, 1).cpu().numpy()
        own = detections and detections.on(batch)
        seen[:, batch] = presence_of(model, output, names, own).T.cpu().numpy()
        tell(batch.stop / len(patches))
    findings = []
    maps[seen < config.presence_threshold] = 0.0
    for name in dict.fromkeys(candidate.name for candidate in candidates):
        rows = [row for row, candidate in enumerate(candidates) if candidate.name == name]
        probability, score = maps[rows].max(axis=0), seen[rows].max(axis=0)
        inside = probability > config.mask_threshold
        if not inside.any():
            continue
        mask = view.outline(probability, config.vision_config.image_size, config.mask_threshold)
        if not mask.any():
            continue
        per_plane = inside.sum(axis=(1, 2))
        confidence = float(probability[inside].mean() * np.average(score, weights=per_plane))
        findings.append(Finding(name, candidates[rows[0]].code, confidence, mask))
    return findings
