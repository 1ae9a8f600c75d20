"""The part of a picture that the vision encoder sees, and the way back from its mask maps to pixels.

Knows the encoder's preprocessing geometry (short side resized to a fixed length, then a centre crop) and nothing of
patient space, windows or tensors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

_CHUNK = 16  # maps painted at once


@dataclass(frozen=True)
class VisibleBox:
    """Resize and centre crop of one picture size; build it with `VisibleBox.of`.

    rows, cols: the picture.
    side: edge of the square that the encoder takes.
    resized: width and height after resizing; offset: left and top of the crop in the resized picture.
    """

    rows: int
    cols: int
    side: int
    resized: tuple[int, int]
    offset: tuple[int, int]

    @classmethod
    def of(cls, rows: int, cols: int, side: int = 336) -> VisibleBox:
        """The geometry for pictures of rows x cols: the short side becomes ``side``, the long one is truncated."""
        short = min(rows, cols)
        resized = (
            side if cols == short else int(side * cols / short),
            side if rows == short else int(side * rows / short),
        )
        return cls(rows, cols, side, resized, (round((resized[0] - side) / 2), round((resized[1] - side) / 2)))

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Visible rectangle (x0, y0, x1, y1) in the picture's pixel edges: 0 is the left edge of column 0."""
        scale_x, scale_y = self.cols / self.resized[0], self.rows / self.resized[1]
        left, top = self.offset
        return left * scale_x, top * scale_y, (left + self.side) * scale_x, (top + self.side) * scale_y

    def apply(self, image: Image.Image) -> Image.Image:
        """What the encoder sees of ``image``: side x side pixels (bicubic, antialiased)."""
        if image.size != (self.cols, self.rows):
            raise ValueError(f"an image of {image.size} does not fit a box for {(self.cols, self.rows)}")
        left, top = self.offset
        resized = image if image.size == self.resized else image.resize(self.resized, Image.Resampling.BICUBIC)
        return resized.crop((left, top, left + self.side, top + self.side))

    def paint(self, maps: np.ndarray, fill: float) -> np.ndarray:
        """Maps (n, m, m) that span exactly the box, at the picture's pixel centres: float32 (n, rows, cols).

        Bilinear between map cells, edge cells continued to the box's edge; ``fill`` outside the box.
        """
        x0, y0, x1, y1 = self.box
        painted = np.full((len(maps), self.rows, self.cols), fill, np.float32)
        rows, low_row, high_row, weight_row = _cells(self.rows, y0, y1, maps.shape[1])
        cols, low_col, high_col, weight_col = _cells(self.cols, x0, x1, maps.shape[2])
        for start in range(0, len(maps), _CHUNK):  # in parts, so that little memory is needed beyond the result
            part = maps[start : start + _CHUNK].astype(np.float32, copy=False)
            upper = part[:, low_row]
            lines = upper + (part[:, high_row] - upper) * weight_row[:, None]  # (n, rows, m)
            left = lines[:, :, low_col]
            painted[start : start + _CHUNK, rows, cols] = left + (lines[:, :, high_col] - left) * weight_col
        return painted


def _cells(count: int, start: float, stop: float, cells: int) -> tuple[slice, np.ndarray, np.ndarray, np.ndarray]:
    """Pixels whose centres lie in [start, stop]; for each the two nearest map cells and the weight of the second."""
    centres = np.arange(count) + 0.5
    inside = np.flatnonzero((centres >= start) & (centres <= stop))
    position = np.clip((centres[inside] - start) / (stop - start) * cells - 0.5, 0, cells - 1)
    low = np.floor(position).astype(np.intp)
    high = np.minimum(low + 1, cells - 1)
    return slice(inside[0], inside[-1] + 1), low, high, (position - low).astype(np.float32)
