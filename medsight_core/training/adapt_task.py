"""What is minimised while a model adapts to corrected masks: the new outlines, and that it stays as it was elsewhere.

On corrected planes only what somebody looked at is taught: a structure that nobody outlined there may well be there.
On remembered planes the model's own former detections and masks are the targets (learning without forgetting, Li and
Hoiem 2016), so that earlier data need neither be kept nor labelled. Vision, perceiver and language learn together.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from medsight_core.data.encoding import IGNORED
from medsight_core.model.adapter import LANGUAGE
from medsight_core.model.medsight import ImageFeatures, MedSightModel
from medsight_core.model.perceiver import PerceiverOutput
from medsight_core.training.conversation_task import ConversationTask
from medsight_core.training.losses import RegionTargets, dice_loss, mask_entropy
from medsight_core.training.matching import match
from medsight_core.training.task import Batch

NO_OBJECT_WEIGHT = 0.1  # of queries that claim nothing, as in stage 1
_CLAIMED = 0.3  # least probability with which a query claimed something whose mask it must keep


@dataclass(frozen=True)
class Taught:
    """What is known of one image: of a corrected plane ``targets`` and ``known``, of a remembered one the others.

    targets: masks (G, m, m) with the classes that they have. known: classes (K,) that somebody looked for.
    classes, masks: log-probabilities (N, C + 1) and mask logits (N, m, m) that the learned queries gave.
    """

    targets: RegionTargets
    known: Tensor
    classes: Tensor | None = None
    masks: Tensor | None = None


class AdaptTask(ConversationTask):
    """The words and masks of answers, and what the learned queries claim, through vision, perceiver and language.

    trainable: prefixes of the parameters that learn. code_rows: let the codes' own rows learn too.
    replay_weight: of remembered planes, beside 1 for corrected ones.
    """

    def __init__(
        self, model: MedSightModel, trainable: tuple[str, ...], code_rows: bool = False, replay_weight: float = 1.0
    ) -> None:
        super().__init__(model, trainable, with_masks=True, code_rows=code_rows, code_outputs=code_rows)
        self.replay_weight = replay_weight
        self.speaks = code_rows or any(name.startswith(LANGUAGE) for name in trainable)

    def count(self, batch: Batch) -> list[float]:
        """Images."""
        return [len(batch["taught"])]

    def losses(self, batch: Batch, totals: Tensor) -> dict[str, Tensor]:
        """Every term is a mean over one image; these are added up and divided by how many images the step has."""
        patches, class_token = self.model.see(batch["pixel_values"])
        output = self.model.perceiver(patches)
        weights = patches.new_tensor(
            [1.0 if each.masks is None else self.replay_weight for each in batch["taught"]], dtype=torch.float32
        )
        parts = self._claims(output, batch["taught"], weights)
        # Words must not pull at what the picture shows.
        features = ImageFeatures(patches.detach(), class_token.detach(), output.queries.detach())
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.speaks):
            hidden = self._hear(batch, features)
        parts |= self._answers(hidden, patches, batch, weights)
        parts = {name: value / totals[0] for name, value in parts.items()}
        return {"loss": torch.stack(list(parts.values())).sum(), **parts}

    def _claims(self, output: PerceiverOutput, taught: list[Taught], weights: Tensor) -> dict[str, Tensor]:
        """What the learned queries claim, and where."""
        sums = {name: output.masks.new_zeros((), dtype=torch.float32) for name in ("class", "claim")}
        for row, each in enumerate(taught):
            masks, classes = output.masks[row].float(), output.classes[row].float()
            if each.masks is None or each.classes is None:
                kind, mask = _corrected(masks, classes, each)
            else:
                kind, mask = _remembered(masks, classes, each.classes.float(), each.masks.float())
            sums["class"] = sums["class"] + weights[row] * kind
            sums["claim"] = sums["claim"] + weights[row] * mask
        return sums

    def _answers(self, hidden: Tensor, patches: Tensor, batch: Batch, weights: Tensor) -> dict[str, Tensor]:
        """The words of the answers, and the masks of their codes; hidden states (B, T, H)."""
        parts = {}
        if self.speaks:
            logits, truth = self._predict(hidden, batch["labels"])
            words = batch["labels"][:, 1:] != IGNORED
            parts["text"] = (F.cross_entropy(logits.float(), truth, reduction="none") * _share(words, weights)).sum()
        if len(batch["masks"]):
            found, goal = self._decode(hidden, patches, batch), batch["masks"]
            weight = _share(self._codes(batch), weights) * (goal.flatten(1).amax(1) > 0.5)
            parts["outline"] = ((dice_loss(found, goal) + mask_entropy(found, goal)) * weight).sum()
        return parts


def _share(where: Tensor, weights: Tensor) -> Tensor:
    """The weight (n,) of each True place of ``where`` (B, T): its row's, shared among the row's places."""
    return (weights / where.sum(1).clamp(min=1))[:, None].expand_as(where)[where]


def _corrected(masks: Tensor, classes: Tensor, taught: Taught) -> tuple[Tensor, Tensor]:
    """Class and mask loss of a corrected plane, from mask logits (N, m, m) and class logits (N, C + 1)."""
    wanted, query = match(masks, classes, taught.targets.masks, taught.targets.classes)
    # Of queries without a target nothing is known but that they show none of what was looked for.
    wrong = classes.softmax(-1)[:, taught.known].sum(-1).clamp(max=1 - 1e-6)
    loss, weight = -torch.log1p(-wrong), torch.full_like(wrong, NO_OBJECT_WEIGHT)
    if len(query):
        right = F.cross_entropy(classes[query], taught.targets.classes[wanted], reduction="none")
        loss, weight = loss.index_put((query,), right), weight.index_put((query,), torch.ones_like(right))
    kind = (loss * weight).sum() / weight.sum()
    return kind, _outlines(masks[query], taught.targets.masks[wanted])


def _remembered(masks: Tensor, classes: Tensor, were: Tensor, then: Tensor) -> tuple[Tensor, Tensor]:
    """Class and mask loss of a remembered plane: each query must claim what it did, as surely and in that place."""
    claimed = 1 - were[:, -1].exp()
    weight = NO_OBJECT_WEIGHT + (1 - NO_OBJECT_WEIGHT) * claimed
    apart = F.kl_div(classes.log_softmax(-1), were, reduction="none", log_target=True).sum(-1)
    kept = claimed > _CLAIMED
    return (apart * weight).sum() / weight.sum(), _outlines(masks[kept], then[kept].sigmoid())


def _outlines(logits: Tensor, goal: Tensor) -> Tensor:
    """Mean of dice and cross entropy of masks (n, m, m); 0 without any."""
    if not len(logits):
        return logits.sum()
    return (dice_loss(logits, goal) + mask_entropy(logits, goal)).mean()
