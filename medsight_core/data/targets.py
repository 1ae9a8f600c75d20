"""What can be asked about an image whose masks have codes: the things it shows, and the things it lacks.

Knows names, codes and masks; it writes no sentences.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Mapping, Sequence

import numpy as np

from medsight_core.data.coded import CodedImage
from medsight_core.data.images import read_mask
from medsight_core.data.names import canonical, shows
from medsight_core.data.records import Conversation, Turn

MOST_MASKS = 5  # in a conversation (model-spec 5)

_Key = tuple[int, Path]  # modality and folder of a series


@dataclass(frozen=True)
class Target:
    """One thing that an image shows: its canonical name, its code, and the masks whose union it is.

    Without masks it is a thing known to be in the scan, with no outline on this image.
    """

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


def to_conversation(
    id: str, image: CodedImage | None, turns: Sequence[Turn], targets: Sequence[Target]
) -> Conversation:
    """A conversation whose codes, in the order of its text, stand for ``targets``; image: None for text only."""
    return Conversation(
        id,
        (image.path,) if image else (),
        tuple(turns),
        masks=tuple(target.masks for target in targets),
        codes=tuple(target.code for target in targets),
        names=tuple(target.name for target in targets),
    )


@dataclass(frozen=True)
class Series:
    """What images of one kind are labelled with. view: words for them ("axial MR"); codes: commonest code by name."""

    view: str
    codes: Mapping[str, str]


class Inventory:
    """The names that each series of images is labelled with.

    A series is what one folder holds of one modality: there, a thing without a mask is a thing that is not to be seen.
    Elsewhere it may only be a thing that nobody labelled, and must not be called absent.
    """

    def __init__(self, images: Iterable[CodedImage]) -> None:
        self._codes: defaultdict[_Key, defaultdict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        self._views: defaultdict[_Key, set[str]] = defaultdict(set)
        for image in images:
            self._views[_series(image)].add(image.view)
            for target in targets_of(image):
                self._codes[_series(image)][target.name][target.code] += 1

    def names(self, image: CodedImage) -> tuple[str, ...]:
        """All names that the image's series knows, in alphabetical order."""
        return tuple(sorted(self._codes[_series(image)]))

    def absent(self, image: CodedImage) -> tuple[str, ...]:
        """The names of its series that the image shows nothing of."""
        seen = {canonical(mask.name) for mask in image.masks}
        return tuple(name for name in self.names(image) if not any(shows(shown, name) for shown in seen))

    def code(self, image: CodedImage, name: str) -> str | None:
        """The commonest code of a name in the image's series; None for a name that it does not know."""
        codes = self._codes[_series(image)].get(name)
        return codes.most_common(1)[0][0] if codes else None

    def all_names(self) -> tuple[str, ...]:
        """The names of all series, in alphabetical order."""
        return tuple(sorted({name for codes in self._codes.values() for name in codes}))

    def series(self) -> tuple[Series, ...]:
        """All series that know any names, once for each of their views."""
        return tuple(
            Series(view, {name: counts.most_common(1)[0][0] for name, counts in sorted(codes.items())})
            for key, codes in sorted(self._codes.items())
            if codes
            for view in sorted(self._views[key])
        )


def _series(image: CodedImage) -> _Key:
    return image.modality, image.path.parent
