"""Engines with a part taken out: what is left of the figures without it tells whether the part does its work."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from medsight_core.engine.engine import Engine
from medsight_core.model.perceiver import PerceiverOutput


def shuffled_codes(engine: Engine, seed: int) -> Engine:
    """Each code's hidden state is replaced by that of a code of an earlier question: masks must get lost."""
    other = _copy(engine)
    decode: Callable[[Tensor, Tensor], PerceiverOutput] = engine.model.decode
    pool: list[Tensor] = []
    generator = torch.Generator().manual_seed(seed)

    def wrong(patches: Tensor, code_states: Tensor) -> PerceiverOutput:
        states = code_states[0]  # (n, H), the same on all planes
        drawn = [pool[int(torch.randint(len(pool), (), generator=generator))] for _ in states] if pool else list(states)
        pool.extend(states)
        return decode(patches, torch.stack(drawn).expand(len(patches), -1, -1))

    other.model.decode = wrong
    return other


def without_presence(engine: Engine) -> Engine:
    """Everything counts as detected: absent things must be outlined."""
    other = _copy(engine)
    other.config.presence_threshold = 0.0
    return other


def _copy(engine: Engine) -> Engine:
    """Another engine with the same weights and a configuration of its own."""
    processor, model = copy.copy(engine.processor), copy.copy(engine.model)
    processor.config = model.config = copy.deepcopy(engine.config)
    return Engine(model, processor)
