"""A convolutional vision tower: what a small model uses in place of CLIP's transformer, which has to be pretrained.

An encoder halves the image several times; a decoder brings what it saw back to the patch grid (U-Net, Ronneberger
2015). Convolutions know from the start that neighbours belong together, which a transformer has to learn from images.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from medsight_core.model.config import ConvolutionalTowerConfig

GROUPS = 8


class ResidualBlock(nn.Module):
    """Twice: norm, SiLU, 3x3 convolution; added to what came in (He 2016, with the activation first)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_convolution(width, width, 3), *_convolution(width, width, 3))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        return x + self.layers(x)


def places(image: Tensor) -> Tensor:
    """Where each pixel of (B, C, h, w) lies: row and column, -1..1, as (B, 2, h, w). Else left would be like right."""
    rows, columns = (torch.linspace(-1, 1, side, device=image.device, dtype=image.dtype) for side in image.shape[2:])
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij")).expand(len(image), -1, -1, -1)


class ConvolutionalTower(PreTrainedModel):
    """Encoder and decoder with a skip connection at each scale to the patch grid; called as `CLIPVisionModel` is."""

    config_class = ConvolutionalTowerConfig
    main_input_name = "pixel_values"

    def __init__(self, config: ConvolutionalTowerConfig) -> None:
        super().__init__(config)
        widths, finest = config.widths, config.finest
        self.halve = nn.ModuleList(nn.Conv2d(a + 2, b, 3, 2, 1) for a, b in zip((3, *widths), widths))
        self.encode = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(width) for _ in range(config.blocks if scale >= finest else 0)))
            for scale, width in enumerate(widths)
        )
        self.narrow = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in zip(widths[finest:], widths[finest + 1 :]))
        self.decode = nn.ModuleList(ResidualBlock(width) for width in widths[finest:-1])
        self.out = nn.Sequential(*_convolution(widths[finest], config.hidden_size, 1))
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Nothing to do: the layers initialise themselves."""

    def forward(self, pixel_values: Tensor, **_: Any) -> BaseModelOutput:
        """Normalised images (B, 3, S, S) to one set of hidden states (B, 1 + h*w, D): their mean, then the patches."""
        x = pixel_values.to(self.dtype).contiguous(memory_format=torch.channels_last)
        scales = []
        for halve, encode in zip(self.halve, self.encode):
            x = encode(halve(torch.cat([x, places(x)], dim=1)))
            scales.append(x)
        for finer, narrow, decode in reversed(list(zip(scales[self.config.finest :], self.narrow, self.decode))):
            doubled = F.interpolate(narrow(x), scale_factor=2, mode="bilinear", align_corners=False)
            x = decode(finer + doubled)
        patches = self.out(x).flatten(2).transpose(1, 2)  # (B, h*w, D)
        tokens = torch.cat([patches.mean(1, keepdim=True), patches], dim=1)
        return BaseModelOutput(last_hidden_state=tokens, hidden_states=(tokens,))


def _convolution(width: int, out: int, size: int) -> tuple[nn.Module, ...]:
    return nn.GroupNorm(GROUPS, width), nn.SiLU(), nn.Conv2d(width, out, size, padding=size // 2)
