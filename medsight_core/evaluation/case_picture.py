"""The picture of a case: what the model was shown, what it outlined, and what the reference outlines.

Knows pixels only. Both outlines are told apart by hue and by stroke, the reference being dashed.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from scipy.ndimage import binary_dilation, binary_erosion

REFERENCE, FOUND, UNSEEN = (64, 196, 255), (255, 171, 64), (150, 150, 150)  # blue, orange, grey

_SIDE = 360  # pixels of the longer side
_DASH = 6  # pixels


def draw(
    picture: Image.Image,
    found: np.ndarray | None = None,
    reference: np.ndarray | None = None,
    visible: tuple[float, float, float, float] | None = None,
) -> bytes:
    """A JPEG of at most 360 x 360 pixels.

    found, reference: bool (rows, columns) of the picture. visible: the part that the model saw, (x0, y0, x1, y1) in the
    picture's pixels; what lies outside is darkened.
    """
    scale = _SIDE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    shown = np.asarray(picture.convert("RGB").resize(size, Image.Resampling.BICUBIC)).copy()
    if visible is not None:
        x0, y0, x1, y1 = (round(edge * scale) for edge in visible)
        seen = np.zeros(shown.shape[:2], bool)
        seen[y0:y1, x0:x1] = True
        shown[~seen] //= 2
        shown[binary_dilation(seen, border_value=1) & ~seen] = UNSEEN
    rows, cols = np.indices(shown.shape[:2])
    for mask, color, stroke in ((reference, REFERENCE, (rows + cols) // _DASH % 2 == 0), (found, FOUND, True)):
        if mask is not None:
            small = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
            shown[binary_dilation(small) & ~binary_erosion(small) & stroke] = color
    file = io.BytesIO()
    Image.fromarray(shown).save(file, "JPEG", quality=88)
    return file.getvalue()
