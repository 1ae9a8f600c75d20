"""Contact sheets of generated planes, for people to look at: each picture beside itself with its outlines, and a key.

python -m sample_data.generate.gallery --labels DIR --out gallery
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from medsight_core.errors import NotFoundError, run_program
from medsight_core.terminology import color, split_side
from sample_data.generate.sources import Material, Source, sources
from sample_data.generate.study import LabelledPlane, planes_of_scan

_COVERING = ("brain", "body", "soft tissue")  # drawn thinly: other outlines lie within
_LINE = 13  # pixels of a line of text
_MARGIN = 4  # beside it
_INK = (230, 230, 230)
_FONT = ImageFont.load_default()
_GREYS = 64  # of a sheet's palette


def outlined(plane: LabelledPlane) -> np.ndarray:
    """The picture with the outline of each mask in the colour of its name, uint8 (S, S, 3)."""
    picture = np.repeat(plane.image[..., None], 3, axis=2)
    for name, mask in sorted(plane.masks.items(), key=lambda item: item[0] not in _COVERING):
        inner = mask.copy()
        for axis in (0, 1):
            for shift in (-1, 1):
                inner &= np.roll(mask, shift, axis)
        picture[mask & ~inner] = _rgb(name)
    return picture


def sheet(planes: Sequence[LabelledPlane], columns: int = 4) -> Image.Image:
    """Planes in rows of ``columns``, each as it is and outlined, with what it is below; a colour key under all."""
    side = planes[0].image.shape[0]
    names = {name for plane in planes for name in plane.masks}
    captions = [
        wrapped(f"{plane.source}, {plane.orientation}, {len(plane.masks)} masks, {plane.subject}", 2 * side - _MARGIN)
        for plane in planes
    ]
    height = side + _LINE * max(map(len, captions)) + _MARGIN
    rows = -(-len(planes) // columns)
    key = colour_key(names, 2 * side * columns)
    page = Image.new("RGB", (key.width, height * rows + key.height))
    draw = ImageDraw.Draw(page)
    for number, (plane, caption) in enumerate(zip(planes, captions)):
        left, top = 2 * side * (number % columns), height * (number // columns)
        page.paste(Image.fromarray(plane.image), (left, top))
        page.paste(Image.fromarray(outlined(plane)), (left + side, top))
        for line, text in enumerate(caption):
            draw.text((left + _MARGIN // 2, top + side + line * _LINE), text, fill=_INK, font=_FONT)
    page.paste(key, (0, height * rows))
    # The key's own colours and some greys: a small file, and no two colours of the key become one.
    palette = Image.new("P", (1, 1))
    greys = [grey for grey in np.linspace(0, 255, _GREYS).round().astype(int).tolist() for _ in range(3)]
    palette.putpalette([part for name in names for part in _rgb(name)] + greys)
    return page.quantize(palette=palette, dither=Image.Dither.NONE)


def wrapped(text: str, width: int) -> list[str]:
    """The words of a text in lines of at most ``width`` pixels; a word that is longer has its own."""
    lines: list[str] = []
    for word in text.split():
        if lines and _FONT.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def colour_key(names: Iterable[str], width: int) -> Image.Image:
    """A strip of ``width`` pixels with a square in the colour of each name, left and right side by side."""
    ordered = sorted(names, key=lambda name: split_side(name)[::-1])
    cell = _LINE + 3 * _MARGIN + int(max((_FONT.getlength(name) for name in ordered), default=0))
    columns = max(1, width // cell)
    strip = Image.new("RGB", (width, (_LINE + _MARGIN) * -(-len(ordered) // columns)))
    draw = ImageDraw.Draw(strip)
    for number, name in enumerate(ordered):
        left, top = _MARGIN + cell * (number % columns), (_LINE + _MARGIN) * (number // columns)
        draw.rectangle((left, top, left + _LINE - 1, top + _LINE - 1), fill=_rgb(name))
        draw.text((left + _LINE + _MARGIN, top), name, fill=_INK, font=_FONT)
    return strip


def _rgb(name: str) -> tuple[int, ...]:
    return tuple(round(255 * part) for part in color(name))


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
        sheet(shown).save(path, optimize=True)
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
