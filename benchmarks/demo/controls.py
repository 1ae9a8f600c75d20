"""What must go wrong, or must not: engines with a part taken out, and names of another modality than the image's.

What is left of the figures without a part tells whether the part does its work.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from benchmarks.demo.exams import Exam, foreign_names
from benchmarks.demo.trials import Slice, Trial, absent_trials
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


def from_another_modality(
    engine: Engine, plane: Slice, exams: Sequence[Exam], each: int, rng: np.random.Generator
) -> Iterator[Trial]:
    """Outline up to ``each`` things of another modality's images that cannot be here: every mask is a false one."""
    others = [exam for exam in exams if exam.volume.modality != plane.exam.volume.modality]
    names = [str(name) for name in rng.permutation(foreign_names(plane.exam, others))[:each]]
    yield from absent_trials(engine, plane, names)


def _copy(engine: Engine) -> Engine:
    """Another engine with the same weights and a configuration of its own."""
    processor, model = copy.copy(engine.processor), copy.copy(engine.model)
    processor.config = model.config = copy.deepcopy(engine.config)
    return Engine(model, processor)
