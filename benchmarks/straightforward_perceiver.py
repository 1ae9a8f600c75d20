"""The Region Perceiver as section 2.2 of the model specification writes it down, line by line, with torch's own layers.

What `benchmarks.perceiver` measures ours against: the same weights and numbers, and no thought of what is needed, where
the arithmetic is done or what lies in memory at once.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medsight_core.model.perceiver import CrossAttention, FeedForward, RegionPerceiver, Stage, sine_position


def perceive(model: RegionPerceiver, patches: Tensor, queries: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Queries (B, n, D) and masks (B, n, 8h, 8w) of patches (B, h, w, D), of the learned queries or of others."""
    image = patches.permute(0, 3, 1, 2)
    image = image + _positions(image)
    queries = model.queries.expand(len(patches), -1, -1) if queries is None else queries
    queries = model.stem.attn_norm(queries + _attention(model.stem.attn, _pixels(image), queries))
    queries = model.stem.ffn_norm(queries + _feed_forward(model.stem.ffn, queries))
    masks = _masks(model, queries, image)
    for stage in model.stages:
        assert isinstance(stage, Stage)
        image = stage.upsample_conv(_twice(image))
        image = image + _positions(image)
        hidden = (_twice(masks) < 0).flatten(2)
        pixels = _pixels(image)
        queries = stage.region_attn_norm(queries + _attention(stage.region_attn, pixels, queries, hidden))
        queries = stage.region_ffn_norm(queries + _feed_forward(stage.region_ffn, queries))
        pixels = stage.image_attn_norm(pixels + _attention(stage.image_attn, queries, pixels))
        pixels = stage.image_ffn_norm(pixels + _feed_forward(stage.image_ffn, pixels))
        image = pixels.transpose(1, 2).unflatten(-1, image.shape[-2:])
        masks = _masks(model, queries, image)
        model.head.classes(queries)
    return queries, masks


def _positions(image: Tensor) -> Tensor:
    return sine_position(image.shape[2], image.shape[3], image.shape[1])


def _pixels(image: Tensor) -> Tensor:
    return image.flatten(2).transpose(1, 2)  # (B, h*w, D)


def _twice(maps: Tensor) -> Tensor:
    return F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)


def _masks(model: RegionPerceiver, queries: Tensor, image: Tensor) -> Tensor:
    return torch.bmm(model.head.mask_embed(queries), image.flatten(2)).unflatten(-1, image.shape[-2:])


def _attention(layer: CrossAttention, kv: Tensor, q: Tensor, hidden: Tensor | None = None) -> Tensor:
    keys, values = layer.kv(layer.norm_kv(kv)).chunk(2, dim=-1)
    queries = layer.q(layer.norm_q(q))
    queries, keys, values = (
        part.unflatten(-1, (layer.num_heads, layer.head_dim)).transpose(1, 2) for part in (queries, keys, values)
    )
    scores = (queries * layer.head_dim**-0.5) @ keys.transpose(-1, -2)
    if hidden is not None:
        scores = scores.masked_fill(hidden[:, None], -1e9)
    return layer.out((scores.softmax(dim=-1) @ values).transpose(1, 2).flatten(2))


def _feed_forward(layer: FeedForward, x: Tensor) -> Tensor:
    return layer.down(nn.functional.gelu(layer.up(layer.norm(x))))
