"""What a stage does with a batch: a module around the model, whose forward gives the loss, and whose measures tell how
good it is.

A task knows its losses and nothing of optimisers, schedules, processes or files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from medsight_core.model.medsight import MedSightModel

Batch = Mapping[str, Any]


class Task(nn.Module):
    """Base of all tasks. `trainable` names the parameters of the model that this task trains, by prefix."""

    trainable: tuple[str, ...] = ()

    def __init__(self, model: MedSightModel) -> None:
        super().__init__()
        self.model = model

    def start(self) -> None:
        """Prepare the model once, before the first step and before any checkpoint is read."""

    def finish(self) -> None:
        """Bring into the model what was trained beside it."""

    def after_step(self) -> None:
        """Called after every optimiser step."""

    def activation_checkpointing_enable(self, **options: Any) -> None:
        """Recompute the language model's activations in the backward pass; the trainer calls it."""
        self.model.language.activation_checkpointing_enable(**options)

    def count(self, batch: Batch) -> list[float]:
        """What the loss of a batch is divided by, from its records alone; summed over the whole step, then given back
        to `forward` as ``totals``."""
        raise NotImplementedError

    def forward(self, totals: Tensor | None = None, **batch: Any) -> dict[str, Tensor]:
        """The terms of the loss with their sum as "loss"; without ``totals``, sums for `summarise`."""
        return self.measure(batch) if totals is None else self.losses(batch, totals)

    def losses(self, batch: Batch, totals: Tensor) -> dict[str, Tensor]:
        """The terms of the loss of a batch, already divided by ``totals``, and their weighted sum "loss"."""
        raise NotImplementedError

    def measure(self, batch: Batch) -> dict[str, Tensor]:
        """Sums over a batch that add up to the figures of a whole data set."""
        raise NotImplementedError

    def summarise(self, sums: Mapping[str, Tensor]) -> dict[str, float]:
        """Figures from the sums over a data set."""
        raise NotImplementedError


def freeze_all_but(model: nn.Module, prefixes: tuple[str, ...]) -> None:
    """Let gradients reach only the parameters whose names begin with one of the prefixes."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(prefixes) if prefixes else False)


def ratio(sums: Mapping[str, Tensor], part: str, whole: str) -> float:
    """``part`` over ``whole``, 0 where there is nothing."""
    return float(sums[part] / sums[whole]) if float(sums[whole]) else 0.0
