"""Reference of the modality-aware codebook: sections 3.2 and 3.3 of the specification, tensor names of section 7.2.

The value after the warm-up and at inference is described here, not the official warm-up mixture.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from reference.ops import Params, gelu, layer_norm, linear
from torch import Tensor


class Quantised(NamedTuple):
    """Code indices (B, N), unit codes (B, N, d_c), rebuilt queries (B, N, C) and the three losses."""

    indices: Tensor
    codes: Tensor
    rebuilt: Tensor
    vq_loss: Tensor
    commit_loss: Tensor
    recon_loss: Tensor


def encode(params: Params, regions: Tensor) -> Tensor:
    """W_q: region vectors (..., C) -> code space (..., d_c), not normalised to unit length."""
    name = "region_perceiver.to_code"
    hidden = layer_norm(params, f"{name}.2", gelu(linear(params, f"{name}.0", regions)))
    return layer_norm(params, f"{name}.5", gelu(linear(params, f"{name}.3", hidden)))


def decode(params: Params, codes: Tensor) -> Tensor:
    """W_m: codes (..., d_c) -> region vectors (..., C)."""
    name = "region_perceiver.code_decoder.from_code"
    hidden = layer_norm(params, f"{name}.2", gelu(linear(params, f"{name}.0", codes)))
    return layer_norm(params, f"{name}.5", gelu(linear(params, f"{name}.3", hidden)))


def route(params: Params, class_token: Tensor) -> list[int]:
    """Table of each image by the modality classifier on the CLIP class token (B, C)."""
    return linear(params, "modality_predictor", class_token).argmax(-1).tolist()


def unit(x: Tensor) -> Tensor:
    """x at length one along the last axis."""
    return x / torch.sqrt((x * x).sum(-1, keepdim=True))


def quantise(params: Params, regions: Tensor, tables: list[int]) -> Quantised:
    """Nearest code of one table per image for every region vector (B, N, C); losses per image, then averaged."""
    indices, codes, losses = [], [], []
    for image, table in zip(regions, tables, strict=True):
        z = encode(params, image)
        entries = unit(params[f"quantizer.codebooks.{table}.embedding.weight"])
        distances = ((unit(z)[:, None] - entries[None]) ** 2).sum(-1)
        index = distances.argmin(-1)
        code = entries[index]
        indices.append(index)
        codes.append(code)
        losses.append(((code - z) ** 2).mean())
    stacked = torch.stack(codes)
    rebuilt = decode(params, stacked)
    gap = torch.stack(losses).mean()
    return Quantised(torch.stack(indices), stacked, rebuilt, gap, 0.25 * gap, ((rebuilt - regions) ** 2).mean())
