"""The turns of one conversation: what is asked about a scene, and what is answered.

Half of the requests ask for something that is not there, and the form of a question never tells which half it belongs
to. `spoken` knows how people ask, `answers` what is replied, `scene` what is there.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Callable, Sequence

from medsight_core.data import phrases
from medsight_core.data.answers import (
    NOTHING_ABNORMAL,
    NOTHING_SEEN,
    answer,
    compare_sides,
    compare_sizes,
    largest,
    name_view,
    place,
)
from medsight_core.data.groups import GROUPS
from medsight_core.data.names import is_abnormal, plural
from medsight_core.data.scene import Scene
from medsight_core.data.spoken import ask, expand, said, said_both, write
from medsight_core.data.targets import Target, sample_targets
from medsight_core.data.unknown import UNKNOWN, made_up
from medsight_core.engine.wording import absent_names
from medsight_core.terminology import SIDES, other_side, split_side

_MOST_LISTED, _MOST_DESCRIBED = 12, 6  # things in answers to "outline everything" and "describe this"
_CHATTER = 0.14  # share of turns that ask for no certain thing, where a line is told
_WIDER = 0.08  # share of requests for a side that leave it out, and the other way round


@dataclass(frozen=True)
class Request:
    """A question, its answer, and the targets that the answer names, in its order.

    topic: the one sided name that it asked for, "" for other requests.
    """

    question: str
    answer: str
    targets: Sequence[Target] = ()
    topic: str = ""


@dataclass(frozen=True)
class _Thing:
    """A thing to ask for: words for it, what it is called when it is absent, and what it means here.

    exact: the words are repeated letter by letter.
    """

    words: str
    name: str
    meant: Sequence[Target] = ()
    exact: bool = False


_Form = Callable[[bool], "Request | None"]  # of whether something absent is to be asked for


class Dialogue:
    """One conversation about a scene while it goes on: what may still be asked for.

    Told a line, people ask for the same thing again, for things that nobody labels, and about the picture as a whole.
    most_masks: masks that all its answers outline together.
    """

    def __init__(self, scene: Scene, most_masks: int, rng: random.Random) -> None:
        self._scene, self._budget, self._rng = scene, most_masks, rng
        self._told = bool(scene.line)
        self._left, self._absent = list(scene.shown), list(scene.absent)
        self._topic = ""
        self._forms: dict[_Form | None, int] = {None: 55, self._several: 15, self._pair: 8}
        self._forms |= {self._sizes: 6, self._findings: 8}
        if self._told:
            self._forms |= {self._other_side: 45, self._which_side: 6, self._group: 8}
        else:
            self._forms |= {self._order: 6, self._everything: 6}

    @property
    def has_names(self) -> bool:
        """Whether anything is left to ask for."""
        return bool(self._told or self._affordable or self._absent)

    @property
    def is_open(self) -> bool:
        """Whether something absent is left to ask for, and something shown, if there ever was."""
        return bool(self._affordable or not self._scene.shown) and bool(self._told or self._absent)

    def next(self, lacking: bool, follows: bool) -> Request:
        """One more turn: a request with an absent target, or without one, where there is the choice.

        follows: another request stands before it.
        """
        lacking = bool(self._told or self._absent) and (lacking or not self._affordable)
        if self._told and self._rng.random() < _CHATTER:
            request = self._chatter()
        else:
            form = self._rng.choices(list(self._forms), weights=list(self._forms.values()))[0]
            request = (form(lacking) if form else None) or self._one(lacking, follows)
        self._budget -= sum(len(target.masks) for target in request.targets)
        self._topic = request.topic
        if not self._told:
            self._left = [target for target in self._left if target not in request.targets]
            denied = absent_names(request.answer)
            self._absent = [name for name in self._absent if name not in denied]
        return request

    def _one(self, lacking: bool, follows: bool) -> Request:
        thing = self._absent_thing() if lacking else self._shown_thing(self._rng.choice(self._affordable))
        counts = self._told and not (thing.exact or split_side(thing.name)[0] or thing.name in _sided(self._scene))
        weights = {"outline": 35, "check": 35, "locate": 10, "follow": 40 * follows}
        weights |= {"how many": 5 * counts, "measure": 4 * self._told}
        rule = self._rng.choices(list(weights), weights=list(weights.values()))[0]
        if rule == "how many":
            thing = replace(thing, words=plural(thing.words))
        # Told a line, a small model knows that a thing is there and not where it lies.
        where = place(thing.meant[0]) if thing.meant and rule == "locate" and not self._told else ""
        return self._request(rule, [thing], where=where)

    def _several(self, lacking: bool) -> Request | None:
        number = self._rng.choice((1, 2) if lacking else (2, 3, 4) if self._told else (2, 3))
        things = [self._named(target) for target in sample_targets(self._left, number, self._budget, self._rng)]
        for _ in range(self._rng.choice((1, 1, 2)) if lacking and self._told else int(lacking)):
            thing = self._absent_thing()
            if thing.name not in [other.name for other in things]:
                things.insert(self._rng.randint(0, len(things)), thing)
        return self._request(self._rng.choice(("outline", "outline", "check")), things) if len(things) > 1 else None

    def _pair(self, lacking: bool) -> Request | None:
        """Left and right of something together; when lacking, one side or both are absent."""
        choices = []
        for base in self._scene.bases():
            names = [f"{side} {base}" for side in SIDES]
            things = [self._named(target) for target in self._left if target.name in names]
            shown = [target for thing in things for target in thing.meant]
            things += [_Thing(name, name) for name in self._absent if name in names]
            if len(things) == 2 and (len(shown) < 2) == lacking and self._can_pay(shown):
                choices.append((base, things))
        if not choices:
            return None
        base, things = self._rng.choice(choices)
        rule = self._rng.choice(("outline", "outline", "outline", "check", "how many"))
        words = plural(base) if rule == "how many" else said_both(base, self._rng)
        return self._request(rule, things, asked=[words])

    def _sizes(self, lacking: bool) -> Request | None:
        return self._comparison("size", compare_sizes, lacking)

    def _order(self, lacking: bool) -> Request | None:
        return self._comparison("order on picture", compare_sides, lacking)

    def _comparison(self, rule: str, compare: Callable[[Target, Target], str | None], lacking: bool) -> Request | None:
        outlined = [target for target in self._left if target.masks]
        shown = sample_targets(outlined, 1 if lacking else 2, self._budget, self._rng)
        things = [*map(self._named, shown), *([self._absent_thing()] if lacking else [])]
        result = compare(*shown) if len(shown) == 2 else ""
        if len(things) < 2 or result is None:
            return None
        if lacking:
            self._rng.shuffle(things)
        first, second = things
        words = ask(rule, [first.words], self._rng, against=second.words)
        shown, absent = _sorted(things)
        said_so = f"{answer(shown, absent)} {result}".strip()
        return Request(write(words, self._rng, [thing.words for thing in things if thing.exact]), said_so, shown)

    def _findings(self, lacking: bool) -> Request | None:
        shown = [target for target in self._scene.shown if is_abnormal(target.name)]
        absent = [name for name in self._absent if is_abnormal(name)]
        if not self._can_pay(shown) or any(target not in self._left for target in shown) or bool(shown) == lacking:
            return None
        question = write(expand("<findings>", self._rng), self._rng)
        if self._told:
            return Request(question, answer(shown, []) or NOTHING_ABNORMAL, shown)
        if lacking:
            return Request(question, answer([], absent)) if absent else None
        if len(shown) == 1 and self._rng.random() < 0.5:
            target = shown[0]
            return Request(question, f"Findings consistent with {target.name}, outlined as [{target.code}].", shown)
        return Request(question, answer(shown, []), shown) if shown else None

    def _everything(self, lacking: bool) -> Request | None:
        shown = self._scene.shown
        if lacking or len(self._left) < len(shown) or not self._can_pay(shown):
            return None
        return Request(write(expand("<everything>", self._rng), self._rng), answer(shown, []), shown)

    def _other_side(self, lacking: bool) -> Request | None:
        """The opposite of what the request before asked for."""
        other = other_side(self._topic)
        meant = self._scene.meant(other)
        if not other or bool(meant) == lacking or not self._can_pay(meant):
            return None
        return self._request("other side", [_Thing(split_side(other)[1], other, meant)])

    def _which_side(self, lacking: bool) -> Request | None:
        choices = [(base, self._scene.meant(base)) for base in self._scene.bases()]
        choices = [(base, meant) for base, meant in choices if bool(meant) != lacking and self._can_pay(meant)]
        if not choices:
            return None
        base, meant = self._rng.choice(choices)
        return self._request("which side", [_Thing(said(base, self._rng), base, meant)])

    def _group(self, lacking: bool) -> Request | None:
        """What one word means together; what of it is not there goes without saying, unless all of it."""
        known = {split_side(name)[1] for name in (*self._scene.absent, *(each.name for each in self._scene.shown))}
        choices = []
        for word, bases in GROUPS.items():
            meant = [target for target in self._scene.shown if split_side(target.name)[1] in bases]
            if len(known & bases) > 1 and bool(meant) != lacking and self._can_pay(meant):
                choices.append(_Thing(word, word, meant))
        if not choices:
            return None
        return self._request(self._rng.choice(("outline", "outline", "check", "locate")), [self._rng.choice(choices)])

    def _chatter(self) -> Request:
        """About the picture as a whole, or about something else."""
        rng, view = self._rng, self._scene.view
        kind = rng.choices(("view", "overview", "off topic", "manners"), weights=(3 * bool(view), 5, 4, 1))[0]
        if kind == "view":
            return Request(write(expand("<view>", rng), rng), name_view(view))
        if kind == "manners":
            return Request(*rng.choice(phrases.MANNERS))
        return (kind == "overview" and self._overview()) or Request(
            write(expand(rng.choice(phrases.OFF_TOPIC), rng), rng), phrases.OFF_TOPIC_ANSWER
        )

    def _overview(self) -> Request | None:
        """What is there, the largest of it, in the line's order."""
        describes = self._rng.random() < 0.5
        shown = largest(self._scene.shown, _MOST_DESCRIBED if describes else _MOST_LISTED)
        if not self._can_pay(shown):
            return None
        opening = name_view(self._scene.view) if describes and self._scene.view else ""
        question = write(expand("<describe>" if describes else "<everything>", self._rng), self._rng)
        return Request(question, f"{opening} {answer(shown, []) or NOTHING_SEEN}".strip(), shown)

    def _request(self, rule: str, things: Sequence[_Thing], where: str = "", asked: Sequence[str] = ()) -> Request:
        """A request for some things, answered thing by thing. asked: words for all of them, instead of for each."""
        names = asked or [thing.words for thing in things]
        side = split_side(things[0].name)[0]
        words = ask(rule, names, self._rng, many=bool(asked) or rule == "how many", side=side)
        shown, absent = _sorted(things)
        question = write(words, self._rng, [thing.words for thing in things if thing.exact])
        topic = things[0].name if side and len(things) == 1 and not things[0].exact else ""
        return Request(question, answer(shown, absent, rule == "check", where), shown, topic)

    def _named(self, target: Target) -> _Thing:
        return _Thing(said(target.name, self._rng), target.name, [target])

    def _shown_thing(self, target: Target) -> _Thing:
        """A thing that is there, sometimes without its side, or with one that nobody can tell."""
        side, base = split_side(target.name)
        if self._told and self._rng.random() < _WIDER and (side or base in _sided(self._scene)):
            other = base if side else f"{self._rng.choice(SIDES)} {base}"
            meant = self._scene.meant(other)
            if self._can_pay(meant):
                return _Thing(said(other, self._rng), other, meant)
        return self._named(target)

    def _absent_thing(self) -> _Thing:
        rng, scene = self._rng, self._scene
        pools = (self._absent, scene.elsewhere, UNKNOWN, ())
        weights = (50 * bool(self._absent), 15 * bool(scene.elsewhere), 25, 10)
        pool = rng.choices(pools, weights)[0] if self._told else self._absent
        name = next(filter(scene.lacks, rng.sample(pool, len(pool))), None) or made_up(rng)
        known = name in scene.absent or name in scene.elsewhere
        return _Thing(said(name, rng) if known else name, name, exact=not known)

    @property
    def _affordable(self) -> list[Target]:
        return [target for target in self._left if len(target.masks) <= self._budget]

    def _can_pay(self, targets: Sequence[Target]) -> bool:
        return sum(len(target.masks) for target in targets) <= self._budget


def _sorted(things: Sequence[_Thing]) -> tuple[list[Target], list[str]]:
    """What is outlined and what is not seen, once each."""
    shown = dict.fromkeys(target for thing in things for target in thing.meant)
    return list(shown), list(dict.fromkeys(thing.name for thing in things if not thing.meant))


def _sided(scene: Scene) -> set[str]:
    """What has a left and a right one in some series."""
    names = (*scene.absent, *scene.elsewhere, *(target.name for target in scene.shown))
    return {base for side, base in map(split_side, names) if side}
