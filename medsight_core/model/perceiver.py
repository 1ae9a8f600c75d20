"""The Region Perceiver: region queries and image features refine each other over three scales (model-spec section 2).

One pass turns a patch grid and a set of queries into region vectors, masks and class logits. It runs twice for a
question: with its own learned queries (region tokens for the language model), and with projected code states as queries
(masks). Pure tensors: it knows nothing of images, text or what a class means.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from medsight_core.model.config import PerceiverConfig

MASKED_SCORE = -1e9
AT_ONCE = 1024  # pixels of a batch whose feed-forward is computed in one piece: its hidden map is the widest of all


@dataclass
class PerceiverOutput:
    """Result of one pass over ``n`` queries.

    queries: (B, n, D) region vectors.
    pyramid: image features of each scale, coarse to fine, each (B, D, h, w).
    scale_masks: mask logits after each scale, coarse to fine, each (B, n, h, w); the first is the stem's.
    scale_classes: class logits after each scale, each (B, n, C + 1); the last class is "no object".
    """

    queries: Tensor
    pyramid: list[Tensor]
    scale_masks: list[Tensor]
    scale_classes: list[Tensor]

    @property
    def masks(self) -> Tensor:
        """Mask logits at the finest scale, (B, n, 8h, 8w) for three stages."""
        return self.scale_masks[-1]

    @property
    def classes(self) -> Tensor:
        """Class logits of the finest scale, (B, n, C + 1)."""
        return self.scale_classes[-1]


def sine_position(height: int, width: int, dim: int, device: torch.device | None = None) -> Tensor:
    """Parameter-free position map (dim, height, width) in fp32: first half of the channels rows, second half columns.

    Row r = 1..height becomes the angle 2 pi r / (height + 1e-6); channel i uses the frequency
    10000^(-2 floor(i/2) / (dim/2)), sine on even and cosine on odd channels (model-spec section 2.1).
    """
    half = dim // 2
    channel = torch.arange(half, device=device)
    frequency = 10000.0 ** (2 * (channel // 2) / half)

    def encode(length: int) -> Tensor:
        angle = torch.arange(1, length + 1, device=device) / (length + 1e-6) * (2 * math.pi)
        phase = angle[:, None] / frequency  # (length, half)
        return torch.where(channel % 2 == 0, phase.sin(), phase.cos()).float()  # (length, half)

    rows, columns = encode(height)[:, None].expand(-1, width, -1), encode(width)[None].expand(height, -1, -1)
    return torch.cat([rows, columns], dim=-1).permute(2, 0, 1)  # in memory the channels are last, as of the image


def positions_of(image: Tensor) -> Tensor:
    """`sine_position` (D, h, w) for features (B, D, h, w), in their own precision."""
    _, dim, height, width = image.shape
    return sine_position(height, width, dim, image.device).to(image.dtype)


def double(maps: Tensor) -> Tensor:
    """Bilinear enlargement by two, (B, C, h, w) -> (B, C, 2h, 2w)."""
    return F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)


def double_and_filter(image: Tensor, conv: nn.Conv2d) -> Tensor:
    """``conv(double(image))`` for a 3 x 3 convolution, with a quarter of the products; (B, D, h, w) -> (B, D, 2h, 2w).

    Enlarging treats every channel alike and a tap of the convolution treats every pixel alike, so they change places:
    each of the nine taps filters the small map, and what it gives is enlarged, shifted and added.
    """
    enlarged: Tensor = _DoubleAndFilter.apply(image, conv.weight, conv.bias)
    return enlarged


class _DoubleAndFilter(torch.autograd.Function):
    """`double_and_filter` with a gradient of its own: recorded step by step it copies the large map forty times."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(image, weight)
        pixels = image.permute(0, 2, 3, 1)  # (B, h, w, D)
        batch, height, width, _ = pixels.shape
        total = bias.expand(batch, 2 * height, 2 * width, -1).contiguous()
        for row, column in _TAPS:
            filtered = (pixels @ weight[:, :, 1 + row, 1 + column].T).permute(0, 3, 1, 2)
            enlarged = double(filtered).permute(0, 2, 3, 1)
            (to_rows, from_rows), (to_columns, from_columns) = _shift(row), _shift(column)
            total[:, to_rows, to_columns] += enlarged[:, from_rows, from_columns]
        return total.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        image, weight = ctx.saved_tensors
        batch, dim, height, width = image.shape
        pixels = image.permute(0, 2, 3, 1).reshape(-1, dim)
        of_pixels, of_weight = torch.zeros_like(pixels), torch.empty_like(weight)
        edged = F.pad(grad.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)).permute(0, 3, 1, 2)  # (B, D, 2h + 2, 2w + 2)
        for row, column in _TAPS:
            shifted = edged[:, :, 1 - row :, 1 - column :][:, :, : 2 * height, : 2 * width]
            halved = torch.ops.aten.upsample_bilinear2d_backward(
                shifted.contiguous(memory_format=torch.channels_last),
                (2 * height, 2 * width), (batch, len(weight), height, width), False, None, None,
            )  # fmt: skip
            filtered = halved.permute(0, 2, 3, 1).reshape(-1, len(weight))
            of_pixels.addmm_(filtered, weight[:, :, 1 + row, 1 + column])
            if ctx.needs_input_grad[1]:
                of_weight[:, :, 1 + row, 1 + column] = filtered.T @ pixels
        of_image = of_pixels.unflatten(0, (batch, height, width)).permute(0, 3, 1, 2)
        return of_image, of_weight, grad.sum((0, 2, 3))


_TAPS = tuple(itertools.product((-1, 0, 1), repeat=2))  # rows and columns by which a tap looks further on


def _shift(by: int) -> tuple[slice, slice]:
    """Where pixels go to and where they come from, along an axis on which each reads the one ``by`` further on."""
    return slice(max(0, -by), -by if by > 0 else None), slice(max(0, by), by if by < 0 else None)


def _autocasts(device: str) -> bool:
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


class CrossAttention(nn.Module):
    """Multi-head cross attention with a norm on each side and no positional term; the caller adds the residual."""

    def __init__(self, dim: int, num_heads: int, head_dim: int) -> None:
        super().__init__()
        self.num_heads, self.head_dim = num_heads, head_dim
        inner = num_heads * head_dim
        self.norm_kv = nn.LayerNorm(dim)
        self.norm_q = nn.LayerNorm(dim)
        self.q = nn.Linear(dim, inner, bias=False)
        self.kv = nn.Linear(dim, 2 * inner, bias=False)
        self.out = nn.Linear(inner, dim, bias=False)

    def forward(self, kv: Tensor, q: Tensor, blocked: Tensor | None = None) -> Tensor:
        """``q`` (B, n, D) reads from ``kv`` (B, m, D), not from where ``blocked`` (B, n, m) is True; gives (B, n, D).

        A query that is blocked everywhere averages all values uniformly, as the official model does.
        """
        key, value = self.kv(self.norm_kv(kv)).chunk(2, dim=-1)
        query = self._heads(self.q(self.norm_q(q)))  # (B, heads, n, head_dim)
        if blocked is None:
            mixed = F.scaled_dot_product_attention(query, self._heads(key), self._heads(value))
        else:
            scores = (query * self.head_dim**-0.5) @ self._heads(key).transpose(-1, -2)  # (B, heads, n, m)
            # Filling, not adding: equal scores are what makes a fully blocked query uniform.
            scores = scores.masked_fill(blocked[:, None], max(MASKED_SCORE, torch.finfo(scores.dtype).min))
            mixed = scores.softmax(dim=-1) @ self._heads(value)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)


class FeedForward(nn.Module):
    """Norm, widen, GELU, narrow; no biases outside the norm. The caller adds the residual."""

    def __init__(self, dim: int, ratio: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.up = nn.Linear(dim, dim * ratio, bias=False)
        self.down = nn.Linear(dim * ratio, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        return self.down(F.gelu(self.up(self.norm(x))))


class SegmentationHead(nn.Module):
    """Mask logits as plain dot products of embedded queries and pixels, class logits as a linear map of the query."""

    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__()
        self.mask_embed = nn.Linear(dim, dim)
        self.classes = nn.Linear(dim, num_classes + 1)  # + 1: "no object", last

    def forward(self, queries: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """``queries`` (B, n, D) and ``pixels`` (B, D, h, w) give masks (B, n, h, w) and classes (B, n, C + 1)."""
        embedded = self.mask_embed(queries)
        masks = torch.bmm(embedded, pixels.flatten(2).to(embedded.dtype))
        return masks.unflatten(-1, pixels.shape[-2:]), self.classes(queries)


class Stem(nn.Module):
    """First look of the queries at the coarse patch grid; the image side is not updated."""

    def __init__(self, config: PerceiverConfig, dim: int) -> None:
        super().__init__()
        self.attn = CrossAttention(dim, config.num_heads, config.head_dim)
        self.attn_norm = nn.LayerNorm(dim)
        self.ffn = FeedForward(dim, config.ffn_ratio)
        self.ffn_norm = nn.LayerNorm(dim)

    def forward(self, queries: Tensor, pixels: Tensor) -> Tensor:
        """``queries`` (B, n, D) after reading ``pixels`` (B, h*w, D)."""
        queries = self.attn_norm(queries + self.attn(pixels, queries))
        return self.ffn_norm(queries + self.ffn(queries))


class Stage(nn.Module):
    """One scale: double the resolution, let regions read their part of the image, then the image read the regions."""

    def __init__(self, config: PerceiverConfig, dim: int) -> None:
        super().__init__()
        self.upsample_conv = nn.Conv2d(dim, dim, 3, padding=1)
        self.region_attn = CrossAttention(dim, config.num_heads, config.head_dim)
        self.region_attn_norm = nn.LayerNorm(dim)
        self.region_ffn = FeedForward(dim, config.ffn_ratio)
        self.region_ffn_norm = nn.LayerNorm(dim)
        self.image_attn = CrossAttention(dim, config.num_heads, config.head_dim)
        self.image_attn_norm = nn.LayerNorm(dim)
        self.image_ffn = FeedForward(dim, config.ffn_ratio)
        self.image_ffn_norm = nn.LayerNorm(dim)

    def upsample(self, image: Tensor) -> Tensor:
        """(B, D, h, w) -> (B, D, 2h, 2w) with positions added."""
        conv = self.upsample_conv
        if conv.weight.dtype != torch.float32 or _autocasts(image.device.type):
            image = conv(double(image).to(conv.weight.dtype))  # each of nine taps would be rounded to half precision
        else:
            image = double_and_filter(image, conv)
        return image + positions_of(image)

    def read_image(self, queries: Tensor, pixels: Tensor, coarse_masks: Tensor) -> Tensor:
        """Queries (B, n, D) attend to ``pixels`` (B, h*w, D) where their coarse mask logits are not negative."""
        blocked = (double(coarse_masks.float()) < 0).flatten(2).detach()
        queries = self.region_attn_norm(queries + self.region_attn(pixels, queries, blocked))
        return self.region_ffn_norm(queries + self.region_ffn(queries))

    def read_regions(self, pixels: Tensor, queries: Tensor, padding: Tensor | None = None) -> Tensor:
        """Pixels (B, h*w, D) attend to all queries (B, n, D) except where ``padding`` (B, n) is True."""
        parts = pixels.split(max(1, AT_ONCE // len(pixels)), dim=1)
        return torch.cat([self._update(part, queries, padding) for part in parts], dim=1)

    def _update(self, pixels: Tensor, queries: Tensor, padding: Tensor | None) -> Tensor:
        blocked = None if padding is None else padding[:, None].expand(-1, pixels.shape[1], -1)
        pixels = self.image_attn_norm(pixels + self.image_attn(queries, pixels, blocked))
        return self.image_ffn_norm(pixels + self.image_ffn(pixels))


class RegionPerceiver(nn.Module):
    """Turns a patch grid into ``num_queries`` region vectors, and queries of any kind into masks."""

    def __init__(self, config: PerceiverConfig, dim: int) -> None:
        super().__init__()
        self.config = config
        self.queries = nn.Parameter(torch.empty(1, config.num_queries, dim))
        self.class_queries = nn.Parameter(torch.empty(config.num_classes, dim)) if config.class_queries else None
        self.stem = Stem(config, dim)
        self.stages = nn.ModuleList(Stage(config, dim) for _ in range(config.num_stages))
        self.head = SegmentationHead(dim, config.num_classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initial weights of model-spec section 2.1: Xavier for linear maps and queries, Kaiming for convolutions."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
            elif isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            elif isinstance(module, nn.LayerNorm):
                nn.init.ones_(module.weight)
            if isinstance(bias := getattr(module, "bias", None), Tensor):
                nn.init.zeros_(bias)
        nn.init.xavier_uniform_(self.queries)
        if self.class_queries is not None:
            nn.init.normal_(self.class_queries, std=0.1)

    def forward(
        self,
        patches: Tensor,
        queries: Tensor | None = None,
        num_stages: int | None = None,
        padding: Tensor | None = None,
    ) -> PerceiverOutput:
        """A full pass: ``patches`` (B, h, w, D) with the learned queries, or with ``queries`` (B, n, D), n >= 1.

        num_stages: run only the first scales (training's coarse-to-fine schedule); all of them by default.
        padding: (B, n) True for queries that only fill up a ragged batch: they change nothing for the others. A row
            must keep one real query.
        """
        image, queries = self._start(patches, queries)
        masks, classes = self.head(queries, image)
        output = PerceiverOutput(queries, [image], [masks], [classes])
        for stage in self.stages[:num_stages]:
            image, queries = self._advance(stage, image, queries, output.scale_masks[-1], padding=padding)
            masks, classes = self.head(queries, image)
            output.pyramid.append(image)
            output.scale_masks.append(masks)
            output.scale_classes.append(classes)
        output.queries = queries
        return output

    def regions(self, patches: Tensor) -> Tensor:
        """Region vectors (B, N, D) of the learned queries alone: equal to ``forward(patches).queries``.

        They do not depend on the finest image update nor on the finest masks, nearly half of the work, left out here.
        """
        image, queries = self._start(patches, None)
        for index, stage in enumerate(self.stages):
            masks, _ = self.head(queries, image)
            last = index == len(self.stages) - 1
            image, queries = self._advance(stage, image, queries, masks, update_image=not last)
        return queries

    def _start(self, patches: Tensor, queries: Tensor | None) -> tuple[Tensor, Tensor]:
        image = patches.permute(0, 3, 1, 2)  # (B, D, h, w)
        image = image + positions_of(image)
        if queries is None:
            queries = self.queries.expand(len(patches), -1, -1)
        return image, self.stem(queries, image.flatten(2).transpose(1, 2))

    @staticmethod
    def _advance(
        stage: nn.Module,
        image: Tensor,
        queries: Tensor,
        coarse_masks: Tensor,
        update_image: bool = True,
        padding: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        assert isinstance(stage, Stage)  # noqa: S101 - ModuleList loses the type
        image = stage.upsample(image)
        pixels = image.flatten(2).transpose(1, 2)  # (B, h*w, D)
        queries = stage.read_image(queries, pixels, coarse_masks)
        if update_image:
            pixels = stage.read_regions(pixels, queries, padding)
            image = pixels.transpose(1, 2).unflatten(-1, image.shape[-2:])
        return image, queries
