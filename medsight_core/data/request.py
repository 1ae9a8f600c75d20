"""One request of a conversation: the things that it asks for, the question, and the answer that names them.

`spoken` knows how people ask, `answers` what is replied.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Iterable, Sequence

from medsight_core.data.answers import answer
from medsight_core.data.scene import Scene
from medsight_core.data.spoken import ask, write
from medsight_core.data.targets import Target
from medsight_core.engine.asked import is_closed
from medsight_core.terminology import split_side

_OF_ANY_KIND = ("any", "list")  # rules that hold questions and orders


@dataclass(frozen=True)
class Thing:
    """A thing to ask for: words for it, what it is called when it is absent, and what it means here.

    exact: the words are repeated letter by letter.
    """

    words: str
    name: str
    meant: Sequence[Target] = ()
    exact: bool = False


@dataclass(frozen=True)
class Request:
    """A question, its answer, the targets that the answer names, in its order, and what was asked for."""

    question: str
    answer: str
    targets: Sequence[Target] = ()
    things: Sequence[Thing] = ()

    @property
    def topic(self) -> str:
        """The one sided name that it asked for, "" for other requests."""
        if len(self.things) != 1 or self.things[0].exact:
            return ""
        return self.things[0].name if split_side(self.things[0].name)[0] else ""


def request(
    rule: str,
    things: Sequence[Thing],
    rng: random.Random,
    where: str = "",
    asked: Sequence[str] = (),
    many: bool = False,
) -> Request:
    """A request for some things, answered thing by thing.

    where: words behind "outlined". asked: words for all of them, instead of for each. many: these stand for several.
    """
    names = asked or [thing.words for thing in things]
    side = split_side(things[0].name)[0]
    words = ask(rule, names, rng, many=many or rule == "how many", side=side)
    question = write(words, rng, [thing.words for thing in things if thing.exact])
    asks = rule == "check" or (rule in _OF_ANY_KIND and is_closed(question, ""))
    return reply(question, things, asks=asks, where=where)


def reply(question: str, things: Sequence[Thing], asks: bool = False, where: str = "") -> Request:
    """A request in given words, answered thing by thing."""
    shown, absent = sorted_out(things)
    return Request(question, answer(shown, absent, asks, where), shown, things)


def sorted_out(things: Iterable[Thing]) -> tuple[list[Target], list[str]]:
    """What is outlined and what is not seen, once each."""
    things = list(things)
    shown = dict.fromkeys(target for thing in things for target in thing.meant)
    return list(shown), list(dict.fromkeys(thing.name for thing in things if not thing.meant))


def thing_of(name: str, scene: Scene, words: str = "") -> Thing:
    """A canonical name as a thing to ask for; by default called so."""
    return Thing(words or name, name, scene.meant(name))
