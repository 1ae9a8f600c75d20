"""Requests that name nothing: a thing is described, or only the reason is told why somebody asks."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Collection

from medsight_core.data.descriptions import DESCRIBED, PAIRS, REASONS, WORDS
from medsight_core.data.request import Request, Thing, reply, request, thing_of
from medsight_core.data.scene import Scene
from medsight_core.data.spoken import expand, write
from medsight_core.data.stories import STORIES
from medsight_core.data.targets import Target
from medsight_core.terminology import SIDES, split_side

_REASON, _STORY = 0.25, 0.2  # shares of requests that tell only why, and only what somebody suffers from
_ONE_SIDE, _BOTH = 0.3, 0.25  # shares of descriptions of paired things that say which side, and that there are two
_WITH_SIDE = (
    *(
        "{side} {words}",
        "{side} {words}",
        "{words} on the {side}",
        "{words} on the {side} side",
        "{side}-sided {words}",
    ),
    *("{words}, {side} side", "{words}, <the |>patient's {side}", "{words} in the {side} half", "{words}, {side}"),
)
_ASKED = 0.15  # share of descriptions that become a question of their own: "which organ makes bile?"
_DOES = re.compile(r"(?P<what>[\w -]+?) (?:that|which) (?P<does>(?!we\b|you\b|should\b)\w+s\b.*)")
_RULES = {"outline": 45, "check": 20, "locate": 20, "follow": 8, "measure": 3}

Payable = Callable[[Collection[Target]], bool]


def describe(base: str, rng: random.Random) -> str:
    """Words for a canonical name without side, without an article; "" where there are none."""
    return expand(rng.choice(DESCRIBED[base]), rng, WORDS) if base in DESCRIBED else ""


def described(scene: Scene, lacking: bool, can_pay: Payable, rng: random.Random) -> Request | None:
    """A request in such words for something of a scene's series, both sides of it where no side is told.

    lacking: whether some of it is to be absent. can_pay: whether targets may be outlined. None when there is no such
    thing.
    """
    known = {*scene.absent, *(target.name for target in scene.shown)}
    choices: list[tuple[str, list[Thing]]] = []
    for base in sorted({split_side(name)[1] for name in known} & DESCRIBED.keys()):
        sides = [f"{side} {base}" for side in SIDES if f"{side} {base}" in known]
        choices.append((base, [thing_of(name, scene) for name in sides or [base]]))
        choices += [(base, [thing_of(name, scene)]) for name in sides if rng.random() < _ONE_SIDE]
    choices = [
        (base, things)
        for base, things in choices
        if any(not thing.meant for thing in things) == lacking and can_pay([t for thing in things for t in thing.meant])
    ]
    if not choices:
        return None
    base, things = rng.choice(choices)
    side = split_side(things[0].name)[0] if len(things) == 1 else ""
    if not side and base in STORIES and rng.random() < _STORY:
        story = expand(rng.choice(STORIES[base]), rng, WORDS)
        asked = reply(write(expand("<told>", rng).format(story=story), rng), things)
    elif not side and base in REASONS and rng.random() < _REASON:
        asked = reply(write(expand(rng.choice(REASONS[base]), rng, WORDS), rng), things)
    else:
        words, many = describe(base, rng), False
        if side:
            words = expand(rng.choice(_WITH_SIDE), rng).format(side=side, words=words)
        elif len(things) > 1 and base in PAIRS and rng.random() < _BOTH:
            words, many = expand(rng.choice(PAIRS[base]), rng, WORDS), True
        does = None if many or side else _DOES.fullmatch(words)
        if does and rng.random() < _ASKED:
            which = expand("<which {what}|what|which one> {does}<?><|| outline it.| show me.>", rng)
            asked = reply(write(which.format(**does.groupdict()), rng), things)
        else:
            rule = rng.choices(list(_RULES), weights=list(_RULES.values()))[0]
            asked = request(rule, things, rng, asked=[words], many=many)
    return asked
