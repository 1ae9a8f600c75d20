"""How a stage is optimised: plain numbers, and the text that changes them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from medsight_core.engine.machine import computes_bf16
from medsight_core.errors import InputError
from medsight_core.training.optimizer import OPTIMIZERS

PRECISIONS = ("auto", "fp32", "bf16")


@dataclass(frozen=True)
class Recipe:
    """Optimisation of one stage, without weight decay.

    optimizer: "adamw" as the authors, or "muon".
    learning_rate: peak. tower_rate: factor on it for the vision tower, where that learns.
    batch: samples of an optimiser step, over all processes and accumulation. accumulation: micro-batches of a step.
    epochs: passes over the data; steps: optimiser steps instead, when positive.
    betas, clip: of AdamW, largest gradient norm.
    warm_up: share of the steps with a rising rate. floor: share of the rate at the end of the cosine.
    by_epoch: the cosine moves once an epoch, as the authors' stages 1 and 2 do.
    precision: "fp32", "bf16" autocast, or "auto": bf16 where the machine computes in it.
    checkpointing: recompute activations of the language model.
    target_size: side of the masks in the region stages; 0 their own. max_length: longest sequence in tokens.
    keep_in_memory: read each image of the region stages once, as grey.
    held_out: share that only measures. save_every, log_every: optimiser steps.
    """

    learning_rate: float
    batch: int
    epochs: int = 1
    steps: int = 0
    tower_rate: float = 0.3
    accumulation: int = 1
    beta1: float = 0.9
    beta2: float = 0.999
    clip: float = 1.0
    warm_up: float = 0.0
    floor: float = 0.0
    by_epoch: bool = False
    precision: str = "fp32"
    checkpointing: bool = False
    target_size: int = 0
    keep_in_memory: bool = False
    max_length: int = 2048
    held_out: float = 0.1
    save_every: int = 500
    log_every: int = 10
    workers: int = 0
    seed: int = 0
    optimizer: str = "adamw"

    def __post_init__(self) -> None:  # noqa: D105
        if self.precision not in PRECISIONS:
            raise InputError(f"Unknown precision {self.precision!r}: use one of {', '.join(PRECISIONS)}.")
        if self.optimizer not in OPTIMIZERS:
            raise InputError(f"Unknown optimizer {self.optimizer!r}: use {' or '.join(OPTIMIZERS)}.")
        if self.steps < 0 or self.epochs < 1 or self.save_every < 1 or self.log_every < 1:
            raise InputError(
                f"steps {self.steps}, epochs {self.epochs}, save_every {self.save_every}, log_every {self.log_every} "
                "count things: give whole numbers above zero."
            )
        if not 0 < self.held_out < 1:
            raise InputError(f"held_out is {self.held_out:g}: give a share between 0 and 1 to measure with.")
        if self.batch < 1 or self.accumulation < 1 or self.batch % self.accumulation:
            raise InputError(
                f"A batch of {self.batch} cannot be split into {self.accumulation} micro-batches: make it a multiple."
            )

    def rate(self, step: int, total_steps: int, epoch_steps: int) -> float:
        """Share of the peak learning rate at a step."""
        warm = round(self.warm_up * total_steps)
        if step < warm:
            return (step + 1) / warm
        if self.by_epoch:
            step, total_steps = step // epoch_steps * epoch_steps, math.ceil(total_steps / epoch_steps) * epoch_steps
        progress = min(1.0, (step - warm) / max(1, total_steps - warm))
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * progress))


def used_precision(precision: str) -> str:
    """What one of `PRECISIONS` comes to on this machine: "fp32" or "bf16"."""
    return ("bf16" if computes_bf16() else "fp32") if precision == "auto" else precision


def changed(settings: Any, changes: Mapping[str, str]) -> Any:
    """A dataclass or dict of plain values with some replaced, from text such as "0.1" or "true".

    Raises InputError for a name it does not have, naming those it has, and for a value of another kind.
    """
    known = settings if isinstance(settings, dict) else {f.name: getattr(settings, f.name) for f in fields(settings)}
    parsed = {}
    for name, text in changes.items():
        if name not in known:
            raise InputError(f"There is no setting {name!r} in this stage: use one of {', '.join(sorted(known))}.")
        parsed[name] = _parse(name, text, type(known[name]))
    return {**settings, **parsed} if isinstance(settings, dict) else replace(settings, **parsed)


def _parse(name: str, text: str, kind: type) -> Any:
    if kind is bool:
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise InputError(f"The setting {name} is {text!r}: give true or false.")
    try:
        return kind(text)
    except ValueError:
        raise InputError(f"The setting {name} is {text!r}: give a number.") from None
