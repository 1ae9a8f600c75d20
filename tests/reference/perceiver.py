"""Reference of the Region Perceiver: sections 2.1 and 2.2 of the model specification, tensor names of section 7.1.

Every map travels as (B, h, w, C), every parameter keeps its official name (``region_perceiver.`` in front).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from reference.ops import Params, gelu, layer_norm, linear, upsample_twice
from torch import Tensor


class Perceived(NamedTuple):
    """Queries (B, n, C), pyramid of maps (B, h, w, C), mask logits at every scale (B, n, h, w), class logits."""

    queries: Tensor
    pyramid: list[Tensor]
    masks: list[Tensor]
    classes: Tensor


def sine_map(rows: int, columns: int, channels: int) -> Tensor:
    """P(h, w): the first half of the channels encodes the row, the second half the column; (h, w, C) float64."""
    half = channels // 2

    def code(position: int, size: int) -> list[float]:
        angle = position / (size + 1e-6) * 2.0 * math.pi
        values = []
        for channel in range(half):
            phase = angle / 10_000.0 ** (2 * (channel // 2) / half)
            values.append(math.sin(phase) if channel % 2 == 0 else math.cos(phase))
        return values

    by_row = [code(row, rows) for row in range(1, rows + 1)]
    by_column = [code(column, columns) for column in range(1, columns + 1)]
    return torch.tensor([[row + column for column in by_column] for row in by_row], dtype=torch.float64)


def attention(
    params: Params, name: str, kv_source: Tensor, q_source: Tensor, heads: int, hidden: Tensor | None = None
) -> Tensor:
    """Cross attention with its own pre-norms and no residual; (B, m, C) and (B, n, C) -> (B, n, C).

    ``hidden`` (B, n, m) is True where a query must not look.
    """
    keys, values = linear(params, f"{name}.to_kv", layer_norm(params, f"{name}.norm_media", kv_source)).chunk(2, -1)
    queries = linear(params, f"{name}.to_q", layer_norm(params, f"{name}.norm_latents", q_source))
    head_width = queries.shape[-1] // heads
    mixed = []
    for head in range(heads):
        part = slice(head * head_width, (head + 1) * head_width)
        scores = (queries[..., part] * head_width**-0.5) @ keys[..., part].transpose(1, 2)
        if hidden is not None:
            scores = torch.where(hidden, torch.tensor(-1e9), scores)
        weights = torch.exp(scores - scores.amax(-1, keepdim=True))
        mixed.append(weights / weights.sum(-1, keepdim=True) @ values[..., part])
    return linear(params, f"{name}.to_out", torch.cat(mixed, -1))


def feed_forward(params: Params, name: str, x: Tensor) -> Tensor:
    """Norm, widen, exact GELU, narrow; no residual."""
    return linear(params, f"{name}.3", gelu(linear(params, f"{name}.1", layer_norm(params, f"{name}.0", x))))


def seg_head(params: Params, name: str, queries: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
    """Mask logits (B, n, h, w) as plain dot products with the map, and class logits (B, n, classes + 1)."""
    embedded = linear(params, f"{name}.proj", queries)
    masks = torch.einsum("bnc,bhwc->bnhw", embedded, image)
    return masks, linear(params, f"{name}.class_embed", queries)


def conv3x3(params: Params, name: str, image: Tensor) -> Tensor:
    """3 x 3 convolution with zero padding, as nine shifted matrix products; (B, h, w, C) -> (B, h, w, C)."""
    rows, columns = image.shape[1:3]
    padded = torch.nn.functional.pad(image, (0, 0, 1, 1, 1, 1))
    total = params[f"{name}.bias"].expand(*image.shape[:3], -1)
    for dy in range(3):
        for dx in range(3):
            shifted = padded[:, dy : dy + rows, dx : dx + columns]
            total = total + shifted @ params[f"{name}.weight"][:, :, dy, dx].T
    return total


def perceive(params: Params, patches: Tensor, heads: int, stages: int, queries: Tensor | None = None) -> Perceived:
    """The whole pass over a patch grid (B, h, w, C); ``queries`` (B, n, C) replaces the learned table when decoding."""
    root = "region_perceiver."
    batch, rows, columns, width = patches.shape
    if queries is None:
        queries = params[f"{root}region_queries"].expand(batch, -1, -1)

    def norm(name: str, x: Tensor) -> Tensor:
        return layer_norm(params, root + name, x)

    def attend(name: str, kv: Tensor, q: Tensor, hidden: Tensor | None = None) -> Tensor:
        return attention(params, root + name, kv, q, heads, hidden)

    def ffn(name: str, x: Tensor) -> Tensor:
        return feed_forward(params, root + name, x)

    image = patches + sine_map(rows, columns, width).to(patches)
    queries = norm("init_cross_norm", queries + attend("init_cross_attn", image.flatten(1, 2), queries))
    queries = norm("init_ff_norm", queries + ffn("init_ff", queries))
    masks, classes = seg_head(params, f"{root}segmentation_cls_head", queries, image)
    pyramid, all_masks = [image], [masks]
    for stage in range(stages):
        block = f"bi_blocks.{stage}."
        enlarged = upsample_twice(image.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        image = conv3x3(params, f"{root}conv_adapters.{stage}.conv", enlarged)
        rows, columns = image.shape[1:3]
        image = image + sine_map(rows, columns, width).to(patches)
        hidden = upsample_twice(masks).flatten(2) < 0
        pixels = image.flatten(1, 2)
        seen = attend(f"{block}region_to_image", pixels, queries, hidden)
        queries = norm(f"{block}region_to_image_norm", queries + seen)
        queries = norm(f"{block}ff_region_norm", queries + ffn(f"{block}ff_region", queries))
        pixels = norm(f"{block}image_to_region_norm", pixels + attend(f"{block}image_to_region", queries, pixels))
        pixels = norm(f"{block}ff_image_norm", pixels + ffn(f"{block}ff_image", pixels))
        image = pixels.unflatten(1, (rows, columns))
        masks, classes = seg_head(params, f"{root}segmentation_cls_head", queries, image)
        pyramid.append(image)
        all_masks.append(masks)
    return Perceived(queries, pyramid, all_masks, classes)
