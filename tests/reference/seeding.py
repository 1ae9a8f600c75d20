"""Random values for every parameter of a module, so that no gain of one or bias of zero hides a mistake."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def seed_every_parameter(module: nn.Module, seed: int, scale: float = 1.0) -> None:
    """Fill ``module`` in place: weights by fan-in, gains around one and biases around zero, both times ``scale``.

    A small ``scale`` makes the inputs of the norms so faint that their epsilon shows.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name.endswith("bias"):
            parameter.copy_(scale * 0.2 * noise)
        elif parameter.dim() == 1 and name.endswith("weight"):  # a norm's gain
            parameter.copy_(scale * (1.0 + 0.2 * noise))
        else:
            parameter.copy_(0.5 * noise / parameter[0].numel() ** 0.5 if parameter.dim() > 1 else noise)
