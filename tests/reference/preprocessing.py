"""Reference of the image preparation and of the box it keeps: section 1 of the specification, on PIL images."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def resized_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Width and height after the shorter side became ``side``; the longer one is cut to a whole number."""
    if width <= height:
        return side, int(side * height / width)
    return int(side * width / height), side


def visible_box(width: int, height: int, side: int) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 in original pixels of what the centre crop keeps."""
    new_width, new_height = resized_size(width, height, side)
    left, top = round((new_width - side) / 2), round((new_height - side) / 2)
    to_x, to_y = width / new_width, height / new_height
    return left * to_x, top * to_y, (left + side) * to_x, (top + side) * to_y


def cell_centre(width: int, height: int, side: int, cells: int, row: int, column: int) -> tuple[float, float]:
    """x, y in original pixels of the middle of one cell of a mask map with ``cells`` rows and columns."""
    x0, y0, x1, y1 = visible_box(width, height, side)
    return x0 + (column + 0.5) * (x1 - x0) / cells, y0 + (row + 0.5) * (y1 - y0) / cells


def pixel_values(image: Image.Image, side: int) -> Tensor:
    """Normalised pixels (3, side, side) of an 8-bit grey or RGB image."""
    new_width, new_height = resized_size(*image.size, side)
    resized = image.resize((new_width, new_height), Image.Resampling.BICUBIC)
    left, top = round((new_width - side) / 2), round((new_height - side) / 2)
    cropped = resized.crop((left, top, left + side, top + side)).convert("RGB")
    channels = np.asarray(cropped, dtype=np.float64).transpose(2, 0, 1) / 255.0
    normalised = [(channel - mean) / std for channel, mean, std in zip(channels, MEAN, STD, strict=True)]
    return torch.tensor(np.stack(normalised), dtype=torch.float32)
