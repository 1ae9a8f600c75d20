"""How the learning rate rises and falls in every phase of the training."""

from __future__ import annotations

import math


def learning_rate_share(progress: float, step: int, warm_up: int, floor: float) -> float:
    """Share of the peak rate: linear over ``warm_up`` steps, a half cosine of ``progress`` 0..1 down to ``floor``."""
    cool = 0.5 * (1 + math.cos(math.pi * progress))
    return min(1.0, (step + 1) / warm_up) * max(cool, floor)
