"""What a glance at a volume tells: what it looks like, and how sure the model is of what it sees.

Made from vision features alone, without a word being generated, so a whole worklist can be looked at in the background.
It knows nothing of questions, annotators or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from medsight_core.engine.detection import Detections
from medsight_core.engine.regions import presence
from medsight_core.engine.selection import entropy, neighbour_jump, outline_entropy, unit
from medsight_core.model.medsight import MedSightModel


@dataclass(frozen=True, eq=False)
class Impression:
    """One volume at a glance.

    vector: (D,) float32 of length 1: similar images have similar ones.
    outlines: bits a pixel (0..1): how vague the outlines are.
    presence: bits a name (0..1): how unsure it is which structures are there; None for models that do not detect.
    planes: 0..1, how much neighbouring planes disagree about that; None likewise.
    doubtful: the structure whose presence is least sure; "" likewise.
    """

    vector: np.ndarray = field(repr=False)
    outlines: float
    presence: float | None = None
    planes: float | None = None
    doubtful: str = ""

    @property
    def uncertainty(self) -> float:
        """The mean of the doubts that there are, 0..1."""
        return float(np.mean([doubt for doubt in (self.outlines, self.presence, self.planes) if doubt is not None]))


def impression_of(
    model: MedSightModel,
    key_patches: Tensor,
    class_tokens: Tensor,
    detections: Detections | None,
    names: Sequence[str],
) -> Impression:
    """The impression of a volume's planes.

    key_patches: (B, h, w, D) of a few telling planes. class_tokens: (P, D) of all planes. detections: of all planes.
    names: structures that may be there; the doubts about others do not count.
    """
    outlines = _vagueness(model, key_patches)
    vector = unit(class_tokens.float().mean(0).cpu().numpy())
    columns = [n for n, name in enumerate(detections.names) if name in names] if detections else []
    if detections is None or not columns:
        return Impression(vector, outlines)
    doubt = entropy(detections.together.float().cpu().numpy()[columns])
    scores = detections.scores.float().cpu().numpy()[:, columns]
    doubtful = detections.names[columns[int(doubt.argmax())]]
    return Impression(vector, outlines, float(doubt.mean()), neighbour_jump(scores), doubtful)


def _vagueness(model: MedSightModel, key_patches: Tensor) -> float:
    """Entropy of the outlines that the learned queries draw, each counting as surely as it is there."""
    masks, weights = [], []
    for patches in key_patches.split(1):  # one plane at a time: the finest maps of a large model are large
        output = model.perceiver(patches)
        masks.append(output.masks[0].sigmoid().float().cpu().numpy())
        weights.append(presence(output, model.config.presence != "mask")[0].float().cpu().numpy())
    return outline_entropy(np.concatenate(masks), np.concatenate(weights))
