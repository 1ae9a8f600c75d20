"""Questions that mean something only after those before: "outline it", "the other one", "no, only the left".

Each form gets the requests before, oldest first and one at least, and gives the next one, or None where it would mean
nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from medsight_core.data.request import Request, Thing, request, thing_of
from medsight_core.data.scene import Scene
from medsight_core.terminology import SIDES, other_side, split_side

FollowUp = Callable[[Sequence[Request], Scene, random.Random], "Request | None"]

_DOWNWARDS = (("cervical spine", "thoracic spine", "lumbar spine"), ("third ventricle", "fourth ventricle"))


def again(before: Sequence[Request], scene: Scene, rng: random.Random) -> Request | None:
    """The same things: outlined after a yes, looked for once more, measured."""
    last = before[-1]
    return request("again", last.things, rng, many=len(last.targets) > 1) if last.things else None


def earlier(before: Sequence[Request], scene: Scene, rng: random.Random) -> Request | None:
    """What was asked for before the last request."""
    if len(before) < 2 or not before[-2].things:
        return None
    return request("earlier", before[-2].things, rng, many=len(before[-2].targets) > 1)


def together(before: Sequence[Request], scene: Scene, rng: random.Random) -> Request | None:
    """What the last two requests asked for."""
    if len(before) < 2 or not (before[-1].things and before[-2].things):
        return None
    things = {thing.name: thing for thing in (*before[-2].things, *before[-1].things)}
    return request("together", list(things.values()), rng, many=True) if len(things) == 2 else None


def opposite(before: Sequence[Request], scene: Scene, rng: random.Random) -> Request | None:
    """The other side of the one thing that had a side."""
    other = other_side(before[-1].topic)
    return request("other side", [thing_of(other, scene, split_side(other)[1])], rng) if other else None


def both_sides(before: Sequence[Request], scene: Scene, rng: random.Random) -> Request | None:
    """Both sides of the one thing that had a side."""
    things = _sides(split_side(before[-1].topic)[1], scene)
    return request("both sides", things, rng, many=True) if things else None


def one_of_them(before: Sequence[Request], scene: Scene, rng: random.Random) -> Request | None:
    """One of two things: by its side when they are the two sides of something, else the first or the last."""
    last = before[-1].things
    things = _sides(last[0].name, scene) if len(last) == 1 else last
    if len(things) != 2:
        return None
    at = rng.randrange(2)
    (side, base), (_, other) = (split_side(things[each].name) for each in (at, 1 - at))
    if side and base == other and not things[at].exact:
        return request("only side", [things[at]], rng)
    return request(("only first", "only last")[at], [things[at]], rng)


def neighbour(before: Sequence[Request], scene: Scene, rng: random.Random) -> Request | None:
    """What comes next below or above, of things that come one after another."""
    asked = before[-1].things[0].name if len(before[-1].things) == 1 else ""
    known = {*scene.absent, *(target.name for target in scene.shown)}
    pairs = [pair for chain in _DOWNWARDS for pair in zip(chain, chain[1:]) if known.issuperset(pair)]
    choices = [("below", low) for high, low in pairs if high == asked]
    choices += [("above", high) for high, low in pairs if low == asked]
    if not choices:
        return None
    rule, name = rng.choice(choices)
    return request(rule, [thing_of(name, scene)], rng)


# And how often each is tried.
FOLLOW_UPS: dict[FollowUp, int] = {
    again: 40, earlier: 12, together: 18, opposite: 45, both_sides: 15, one_of_them: 25, neighbour: 15,
}  # fmt: skip


def _sides(base: str, scene: Scene) -> Sequence[Thing]:
    """Left and right of what its series knows as such; nothing for other names."""
    return [thing_of(f"{side} {base}", scene) for side in SIDES] if base in scene.bases() else ()
