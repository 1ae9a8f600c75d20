"""Contact sheets of generated planes, for people to look at: each picture beside itself with its outlines.

python -m sample_data.generate.gallery --labels DIR --out gallery
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from medsight_core.errors import NotFoundError, run_program
from medsight_core.terminology import color
from sample_data.generate.sources import Material, Source, sources
from sample_data.generate.study import LabelledPlane, planes_of_scan

_COVERING = ("brain", "body", "soft tissue")  # drawn thinly: other outlines lie within
_LINE = 13  # pixels of a caption
_COLOURS = 96  # of a sheet's palette: half the bytes, and nobody sees the difference


def outlined(plane: LabelledPlane) -> np.ndarray:
    """The picture with the outline of each mask in the colour of its name, uint8 (S, S, 3)."""
    picture = np.repeat(plane.image[..., None], 3, axis=2)
    for name, mask in sorted(plane.masks.items(), key=lambda item: item[0] not in _COVERING):
        inner = mask.copy()
        for axis in (0, 1):
            for shift in (-1, 1):
                inner &= np.roll(mask, shift, axis)
        picture[mask & ~inner] = np.rint(255 * np.array(color(name)))
    return picture


def sheet(planes: Sequence[LabelledPlane], columns: int = 4) -> Image.Image:
    """Planes in rows of ``columns``, each as it is and outlined, with what it is below."""
    side = planes[0].image.shape[0]
    rows = -(-len(planes) // columns)
    page = Image.new("RGB", (2 * side * columns, (side + _LINE) * rows))
    draw = ImageDraw.Draw(page)
    for number, plane in enumerate(planes):
        left, top = 2 * side * (number % columns), (side + _LINE) * (number // columns)
        page.paste(Image.fromarray(plane.image), (left, top))
        page.paste(Image.fromarray(outlined(plane)), (left + side, top))
        caption = f"{plane.source}, {plane.orientation}, {len(plane.masks)} masks, {plane.subject}"
        draw.text((left + 2, top + side), caption[: 2 * side // 6], fill=(230, 230, 230))
    return page


def write_sheets(
    out: Path, chosen: Sequence[Source], material: Material, planes: int, seed: int, side: int
) -> list[Path]:
    """One PNG a source whose material is there, in the folder ``out``; at most two planes of a scan."""
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for source in chosen:
        shown: list[LabelledPlane] = []
        try:
            while len(shown) < planes:
                unit = len(shown)
                shown += planes_of_scan(source, material, unit, seed, side, held_out=False)[: min(2, planes - unit)]
        except NotFoundError as error:
            print(f"{source.name}: left out. {error}")
            continue
        path = out / f"{source.name}.png"
        sheet(shown).quantize(_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
        paths.append(path)
    return paths


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sample_data.generate.gallery", description="Contact sheets.")
    parser.add_argument("--out", type=Path, default=Path("gallery"))
    parser.add_argument("--sources", default="", help="as 'medsight data generate' takes them; all when left out")
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--fetal", type=Path)
    parser.add_argument("--studies", type=Path, default=Material.studies)
    parser.add_argument("--cranium", type=Path, default=Material.cranium)
    parser.add_argument("--planes", type=int, default=16)
    parser.add_argument("--side", type=int, default=192)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    material = Material(options.labels, options.fetal, options.studies, options.cranium)

    def program() -> None:
        chosen = sources([word for word in options.sources.split(",") if word])
        for path in write_sheets(options.out, chosen, material, options.planes, options.seed, options.side):
            print(path)

    return run_program(program)


if __name__ == "__main__":
    sys.exit(main())
