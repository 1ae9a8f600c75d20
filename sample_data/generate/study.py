"""Labelled planes of a source, as many as are wanted and always the same for a seed.

Cuts scans of `sources` into planes as the engine does (`scan.Film`) and decides which planes are worth showing.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medsight_core.terminology import split_side
from sample_data.generate.scan import Film, Picture
from sample_data.generate.sources import Material, Source

_EMPTY = 0.1  # how often a plane without any structure is kept


@dataclass(frozen=True)
class LabelledPlane:
    """A plane as a model is shown it, with what it shows.

    image: uint8 (S, S). masks: visible name -> bool (S, S); they may overlap (a brain and its parts). names: all that
    planes of this kind are labelled with: one without a mask is not there. unclear: names of which only a tip is seen,
    which are neither there nor not there. modality: "CT", "MR" or "US". subject: whose image it is, or was made from.
    """

    image: np.ndarray
    masks: dict[str, np.ndarray]
    names: tuple[str, ...]
    unclear: tuple[str, ...]
    modality: str
    orientation: str
    subject: str
    source: str


def labelled_planes(
    source: Source, material: Material, count: int, seed: int, side: int = 256, held_out: bool = False
) -> Iterator[LabelledPlane]:
    """``count`` planes of subjects to train on or of held-out ones, in pictures of ``side`` pixels.

    Raises NotFoundError when the source's material is missing, InputError when nobody of it can be held out.
    """
    per_scan = source.kind.per_scan
    for unit in range(-(-count // per_scan)):
        planes = planes_of_scan(source, material, unit, seed, side, held_out)
        yield from planes[: count - unit * per_scan]


def planes_of_scan(
    source: Source, material: Material, unit: int, seed: int, side: int, held_out: bool
) -> list[LabelledPlane]:
    """The planes of a source's scan number ``unit``; they depend on nothing but the arguments."""
    rng = np.random.default_rng([seed, zlib.crc32(source.name.encode()), unit, held_out])
    subject = source.draw_subject(material, held_out, rng)
    scan, window = source.scan(material, subject, rng)
    film = Film(scan, side, window)
    shares = source.kind.shares
    planes = []
    for _ in range(source.kind.per_scan):
        orientation = str(rng.choice(list(shares), p=list(shares.values())))
        picture = _telling_picture(film, orientation, rng)
        names, masks, unclear = source.names, picture.masks, picture.unclear
        if orientation == "sagittal":
            names, masks, unclear = without_sides(names, masks, unclear)
        planes.append(
            LabelledPlane(picture.image, masks, names, unclear, scan.volume.modality, orientation, subject, source.name)
        )
    return planes


def without_sides(
    names: Sequence[str], masks: Mapping[str, np.ndarray], unclear: Sequence[str]
) -> tuple[tuple[str, ...], dict[str, np.ndarray], tuple[str, ...]]:
    """Names, masks and unclear names of a sagittal plane, where nobody can tell left from right.

    What it shows of either side is the thing itself.
    """
    merged: dict[str, np.ndarray] = {}
    for name, mask in masks.items():
        base = split_side(name)[1]
        merged[base] = merged[base] | mask if base in merged else mask
    tips = dict.fromkeys(base for base in (split_side(name)[1] for name in unclear) if base not in merged)
    return tuple(dict.fromkeys(split_side(name)[1] for name in names)), merged, tuple(tips)


def _telling_picture(film: Film, orientation: str, rng: np.random.Generator) -> Picture:
    """A random plane, most often one that shows something."""
    while True:
        picture = film.picture(orientation, int(rng.integers(film.count(orientation))))
        if picture.masks or rng.random() < _EMPTY:
            return picture
