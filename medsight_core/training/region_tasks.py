"""Stages 1 and 2, and the stage 0 that stands in for a pretrained tower: images and masks without words."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medsight_core.errors import InputError
from medsight_core.model.medsight import MedSightModel
from medsight_core.model.perceiver import PerceiverOutput
from medsight_core.training.losses import RegionTargets, dice_loss, region_losses
from medsight_core.training.matching import match, resize
from medsight_core.training.task import Batch, Task, ratio

Match = tuple[Tensor, Tensor]
RARE = -4.0  # logit of what one cell in fifty shows


class TowerTask(Task):
    """Stage 0: every patch says which classes its mask cells show. For towers without CLIP's training.

    A random tower does not get going behind the perceiver; here all masks of an image teach it at once.
    """

    trainable = ("vision.",)

    def __init__(self, model: MedSightModel) -> None:
        super().__init__(model)
        config = model.config
        self.factor = config.mask_size // config.grid
        self.num_classes = config.perceiver_config.num_classes
        self.head = nn.Linear(config.vision_config.hidden_size, self.factor**2 * self.num_classes)
        nn.init.constant_(self.head.bias, RARE)  # most cells show none of the classes; learning that takes long

    def count(self, batch: Batch) -> list[float]:
        """Images, and (image, class) pairs that are present."""
        present = sum(len(target.classes.unique()) for target in targets_of(batch))
        return [len(batch["pixel_values"]), present]

    def losses(self, batch: Batch, totals: Tensor) -> dict[str, Tensor]:
        """Cross entropy with the few inside cells weighing more, and dice of the classes present."""
        logits, truth = self._cells(batch)
        entropy = F.binary_cross_entropy_with_logits(logits, truth, pos_weight=logits.new_tensor(4.0), reduction="none")
        present = truth.flatten(2).sum(-1) > 0  # (B, C)
        dice = dice_loss(logits[present], truth[present]).sum() / totals[1].clamp(min=1)
        parts = {"entropy": 10 * entropy.mean((1, 2, 3)).sum() / totals[0], "dice": dice}
        return {"loss": parts["entropy"] + parts["dice"], **parts}

    def measure(self, batch: Batch) -> dict[str, Tensor]:
        """Dice of classes present."""
        logits, truth = self._cells(batch)
        present = truth.flatten(2).sum(-1) > 0
        return {"dice": hard_dice(logits[present], truth[present]).sum(), "count": present.sum()}

    def summarise(self, sums: Mapping[str, Tensor]) -> dict[str, float]:
        """Mean Dice."""
        return {"dice": ratio(sums, "dice", "count")}

    def _cells(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits and truth (B, C, m, m)."""
        patches, _ = self.model.see(batch["pixel_values"])
        logits = F.pixel_shuffle(self.head(patches).permute(0, 3, 1, 2), self.factor).float()
        truth = torch.zeros_like(logits)
        for row, target in enumerate(targets_of(batch)):
            for mask, kind in zip(target.masks, target.classes):
                small = F.adaptive_avg_pool2d(mask[None].float(), logits.shape[-1])[0]
                truth[row, kind] = torch.maximum(truth[row, kind], small)
        return logits, truth


class RegionTask(Task):
    """Stage 1: the perceiver's learned queries find what an image shows (model-spec 2.4).

    no_object_weight: what unmatched queries are taught "no object" with; 0 as the authors.
    deep_supervision: weight of the coarser scales; 0 as the authors.
    decode_share: share of steps with only a few queries at once, as the decoding pass will run; 0 as the authors.
    named_share: share of steps that ask by the perceiver's class queries, as codes will ask. Nothing has to be matched
        there, so masks learn faster; 0 as the authors. InputError for a model without such queries.
    coarse_steps: first steps that leave out the finest scale, at less than half the cost; 0 as the authors.
    train_tower: let the vision tower learn too, for towers that were not pretrained.
    """

    steps: Tensor  # optimiser steps so far
    FEW, MATCHED = 4, 3  # queries of a decoding step, and how many of them have a target at most
    NAMED, PRESENT = 24, 18  # the same of a step by name; every third or so of these has but a few, as replies have

    def __init__(
        self,
        model: MedSightModel,
        no_object_weight: float = 0.1,
        deep_supervision: float = 0.25,
        decode_share: float = 0.3,
        named_share: float = 0.0,
        coarse_steps: int = 0,
        train_tower: bool = False,
    ) -> None:
        super().__init__(model)
        self.no_object_weight, self.deep_supervision = no_object_weight, deep_supervision
        self.decode_share, self.named_share, self.coarse_steps = decode_share, named_share, coarse_steps
        if named_share and model.perceiver.class_queries is None:
            raise InputError(
                f"named_share is {named_share:g} and the model has no class queries: set class_queries in "
                "config.json's perceiver_config and start from a fresh model."
            )
        self.trainable = ("perceiver.", "vision.") if train_tower else ("perceiver.",)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def count(self, batch: Batch) -> list[float]:
        """Pairs of a full pass, of a decoding step and of a step by name; images."""
        queries = self.model.config.perceiver_config.num_queries
        pairs = [target.pairs(queries) for target in targets_of(batch)]
        present = self._by_name()[1]
        named = [min(len(target.classes.unique()), present) for target in targets_of(batch)]
        return [sum(pairs), sum(self._matched(count, queries) for count in pairs), sum(named), len(pairs)]

    def losses(self, batch: Batch, totals: Tensor) -> dict[str, Tensor]:
        """Dice, cross entropy and class of the matched queries, of all scales."""
        patches = self._patches(batch)
        targets = targets_of(batch)
        step = int(self.steps)
        scales = self.model.config.perceiver_config.num_stages - (step < self.coarse_steps)
        pairs, decoded, named, images = totals.tolist()
        if self.named_share and _is_due(step, self.named_share):
            asked = [self._ask(target, step, int(index)) for target, index in zip(targets, batch["indices"])]
            targets = [united(target) for target in targets]
            class_queries = self.model.perceiver.class_queries
            assert class_queries is not None  # noqa: S101 - looked at in the constructor
            queries = class_queries[torch.stack([classes for classes, _ in asked])]
            output = self.model.perceiver(patches, queries, scales)
            matches, pairs = [found for _, found in asked], named
        elif _is_due(step, self.decode_share):
            with torch.no_grad():
                full = self.model.perceiver(patches, num_stages=scales)
            chosen = [
                self._choose(found, full.classes.shape[1], step, int(index))
                for found, index in zip(matches_of(full, targets), batch["indices"])
            ]
            rows = torch.stack([queries for queries, _ in chosen])
            output = self.model.perceiver(patches, self.model.perceiver.queries[0][rows], scales)
            matches, pairs = [found for _, found in chosen], decoded
        else:
            output = self.model.perceiver(patches, num_stages=scales)
            matches = matches_of(output, targets)
        parts = region_losses(
            output.masks, output.classes, targets, self.no_object_weight, pairs, images, matches
        )  # fmt: skip
        loss = torch.stack(list(parts.values())).sum()
        if self.deep_supervision:
            for masks, classes in zip(output.scale_masks[:-1], output.scale_classes[:-1]):
                coarse = region_losses(masks, classes, targets, self.no_object_weight, pairs, images, matches)
                loss = loss + self.deep_supervision * torch.stack(list(coarse.values())).sum()
        return {"loss": loss, **parts}

    def after_step(self) -> None:
        """Count, so that all micro-batches and processes of a step decode alike."""
        self.steps += 1

    def measure(self, batch: Batch) -> dict[str, Tensor]:
        """Of matched pairs: Dice and right classes; of the rest: how many are rejected."""
        output = self.model.perceiver(self._patches(batch))
        return measure_pairs(output.masks, output.classes, targets_of(batch), matches_of(output, targets_of(batch)))

    def summarise(self, sums: Mapping[str, Tensor]) -> dict[str, float]:
        """Mean Dice, class accuracy, share of unmatched queries called "no object"."""
        return {
            "dice": ratio(sums, "dice", "pairs"),
            "class_accuracy": ratio(sums, "right_class", "pairs"),
            "rejected": ratio(sums, "rejected", "unmatched"),
        }

    def _patches(self, batch: Batch) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and "vision." in self.trainable):
            return self.model.see(batch["pixel_values"])[0]

    def _matched(self, pairs: int, queries: int) -> int:
        """How many of the queries of a decoding step have a target, in an image with so many pairs."""
        few, first = min(self.FEW, queries), min(self.MATCHED, pairs)
        return few - min(queries - pairs, few - first)

    def _by_name(self) -> tuple[int, int]:
        """Queries of this step if it asks by name, and how many of them ask for what is there at most."""
        return (
            (self.FEW, self.MATCHED) if random.Random(int(self.steps)).random() < 1 / 3 else (self.NAMED, self.PRESENT)
        )

    def _ask(self, target: RegionTargets, step: int, index: int) -> tuple[Tensor, Match]:
        """Classes to ask an image for, some of them there and the others not, and which target stands at which place.

        Targets are counted as `united` gives them. The same for a step and image in every run and on every process.
        """
        generator = torch.Generator().manual_seed(1_000_003 * step + index)
        there = target.classes.unique().tolist()
        queries, present = self._by_name()
        taken = torch.randperm(len(there), generator=generator)[:present]
        absent = [kind for kind in range(self.model.config.perceiver_config.num_classes) if kind not in set(there)]
        order = torch.randperm(len(absent), generator=generator).tolist()
        classes = [there[i] for i in taken.tolist()] + [absent[i] for i in order]
        few = min(queries, self.model.config.perceiver_config.num_classes)
        device = target.classes.device
        places = torch.arange(len(taken), device=device)
        return torch.tensor(classes[:few], device=device), (taken.to(device), places)

    def _choose(self, found: Match, queries: int, step: int, index: int) -> tuple[Tensor, Match]:
        """A few queries of an image, and which of its targets stand at which place among them.

        Some that have a target, then some without; the same for a step and image in every run and on every process.
        """
        generator = torch.Generator().manual_seed(1_000_003 * step + index)
        targets, matched = found
        order = torch.randperm(len(matched), generator=generator).tolist()
        free = [query for query in range(queries) if query not in set(matched.tolist())]
        free = [free[i] for i in torch.randperm(len(free), generator=generator).tolist()]
        few, taken = min(self.FEW, queries), order[: self.MATCHED]
        free = free[: few - len(taken)]
        taken += order[self.MATCHED :][: few - len(taken) - len(free)]
        chosen = [int(matched[i]) for i in taken] + free
        device = matched.device
        places = torch.arange(len(taken), device=device)
        return torch.tensor(chosen, device=device), (targets[torch.tensor(taken, dtype=torch.long)], places)


class CodebookTask(Task):
    """Stage 2: the codebook learns to name and rebuild the perceiver's region vectors (model-spec 3.4).

    straight_through, unit_losses: see `Codebook.forward`; both false as the authors.
    revive_every: optimiser steps after which codes that nothing uses move to vectors that need one; 0 as the authors.
    reconstruction_weight: 2 as the authors, who count the term twice. commit_weight: 0.25 as the authors.
    """

    trainable = ("codebook.",)
    steps: Tensor  # optimiser steps so far
    usage: Tensor  # (K, M) how often each code was chosen lately
    USAGE_MEMORY = 0.98

    def __init__(
        self,
        model: MedSightModel,
        straight_through: bool = True,
        unit_losses: bool = True,
        revive_every: int = 25,
        reconstruction_weight: float = 1.0,
        commit_weight: float = 1.0,
    ) -> None:
        super().__init__(model)
        self.straight_through, self.unit_losses = straight_through, unit_losses
        self.revive_every = revive_every
        self.reconstruction_weight, self.commit_weight = reconstruction_weight, commit_weight
        tables = model.codebook.tables
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.register_buffer("usage", torch.zeros(tables.shape[:2]))
        self._last: tuple[Tensor, Tensor, Tensor] | None = None

    def count(self, batch: Batch) -> list[float]:
        """Pairs and images."""
        queries = self.model.config.perceiver_config.num_queries
        return [sum(target.pairs(queries) for target in targets_of(batch)), len(targets_of(batch))]

    def losses(self, batch: Batch, totals: Tensor) -> dict[str, Tensor]:
        """Masks and classes of the rebuilt vectors, the codebook's own terms, the modality."""
        output, class_token = self._see(batch)
        codebook = self.model.codebook
        quantised = codebook(
            output.queries, class_token, batch["modalities"], self.straight_through, self.unit_losses
        )  # fmt: skip
        self._last = (quantised.encoded.detach(), quantised.codes, quantised.modalities)
        masks, classes = codebook.head(quantised.regions, output.pyramid[-1])
        pairs, images = totals.tolist()
        matches = matches_of(output, targets_of(batch))
        parts = region_losses(masks, classes, targets_of(batch), 0.0, pairs, images, matches)
        share = len(class_token) / images
        parts["vq"] = share * quantised.vq_loss
        parts["commit"] = share * self.commit_weight * quantised.commit_loss
        parts["reconstruction"] = share * self.reconstruction_weight * quantised.reconstruction_loss
        parts["modality"] = share * F.cross_entropy(codebook.modality(class_token).float(), batch["modalities"])
        return {"loss": torch.stack(list(parts.values())).sum(), **parts}

    @torch.no_grad()
    def after_step(self) -> None:
        """Keep account of the codes' use, and move dead ones."""
        if self._last is None:
            return
        encoded, codes, modalities = (_gathered(part) for part in self._last)
        self.steps += 1
        tables = self.model.codebook.tables
        generator = torch.Generator().manual_seed(int(self.steps))
        for table in modalities.unique().tolist():
            mine = modalities == table
            used = torch.bincount(codes[mine].flatten(), minlength=tables.shape[1]).to(self.usage)
            self.usage[table] = self.USAGE_MEMORY * self.usage[table] + (1 - self.USAGE_MEMORY) * used
            if self.revive_every and int(self.steps) % self.revive_every == 0:
                vectors = encoded[mine].flatten(0, 1)  # (n, code_dim)
                nearest = (vectors.float() @ F.normalize(tables[table].float(), dim=-1).T).amax(dim=-1)
                dead = (self.usage[table] < 0.02 * self.usage[table].mean()).nonzero()[:, 0]
                # Far vectors first: what no code is near to needs one most.
                weight = (1 - nearest).clamp(min=1e-6).cpu()
                count = min(len(dead), len(vectors))
                if count:
                    picked = torch.multinomial(weight, count, generator=generator).to(vectors.device)
                    tables[table, dead[:count]] = vectors[picked].to(tables.dtype)
                    self.usage[table, dead[:count]] = self.usage[table].mean()  # time to prove themselves

    def measure(self, batch: Batch) -> dict[str, Tensor]:
        """Dice and classes of rebuilt vectors, cosine with the true ones, modality, use of the codes."""
        output, class_token = self._see(batch)
        codebook = self.model.codebook
        quantised = codebook(output.queries, class_token, batch["modalities"])
        masks, classes = codebook.head(quantised.regions, output.pyramid[-1])
        sums = measure_pairs(masks, classes, targets_of(batch), matches_of(output, targets_of(batch)))
        sums["cosine"] = F.cosine_similarity(quantised.regions, output.queries, dim=-1).sum()
        sums["vectors"] = torch.tensor(float(quantised.codes.numel()), device=masks.device)
        sums["right_modality"] = (codebook.modality(class_token).argmax(-1) == batch["modalities"]).sum()
        sums["images"] = torch.tensor(float(len(class_token)), device=masks.device)
        flat = quantised.modalities[:, None] * codebook.tables.shape[1] + quantised.codes
        sums["used"] = torch.bincount(flat.flatten(), minlength=codebook.tables.shape[:2].numel())
        return sums

    def summarise(self, sums: Mapping[str, Tensor]) -> dict[str, float]:
        """Mean Dice, cosine, modality accuracy; codes used and perplexity, mean over the tables that were asked."""
        tables = sums["used"].float().unflatten(0, self.usage.shape)
        tables = tables[tables.sum(1) > 0]
        share = tables / tables.sum(1, keepdim=True)
        perplexity = torch.exp(-(share * share.clamp(min=1e-12).log()).sum(1))
        return {
            "dice": ratio(sums, "dice", "pairs"),
            "cosine": ratio(sums, "cosine", "vectors"),
            "modality_accuracy": ratio(sums, "right_modality", "images"),
            "codes_used": float((tables > 0).sum(1).float().mean()),
            "perplexity": float(perplexity.mean()),
        }

    def _see(self, batch: Batch) -> tuple[PerceiverOutput, Tensor]:
        with torch.no_grad():
            patches, class_token = self.model.see(batch["pixel_values"])
            return self.model.perceiver(patches), class_token


def united(target: RegionTargets) -> RegionTargets:
    """One mask for each class that is there, by class: all of that class together."""
    kinds, place = target.classes.unique(return_inverse=True)
    masks = target.masks.new_zeros(len(kinds), *target.masks.shape[1:])
    return RegionTargets(masks.index_reduce(0, place, target.masks, "amax") if len(place) else masks, kinds)


def _is_due(step: int, share: float) -> bool:
    """Whether a step is one of a ``share`` of all that is spread evenly over them."""
    return (step * share) % 1 + share >= 1


def targets_of(batch: Batch) -> list[RegionTargets]:
    """What each image of a batch shows."""
    return [RegionTargets(masks, classes) for masks, classes in zip(batch["masks"], batch["classes"])]


def matches_of(output: PerceiverOutput, targets: Sequence[RegionTargets]) -> list[Match]:
    """Target and query indices of each image, by the finest masks."""
    return [
        match(masks, classes, target.masks, target.classes)
        for masks, classes, target in zip(output.masks, output.classes, targets)
    ]


def measure_pairs(
    masks: Tensor, classes: Tensor, targets: Sequence[RegionTargets], matches: Sequence[Match]
) -> dict[str, Tensor]:
    """Sums over a batch: Dice and right classes of matched queries, rejected ones among the others."""
    sums = {
        name: masks.new_zeros((), dtype=torch.float32)
        for name in ("dice", "right_class", "pairs", "rejected", "unmatched")
    }
    for row, (target, (wanted, query)) in enumerate(zip(targets, matches)):
        decided = classes[row].argmax(-1)
        free = torch.ones(len(decided), dtype=torch.bool, device=decided.device)
        free[query] = False
        sums["rejected"] += (decided[free] == classes.shape[-1] - 1).sum()
        sums["unmatched"] += free.sum()
        if len(query):
            goal = target.masks[wanted]
            sums["dice"] += hard_dice(resize(masks[row, query].float(), goal.shape[-2:]), goal).sum()
            sums["right_class"] += (decided[query] == target.classes[wanted]).sum()
            sums["pairs"] += len(query)
    return sums


def hard_dice(logits: Tensor, targets: Tensor) -> Tensor:
    """Dice (n,) of logits > 0 with targets > 0.5, both (n, h, w); 1 where both are empty."""
    found, truth = (logits > 0).flatten(1), (targets > 0.5).flatten(1)
    return (2.0 * (found & truth).sum(1) + 1e-8) / (found.sum(1) + truth.sum(1) + 1e-8)


def _gathered(tensor: Tensor) -> Tensor:
    """The tensors (n, ...) of all processes, one after another."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return tensor
    parts = [torch.empty_like(tensor) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(parts, tensor.contiguous())
    return torch.cat(parts)
