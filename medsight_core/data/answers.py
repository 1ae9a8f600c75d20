"""The replies of grounded conversations: canonical names with codes, and what is plain from the masks.

They keep to the phrases that `medsight_core.engine.wording` reads: "The liver [M0_16] is outlined." and "The spleen is
not seen." This module knows nothing of how people ask.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Sequence

import numpy as np

from medsight_core.data.targets import Target
from medsight_core.engine.wording import is_plural, not_seen

NOTHING_SEEN = "Nothing that I know is seen."
NOTHING_ABNORMAL = "Nothing abnormal that I know is seen."

_CLEARLY_LARGER = 1.25
_CLEARLY_APART = 0.06  # of the picture's width
_THIRDS = (0.42, 0.58)  # between left, middle and right, as people call them


def answer(shown: Sequence[Target], absent: Sequence[str], asks: bool = False, where: str = "") -> str:
    """What is outlined, then what is not seen. asks: the question wants a yes or no. where: words behind "outlined"."""
    sentences = []
    if shown:
        things = [f"{target.name} [{target.code}]" for target in shown]
        listed = " and the ".join([", the ".join(things[:-1]), things[-1]] if len(things) > 1 else things)
        sentences.append(f"{'Yes, the' if asks else 'The'} {listed} {_be(*shown)} outlined{where}.")
    if absent:
        said = not_seen(absent)
        sentences.append(f"No, {said}" if asks and not shown else said[:1].upper() + said[1:])
    return " ".join(sentences)


def place(target: Target) -> str:
    """Where in the picture a target lies, to stand behind "outlined"."""
    across, (left, right) = _measure(target)[1], _THIRDS
    return (
        f" {'on the left' if across < left else 'on the right' if across > right else 'in the middle'} of the picture"
    )


def name_view(view: str) -> str:
    """ "This is an axial MR." """
    return f"This is {'an' if view[0].lower() in 'aeiou' else 'a'} {view}."


def largest(targets: Sequence[Target], most: int) -> list[Target]:
    """At most so many of the targets, those that cover most of the picture, in the order given."""
    kept = sorted(targets, key=lambda target: -_measure(target)[0] if target.masks else 0)[:most]
    return [target for target in targets if target in kept]


def compare_sizes(a: Target, b: Target) -> str | None:
    """Which one covers more of the picture; None when it is not clear."""
    small, large = sorted((a, b), key=lambda target: _measure(target)[0])
    if _measure(large)[0] < _CLEARLY_LARGER * _measure(small)[0]:
        return None
    return f"The {large.name} {_be(large)} larger."


def compare_sides(a: Target, b: Target) -> str | None:
    """Whether ``a`` lies left of ``b`` in the picture; None when it is not clear."""
    apart = _measure(a)[1] - _measure(b)[1]
    if abs(apart) < _CLEARLY_APART:
        return None
    return f"Yes, the {a.name} {_be(a)} farther left." if apart < 0 else f"No, the {a.name} {_be(a)} farther right."


def _be(*targets: Target) -> str:
    return "are" if len(targets) > 1 or is_plural(targets[0].name) else "is"


@lru_cache(maxsize=1024)  # many conversations are about one image
def _measure(target: Target) -> tuple[int, float]:
    """Pixels of a target's mask, and where between the picture's left (0) and right edge (1) its centre lies."""
    mask = target.read_mask()
    columns = np.flatnonzero(mask) % mask.shape[1]
    return columns.size, float((columns.mean() + 0.5) / mask.shape[1]) if columns.size else 0.5
