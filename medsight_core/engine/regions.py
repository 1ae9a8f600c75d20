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

from medsight_core.engine.views import VolumeView, batches
from medsight_core.model.medsight import MedSightModel
from medsight_core.model.perceiver import PerceiverOutput

BATCH = 8


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


def best_candidates(
    model: MedSightModel, key_patches: Tensor, candidates: Sequence[Sequence[Candidate]]
) -> list[Candidate]:
    """One candidate a name: the one whose thing is most surely present on the plane where it was said.

    key_patches: (B, h, w, D) of the key planes; candidates: those of each key plane's reply.
    """
    best: dict[str, tuple[float, Candidate]] = {}
    for plane, spoken in enumerate(candidates):
        if not spoken:
            continue
        states = torch.stack([candidate.state for candidate in spoken])[None]
        output = model.decode(key_patches[plane : plane + 1], states)
        for candidate, score in zip(spoken, presence(output, model.config.presence == "class")[0].tolist()):
            if candidate.name not in best or score > best[candidate.name][0]:
                best[candidate.name] = (score, candidate)
    return [candidate for _, candidate in best.values()]


def locate(
    model: MedSightModel,
    patches: Tensor,
    candidates: Sequence[Candidate],
    view: VolumeView,
    tell: Callable[[float], None],
) -> list[Finding]:
    """Decode the candidates on all planes; those that are seen nowhere are left out.

    patches: (P, h, w, D) of the view's planes.
    """
    if not candidates:
        return []
    config = model.config
    states = torch.stack([candidate.state for candidate in candidates])  # (n, H)
    maps = np.zeros((len(candidates), len(patches), config.mask_size, config.mask_size), dtype=np.float32)
    seen = np.zeros((len(candidates), len(patches)), dtype=np.float32)
    for batch in batches(len(patches), BATCH):
        output = model.decode(patches[batch], states.expand(batch.stop - batch.start, -1, -1))
        maps[:, batch] = output.masks.sigmoid().float().transpose(0, 1).cpu().numpy()
        seen[:, batch] = presence(output, config.presence == "class").float().T.cpu().numpy()
        tell(batch.stop / len(patches))
    findings = []
    for candidate, probability, score in zip(candidates, maps, seen):
        probability[score < config.presence_threshold] = 0.0
        inside = probability > 0.5
        if not inside.any():
            continue
        mask = view.to_voxels(probability, config.vision_config.image_size) > 0.5
        if not mask.any():
            continue
        per_plane = inside.sum(axis=(1, 2))
        confidence = float(probability[inside].mean() * np.average(score, weights=per_plane))
        findings.append(Finding(candidate.name, candidate.code, confidence, mask))
    return findings
