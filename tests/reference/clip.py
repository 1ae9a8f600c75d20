"""Reference of the visual tower: section 1 of the specification, with OpenCLIP's names and packed q, k, v."""

from __future__ import annotations

import torch
from reference.ops import Params, layer_norm, linear, quick_gelu
from torch import Tensor


def block_outputs(params: Params, pixels: Tensor, heads: int, depth: int) -> list[Tensor]:
    """Raw output (B, 1 + patches, C) of every block for pixels (B, 3, H, W); the embeddings are not in the list."""
    kernel = params["visual.conv1.weight"]
    size = kernel.shape[-1]
    tiles = pixels.unfold(2, size, size).unfold(3, size, size)  # (B, 3, rows, columns, size, size)
    patches = torch.einsum("bcyxij,dcij->byxd", tiles, kernel).flatten(1, 2)  # row-major over the grid
    first = params["visual.class_embedding"].expand(len(pixels), 1, -1)
    x = torch.cat([first, patches], dim=1) + params["visual.positional_embedding"]
    x = layer_norm(params, "visual.ln_pre", x)
    outputs = []
    for index in range(depth):
        name = f"visual.transformer.resblocks.{index}"
        x = x + self_attention(params, f"{name}.attn", layer_norm(params, f"{name}.ln_1", x), heads)
        widened = quick_gelu(linear(params, f"{name}.mlp.c_fc", layer_norm(params, f"{name}.ln_2", x)))
        x = x + linear(params, f"{name}.mlp.c_proj", widened)
        outputs.append(x)
    return outputs


def self_attention(params: Params, name: str, x: Tensor, heads: int) -> Tensor:
    """Ordinary multi-head attention whose q, k and v rows are stacked in ``in_proj``."""
    packed = x @ params[f"{name}.in_proj_weight"].T + params[f"{name}.in_proj_bias"]
    q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in packed.chunk(3, dim=-1))
    weights = torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, dim=-1)
    return linear(params, f"{name}.out_proj", (weights @ v).transpose(1, 2).flatten(2))


def split(block: Tensor) -> tuple[Tensor, Tensor]:
    """Class token (B, C) and patch grid (B, side, side, C) of one block's output."""
    side = round((block.shape[1] - 1) ** 0.5)
    return block[:, 0], block[:, 1:].unflatten(1, (side, side))
