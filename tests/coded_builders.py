"""Small coded images on disk: squares for organs, with a code for each name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from medsight_core.data.coded import CodedImage, CodedMask

CODES = {
    "liver": "M0_16",
    "spleen": "M0_7",
    "right kidney": "M0_19",
    "left kidney": "M0_26",
    "aorta": "M0_1",
    "tumour": "M0_25",
}
SIDE = 32
# name -> columns and rows; the liver is large and left, the spleen small and right
PLACES = {
    "liver": (2, 14, 4, 20),
    "spleen": (24, 29, 8, 14),
    "right kidney": (6, 10, 22, 27),
    "left kidney": (22, 26, 22, 27),
    "aorta": (15, 17, 18, 20),
    "tumour": (4, 8, 8, 12),
}


def coded_image(
    folder: Path, name: str, shown: tuple[str, ...], modality: int = 0, spellings: Mapping[str, str] | None = None
) -> CodedImage:
    """An image ``folder/name.png`` that shows the named organs. spellings: how the data set writes a name."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((SIDE, SIDE), 40, np.uint8)).save(folder / f"{name}.png")
    masks = []
    for number, organ in enumerate(shown):
        left, right, top, bottom = PLACES[organ]
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[top:bottom, left:right] = 255
        path = folder / f"{name}_{organ.replace(' ', '+')}.png"
        Image.fromarray(mask).save(path)
        masks.append(CodedMask(f"{name}-{number}", path, (spellings or {}).get(organ, organ), CODES[organ]))
    return CodedImage(f"{folder.name}/{name}", folder / f"{name}.png", modality, tuple(masks))


def coded_images(root: Path) -> list[CodedImage]:
    """A series in which every organ is missing in some image, with images that show all, all but one, and nothing."""
    names = list(CODES)
    shown = [tuple(name for k, name in enumerate(names) if (n + k) % 3) for n in range(10)]
    return [
        coded_image(root / "ct", f"{n:02d}", organs)
        for n, organs in enumerate([*shown, tuple(names), tuple(names[1:]), ()])
    ]
