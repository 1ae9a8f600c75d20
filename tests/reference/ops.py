"""Small tensor formulas that the reference modules share.

Plain functions over a dict of tensors. A layer is addressed by the official name of its parameters without ``.weight``
and ``.bias``. Knows nothing of the product's classes, so that a mistake there cannot repeat itself here.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

Params = dict[str, Tensor]


def exact(params: Params) -> Params:
    """The same numbers in float64: a reference that computes with them adds no rounding of its own."""
    return {name: value.double() for name, value in params.items()}


def linear(params: Params, name: str, x: Tensor) -> Tensor:
    """x W^T, plus the bias where the layer has one; (..., in) -> (..., out)."""
    y = x @ params[f"{name}.weight"].T
    return y + params[f"{name}.bias"] if f"{name}.bias" in params else y


def layer_norm(params: Params, name: str, x: Tensor) -> Tensor:
    """Centre and scale the last axis by its population variance, epsilon 1e-5 inside the root."""
    centred = x - x.mean(-1, keepdim=True)
    variance = (centred * centred).mean(-1, keepdim=True)
    return centred / torch.sqrt(variance + 1e-5) * params[f"{name}.weight"] + params[f"{name}.bias"]


def gelu(x: Tensor) -> Tensor:
    """The exact GELU, x times the normal distribution function."""
    return x * 0.5 * (1.0 + torch.erf(x / math.sqrt(2.0)))


def quick_gelu(x: Tensor) -> Tensor:
    """x sigmoid(1.702 x), the activation of the original CLIP."""
    return x * torch.sigmoid(1.702 * x)


def upsample_twice(maps: Tensor) -> Tensor:
    """Bilinear enlargement by two, pixel centres kept (align_corners False); (B, C, h, w) -> (B, C, 2h, 2w)."""
    return _double_axis(_double_axis(maps, 2), 3)


def _double_axis(maps: Tensor, axis: int) -> Tensor:
    """Every sample becomes two, a quarter of its width left and right of its centre; the border repeats."""
    size = maps.shape[axis]
    index = torch.arange(size)
    before = maps.index_select(axis, (index - 1).clamp(min=0))
    after = maps.index_select(axis, (index + 1).clamp(max=size - 1))
    left, right = 0.75 * maps + 0.25 * before, 0.75 * maps + 0.25 * after
    return torch.stack([left, right], dim=axis + 1).flatten(axis, axis + 1)
