"""What can be asked about an image whose masks have codes: the things it shows, and the things it lacks.

Knows names, codes and masks; it writes no sentences.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Sequence

import numpy as np

from medsight_core.data.coded import CodedImage
from medsight_core.data.images import read_mask
from medsight_core.data.names import canonical, shows
from medsight_core.data.records import Conversation, Turn

MOST_MASKS = 5  # in a conversation (model-spec 5)


@dataclass(frozen=True)
class Target:
    """One thing that an image shows: its canonical name, its code, and the masks whose union it is."""

    name: str
    code: str
    masks: tuple[Path, ...]

    def read_mask(self) -> np.ndarray:
        """All its masks as one, bool (rows, cols)."""
        return np.logical_or.reduce([read_mask(path) for path in self.masks])


def targets_of(image: CodedImage) -> tuple[Target, ...]:
    """The things that an image shows, by name; several masks of one name are one target with their commonest code."""
    masks = defaultdict(list)
    for mask in image.masks:
        masks[canonical(mask.name)].append(mask)
    return tuple(
        Target(name, Counter(mask.code for mask in same).most_common(1)[0][0], tuple(mask.path for mask in same))
        for name, same in sorted(masks.items())
    )


def sample_targets(targets: Sequence[Target], most: int, most_masks: int, rng: random.Random) -> list[Target]:
    """At most ``most`` different targets in random order, with at most ``most_masks`` masks together."""
    chosen: list[Target] = []
    for target in rng.sample(targets, len(targets)):
        if len(chosen) < most and sum(len(each.masks) for each in (*chosen, target)) <= most_masks:
            chosen.append(target)
    return chosen


def to_conversation(id: str, image: CodedImage, turns: Sequence[Turn], targets: Sequence[Target]) -> Conversation:
    """A conversation about an image whose codes, in the order of its text, stand for ``targets``."""
    masks, codes = tuple(target.masks for target in targets), tuple(target.code for target in targets)
    return Conversation(id, (image.path,), tuple(turns), masks, codes)


class Inventory:
    """The names that each series of images is labelled with.

    A series is what one folder holds of one modality: there, a thing without a mask is a thing that is not to be seen.
    Elsewhere it may only be a thing that nobody labelled, and must not be called absent.
    """

    def __init__(self, images: Iterable[CodedImage]) -> None:
        self._names: defaultdict[tuple[int, Path], set[str]] = defaultdict(set)
        for image in images:
            self._names[_series(image)].update(canonical(mask.name) for mask in image.masks)

    def names(self, image: CodedImage) -> tuple[str, ...]:
        """All names that the image's series knows, in alphabetical order."""
        return tuple(sorted(self._names[_series(image)]))

    def absent(self, image: CodedImage) -> tuple[str, ...]:
        """The names of its series that the image shows nothing of."""
        seen = {canonical(mask.name) for mask in image.masks}
        return tuple(name for name in self.names(image) if not any(shows(shown, name) for shown in seen))


def _series(image: CodedImage) -> tuple[int, Path]:
    return image.modality, image.path.parent
