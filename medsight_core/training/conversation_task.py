"""Stages 3 to 5: conversations about images, with the masks of the region codes in them (model-spec sections 4 and 5).

Batches may be ragged in every way: turns, images, codes. The codes of a conversation are decoded together, those of all
its replies, as the authors train; or one by one where the model's configuration says so.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medsight_core.data.encoding import IGNORED
from medsight_core.errors import InputError
from medsight_core.model.adapter import LANGUAGE, adapter_parameters
from medsight_core.model.medsight import IMAGE_SENTINEL, ImageFeatures, MedSightModel
from medsight_core.training.losses import code_mask_losses
from medsight_core.training.region_tasks import hard_dice
from medsight_core.training.task import Batch, Task, ratio

IMAGE_TO_TEXT = "image_to_text."


class ConversationTask(Task):
    """Cross entropy of what the assistant says, plus dice and cross entropy of the masks of its codes.

    trainable: prefixes of the model's parameters that learn.
    with_masks: decode codes (stages 4 and 5); without, words alone (stage 3).
    code_rows: train the codes' embedding rows and nothing else of the table (stage 4).
    code_outputs: with code_rows, their rows of the output head too; false as the authors.
    start_codes: begin from the projected codebook (stage 4).
    query_scale: factor on the last layer of P(t->v) before it first learns: code states should start as small as
        learned queries are, or the masks do not move; 1 as the authors.
    query_weight: how much the projected states of codes should be like the class queries of what they stand for, in
        conversations that say what that is; they reach good masks sooner, at hardly a cost. 0 as the authors.
    per_conversation: average over the tokens and codes of each conversation, then over conversations, as the authors'
        batches of one do; otherwise over all tokens and all codes of a step.
    train_language: let the language model learn in a stage that presumes a pretrained one; false as the authors.
    train_inputs: let what the language model reads learn as well, image tokens and the codes' embedding rows; false
        spares all gradients below the lowest layer that learns, which counts where an adapter has the last layers only.

    Where the model stands on a base, its language model learns by its adapter and all rows of the codes instead.
    """

    def __init__(
        self,
        model: MedSightModel,
        trainable: tuple[str, ...],
        with_masks: bool,
        code_rows: bool = False,
        code_outputs: bool = False,
        start_codes: bool = False,
        query_scale: float = 1.0,
        train_language: bool = False,
        train_inputs: bool = True,
        query_weight: float = 0.0,
        per_conversation: bool = False,
    ) -> None:
        super().__init__(model)
        self.trainable = (*trainable, LANGUAGE) if train_language else trainable
        if model.config.base_language and LANGUAGE in self.trainable:
            code_rows = code_outputs = True
            self.trainable = (*(name for name in self.trainable if name != LANGUAGE), *adapter_parameters(model))
        if not train_inputs:
            self.trainable = tuple(name for name in self.trainable if name != IMAGE_TO_TEXT)
        self.with_masks, self.per_conversation = with_masks, per_conversation
        self.start_codes, self.query_scale, self.query_weight = start_codes, query_scale, query_weight
        if query_weight and model.perceiver.class_queries is None:
            raise InputError(f"query_weight is {query_weight:g} and the model has no class queries: leave it 0.")
        self.rows = CodeRows(model, code_outputs) if code_rows else None
        if self.rows is not None:
            self.rows.inputs.requires_grad_(train_inputs)

    @torch.no_grad()
    def start(self) -> None:
        """Give the codes and the projector their first values."""
        model = self.model
        if self.start_codes:
            first, count = model.config.first_code_token, model.config.num_code_tokens
            table = model.get_input_embeddings().weight
            assert isinstance(table, Tensor)  # noqa: S101 - whatever the language model
            table[first : first + count] = model.image_to_text(model.codebook.token_vectors()).to(table.dtype)
        for parameter in model.text_to_image[2].parameters():
            parameter.mul_(self.query_scale)
        if self.rows is not None:
            self.rows.read(model)

    @torch.no_grad()
    def finish(self) -> None:
        """Write the codes' rows into the model's tables."""
        if self.rows is not None:
            self.rows.write(self.model)

    def count(self, batch: Batch) -> list[float]:
        """Learned tokens, codes, conversations, codes of known classes."""
        known = int((batch["classes"] >= 0).sum())
        return [int((batch["labels"][:, 1:] != IGNORED).sum()), len(batch["masks"]), len(batch["labels"]), known]

    def losses(self, batch: Batch, totals: Tensor) -> dict[str, Tensor]:
        """Cross entropy of the learned tokens, and the mask terms of the codes."""
        hidden, patches = self._read(batch)
        logits, truth = self._predict(hidden, batch["labels"])
        entropies = F.cross_entropy(logits.float(), truth, reduction="none")
        parts = {"text": (entropies * self._shares(batch["labels"][:, 1:] != IGNORED, totals[0], totals[2])).sum()}
        if self.with_masks and len(batch["masks"]):
            shares = self._shares(self._codes(batch), totals[1], totals[2])
            dice, entropy = code_mask_losses(self._decode(hidden, patches, batch), batch["masks"], shares)
            parts |= {"dice": dice, "entropy": entropy}
        if self.query_weight:
            parts["query"] = self.query_weight * self._query_loss(hidden, batch, totals[3])
        loss = torch.stack(list(parts.values())).sum()
        if torch.is_grad_enabled() and not loss.requires_grad:  # words alone, where only image tokens teach anything
            loss = loss + 0.0 * sum(p.sum() for p in self.parameters() if p.requires_grad)
        return {"loss": loss, **parts}

    def _shares(self, where: Tensor, total: Tensor, conversations: Tensor) -> Tensor:
        """The weight (n,) of each place of ``where`` (B, T) in a mean over a step, row by row."""
        if self.per_conversation:
            counts = where.sum(1, keepdim=True).clamp(min=1)
            return (1.0 / (counts * conversations)).expand_as(where)[where]
        return (1.0 / total.clamp(min=1)).float().expand(int(where.sum()))

    def measure(self, batch: Batch) -> dict[str, Tensor]:
        """Cross entropy and accuracy of tokens and of codes; Dice of the codes' masks."""
        hidden, patches = self._read(batch)
        logits, truth = self._predict(hidden, batch["labels"])
        right = logits.argmax(-1) == truth
        code = self.model.is_code(truth)
        zero = hidden.new_zeros((), dtype=torch.float32)
        sums = {
            "text": F.cross_entropy(logits.float(), truth, reduction="sum"),
            "right": right.sum(),
            "tokens": zero + len(truth),
            "right_codes": right[code].sum(),
            "code_tokens": code.sum(),
            "dice": zero,
            "masks": zero,
        }
        if self.with_masks and len(batch["masks"]):
            sums["dice"] = hard_dice(self._decode(hidden, patches, batch), batch["masks"]).sum()
            sums["masks"] = zero + len(batch["masks"])
        return sums

    def summarise(self, sums: Mapping[str, Tensor]) -> dict[str, float]:
        """Cross entropy, accuracies, mean Dice."""
        return {
            "cross_entropy": ratio(sums, "text", "tokens"),
            "token_accuracy": ratio(sums, "right", "tokens"),
            "code_accuracy": ratio(sums, "right_codes", "code_tokens"),
            "dice": ratio(sums, "dice", "masks"),
        }

    def _read(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Final hidden states (B, T, H) of a batch, and the patches (n, h, w, D) of its images."""
        if not len(batch["pixel_values"]):
            return self._hear(batch, None), None
        with torch.no_grad():
            features = self.model.encode(batch["pixel_values"])
        return self._hear(batch, features), features.patches

    def _hear(self, batch: Batch, features: ImageFeatures | None) -> Tensor:
        """Final hidden states (B, T, H) of a batch whose n images have these features."""
        model, ids = self.model, batch["input_ids"]
        embeds = model.get_input_embeddings()(ids.clamp(min=0))
        if self.rows is not None:
            embeds = self.rows.embed(ids, embeds)
        if features is not None:
            tokens = model.image_tokens(features).to(embeds.dtype)  # (n, L, H)
            embeds = embeds.masked_scatter((ids == IMAGE_SENTINEL)[..., None], tokens)
        output = model.language.base_model(
            inputs_embeds=embeds, attention_mask=batch["attention_mask"], use_cache=False
        )  # fmt: skip
        hidden: Tensor = output.last_hidden_state
        return hidden

    def _predict(self, hidden: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (n, V) and true tokens (n,) of the learned positions only: a large vocabulary fills the memory."""
        learned = labels[:, 1:] != IGNORED
        states = hidden[:, :-1][learned]
        logits = self.model.language.get_output_embeddings()(states)
        if self.rows is not None:
            logits = self.rows.predict(states, logits)
        return logits, labels[:, 1:][learned]

    def _query_loss(self, hidden: Tensor, batch: Batch, known: Tensor) -> Tensor:
        """Squared distance of projected states to the class queries, in units of these queries' mean square."""
        queries = self.model.perceiver.class_queries
        assert queries is not None  # noqa: S101 - looked at in the constructor
        codes, kinds = self.model.is_code(batch["input_ids"]), batch["classes"]
        found = self.model.text_to_image(self._states(hidden, codes)[kinds >= 0]).float()
        goal = queries.detach()[kinds[kinds >= 0]].float()
        return (found - goal).square().sum() / queries.detach().float().square().sum(1).mean() / known.clamp(min=1)

    def _codes(self, batch: Batch) -> Tensor:
        """Where codes stand that have a mask, (B, T): those of conversations about one image."""
        return self.model.is_code(batch["input_ids"]) & (batch["image_counts"] == 1)[:, None]

    def _states(self, hidden: Tensor, codes: Tensor) -> Tensor:
        """The states (K, H), row by row, of codes that stand where ``codes`` (B, T) is True; ``hidden`` (B, T, H)."""
        shift = 0 if self.model.config.code_state == "own" else 1
        return hidden[torch.roll(codes, -shift, 1)]

    def _decode(self, hidden: Tensor, patches: Tensor | None, batch: Batch) -> Tensor:
        """Mask logits (K, m, m) of all codes of a batch, in the order of its masks."""
        assert patches is not None  # noqa: S101 - records with codes have an image
        model = self.model
        where = self._codes(batch)
        first_image = batch["image_counts"].cumsum(0) - batch["image_counts"]
        states = self._states(hidden, where)
        if not model.config.decode_jointly:
            owners = first_image[where.nonzero()[:, 0]]
            return model.perceiver(patches[owners], model.text_to_image(states)[:, None]).masks[:, 0]
        rows = where.any(1)
        counts = where.sum(1)[rows]
        taken = torch.arange(int(counts.max()), device=hidden.device) < counts[:, None]  # (R, n)
        queries = states.new_zeros(*taken.shape, states.shape[-1]).masked_scatter(taken[..., None], states)
        grid = patches[first_image[rows]]
        return model.perceiver(grid, model.text_to_image(queries), padding=~taken).masks[taken]


class CodeRows(nn.Module):
    """The codes' own rows of the embedding table, and of the output head if wanted, apart from the frozen rest."""

    def __init__(self, model: MedSightModel, outputs: bool) -> None:
        super().__init__()
        self.first, self.count = model.config.first_code_token, model.config.num_code_tokens
        hidden = model.config.text_config.hidden_size
        self.inputs = nn.Parameter(torch.empty(self.count, hidden))
        self.outputs = nn.Parameter(torch.empty(self.count, hidden)) if outputs else None

    def read(self, model: MedSightModel) -> None:
        """Take the rows from the model's tables."""
        self.inputs.copy_(self._slice(model.get_input_embeddings()))
        if self.outputs is not None:
            self.outputs.copy_(self._slice(model.language.get_output_embeddings()))

    def write(self, model: MedSightModel) -> None:
        """Put the rows into the model's tables."""
        self._slice(model.get_input_embeddings()).copy_(self.inputs)
        if self.outputs is not None:
            self._slice(model.language.get_output_embeddings()).copy_(self.outputs)

    def embed(self, ids: Tensor, embeds: Tensor) -> Tensor:
        """Embeddings (B, T, H) with those of codes from here."""
        index = ids - self.first
        code = (index >= 0) & (index < self.count)
        return torch.where(code[..., None], self.inputs[index.clamp(0, self.count - 1)].to(embeds.dtype), embeds)

    def predict(self, states: Tensor, logits: Tensor) -> Tensor:
        """Logits (n, V) of states (n, H) with those of codes from here."""
        if self.outputs is None:
            return logits
        own = F.linear(states, self.outputs.to(states.dtype))
        return torch.cat([logits[:, : self.first], own, logits[:, self.first + self.count :]], dim=1)

    def _slice(self, table: nn.Module) -> Tensor:
        assert isinstance(table.weight, Tensor)  # noqa: S101 - both are, whatever the language model
        return table.weight[self.first : self.first + self.count]
