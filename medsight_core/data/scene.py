"""What a conversation can be about: what is there, what is not, and the line of detections that says so.

Without the line the masks of an image decide. With it, the line does: it leaves out some of what the image shows, as a
detector misses things, and may name what lies elsewhere in the scan. This module writes no sentences.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Iterable, Sequence

from medsight_core.data.coded import CodedImage
from medsight_core.data.names import canonical, shows
from medsight_core.data.targets import Inventory, Series, Target, targets_of
from medsight_core.engine.context import context_line
from medsight_core.terminology import SIDES, split_side

_MISSED = 0.08  # share of an image's things that a detector overlooks
_SCANS, _MOST_ELSEWHERE = 0.5, 6  # share of lines about a whole scan, and how many things these may add
_MIXED = 0.2  # share of lines without an image that name things of two series


@dataclass(frozen=True)
class Scene:
    """What may be asked for.

    shown: what is answered as outlined; absent: names that its series knows and that are answered as not seen.
    elsewhere: names of other series, asked for only in conversations with a ``line``. view: words such as "axial MR".
    """

    shown: tuple[Target, ...]
    absent: tuple[str, ...]
    elsewhere: tuple[str, ...] = ()
    view: str = ""
    line: str = ""

    def lacks(self, name: str) -> bool:
        """Whether nothing shown could be meant by a name."""
        return not any(shows(target.name, name) for target in self.shown)

    def meant(self, name: str) -> list[Target]:
        """What a name stands for: that thing, both its sides, or the thing whose side nobody knows; none if absent."""
        there = {target.name: target for target in self.shown}
        side, base = split_side(name)
        wider = [base] if side else [f"{each} {base}" for each in SIDES]
        return [there[name]] if name in there else [there[other] for other in wider if other in there]

    def bases(self) -> list[str]:
        """The names without side of what its series knows as left and right."""
        known = {*self.absent, *(target.name for target in self.shown)}
        sided = {base for side, base in map(split_side, known) if side}
        return sorted(base for base in sided if all(f"{side} {base}" in known for side in SIDES))


def pictured(image: CodedImage, inventory: Inventory) -> Scene:
    """An image about which nothing is told."""
    return Scene(targets_of(image), inventory.absent(image))


def told(image: CodedImage, inventory: Inventory, order: Sequence[str], rng: random.Random) -> Scene:
    """An image with the line that a detector writes: ``image.seen``, or what is drawn by chance.

    order: names in the order in which the line lists them; others follow by alphabet.
    """
    own, known = {target.name: target for target in targets_of(image)}, inventory.names(image)
    if image.seen is None:
        listed = {name for name in own if rng.random() >= _MISSED}
        others = [name for name in known if name not in own]
        if others and rng.random() < _SCANS:
            listed.update(rng.sample(others, min(len(others), rng.randint(1, _MOST_ELSEWHERE))))
    else:
        listed = {canonical(name) for name in image.seen}
    codes = {name: code for name in listed if (code := inventory.code(image, name))}
    shown = [own.get(name) or Target(name, code, ()) for name, code in codes.items()]
    return _with_line(image.view, shown, known, inventory.all_names(), order)


def imagined(series: Sequence[Series], order: Sequence[str], rng: random.Random) -> Scene:
    """A line without an image: any share of what one of the series knows, sometimes with things of another."""
    own, other = rng.choice(series), rng.choice(series)
    share = rng.random()
    codes = {name: code for name, code in own.codes.items() if rng.random() < share}
    if rng.random() < _MIXED:
        for name in rng.sample(list(other.codes), min(len(other.codes), rng.randint(1, _MOST_ELSEWHERE))):
            codes.setdefault(name, own.codes.get(name, other.codes[name]))
    everything = {name for each in series for name in each.codes}
    shown = [Target(name, code, ()) for name, code in codes.items()]
    return _with_line(own.view, shown, own.codes, everything, order)


def _with_line(
    view: str, shown: Iterable[Target], known: Iterable[str], everything: Iterable[str], order: Sequence[str]
) -> Scene:
    """A scene whose line names what is ``shown``. known: names of its series; everything: names of all series."""
    places = {name: place for place, name in enumerate(order)}
    ranked = tuple(sorted(shown, key=lambda target: (places.get(target.name, len(places)), target.name)))
    line = context_line(view or "image", [target.name for target in ranked])
    lacking = sorted(name for name in {*known, *everything} if not any(shows(each.name, name) for each in ranked))
    own = set(known)
    absent = tuple(name for name in lacking if name in own)
    return Scene(ranked, absent, tuple(name for name in lacking if name not in own), view, line)
