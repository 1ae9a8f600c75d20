"""The turns of one conversation: what is asked about a scene, and what is answered.

Half of the requests ask for something that is not there, and the form of a question never tells which half it belongs
to. `spoken` knows how people ask, `answers` what is replied, `scene` what is there.
"""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial
from typing import Callable, Collection

from medsight_core.data import small_talk
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
from medsight_core.data.described import described
from medsight_core.data.follow_ups import FOLLOW_UPS, FollowUp
from medsight_core.data.names import is_abnormal, plural
from medsight_core.data.request import Request, Thing, request, sorted_out, thing_of
from medsight_core.data.scene import Scene
from medsight_core.data.spoken import ask, expand, said, said_both, with_aside, write
from medsight_core.data.targets import Target, sample_targets
from medsight_core.data.texts import lines
from medsight_core.data.unknown import made_up
from medsight_core.engine.asked import OFF_TOPIC_ANSWER
from medsight_core.engine.groups import GROUPS
from medsight_core.engine.others import OTHERS
from medsight_core.engine.spelling import canonical_question
from medsight_core.engine.wording import absent_names
from medsight_core.terminology import SIDES, split_side

_MOST_LISTED, _MOST_DESCRIBED = 12, 6  # things in answers to "outline everything" and "describe this"
_CHATTER = 0.22  # share of turns that ask for no certain thing, where a line is told
_GROUP_AND_MORE = 0.4  # share of groups that are asked for together with one thing more
_LINES = 0.6  # share of off-topic turns that somebody wrote, not a grammar
_WIDER = 0.08  # share of requests for what has no side here that tell one


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
        self._before: list[Request] = []
        self._forms: dict[_Form | None, int] = {None: 55, self._several: 15, self._pair: 8}
        self._forms |= {self._sizes: 6, self._findings: 8}
        if self._told:
            self._forms |= {self._described: 100, self._which_side: 6, self._group: 14}
            self._forms |= {partial(self._follow_up, form): weight for form, weight in FOLLOW_UPS.items()}
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
            turn = self._chatter()
        else:
            form = self._rng.choices(list(self._forms), weights=list(self._forms.values()))[0]
            turn = (form(lacking) if form else None) or self._one(lacking, follows)
        if self._told and (turn.things or turn.answer == OFF_TOPIC_ANSWER):
            turn = replace(turn, question=self._as_read(with_aside(turn.question, self._rng)))
        self._budget -= sum(len(target.masks) for target in turn.targets)
        self._before.append(turn)
        if not self._told:
            self._left = [target for target in self._left if target not in turn.targets]
            denied = absent_names(turn.answer)
            self._absent = [name for name in self._absent if name not in denied]
        return turn

    def _as_read(self, question: str) -> str:
        """A question as the engine gives it to the model: what looks like a name of the series becomes one."""
        known = {*self._scene.absent, *(target.name for target in self._scene.shown)}
        return canonical_question(question, known)

    def _one(self, lacking: bool, follows: bool) -> Request:
        thing = self._absent_thing() if lacking else self._shown_thing(self._rng.choice(self._affordable))
        counts = self._told and not (thing.exact or split_side(thing.name)[0] or thing.name in _sided(self._scene))
        weights = {
            "outline": 35,
            "check": 35,
            "locate": 10,
            "any": 40 * self._told,
            "follow": 40 * (follows and not self._told),
        }
        weights |= {"follow on": 40 * (follows and self._told)}
        weights |= {"how many": 5 * counts, "measure": 4 * self._told, "instead": 12 * (follows and self._told)}
        rule = self._rng.choices(list(weights), weights=list(weights.values()))[0]
        if rule == "how many":
            thing = replace(thing, words=plural(thing.words))
        # Told a line, a small model knows that a thing is there and not where it lies.
        where = place(thing.meant[0]) if thing.meant and rule == "locate" and not self._told else ""
        return request(rule, [thing], self._rng, where=where)

    def _several(self, lacking: bool) -> Request | None:
        number = self._rng.choice((1, 2) if lacking else (2, 3, 4) if self._told else (2, 3))
        things = [self._named(target) for target in sample_targets(self._left, number, self._budget, self._rng)]
        for _ in range(self._rng.choice((1, 1, 2)) if lacking and self._told else int(lacking)):
            thing = self._absent_thing()
            if thing.name not in [other.name for other in things]:
                things.insert(self._rng.randint(0, len(things)), thing)
        rule = self._rng.choice(("outline", "outline", "check", *("list",) * (2 * self._told)))
        return request(rule, things, self._rng) if len(things) > 1 else None

    def _pair(self, lacking: bool) -> Request | None:
        """Left and right of something together; when lacking, one side or both are absent."""
        choices = []
        for base in self._scene.bases():
            names = [f"{side} {base}" for side in SIDES]
            things = [self._named(target) for target in self._left if target.name in names]
            shown = [target for thing in things for target in thing.meant]
            things += [Thing(name, name) for name in self._absent if name in names]
            if len(things) == 2 and (len(shown) < 2) == lacking and self._can_pay(shown):
                choices.append((base, things))
        if not choices:
            return None
        base, things = self._rng.choice(choices)
        rule = self._rng.choice(("outline", "outline", "outline", "check", "how many"))
        words = plural(base) if rule == "how many" else said_both(base, self._rng)
        return request(rule, things, self._rng, asked=[words], many=True)

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
        shown, absent = sorted_out(things)
        said_so = f"{answer(shown, absent)} {result}".strip()
        exact = [thing.words for thing in things if thing.exact]
        return Request(write(words, self._rng, exact), said_so, shown, things)

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

    def _described(self, lacking: bool) -> Request | None:
        return described(self._scene, lacking, self._can_pay, self._rng)

    def _follow_up(self, form: FollowUp, lacking: bool) -> Request | None:
        """What means something only after the request before."""
        turn = form(self._before, self._scene, self._rng) if self._before else None
        fits = turn and bool(sorted_out(turn.things)[1]) == lacking and self._can_pay(turn.targets)
        return turn if fits else None

    def _which_side(self, lacking: bool) -> Request | None:
        choices = [(base, self._scene.meant(base)) for base in self._scene.bases()]
        choices = [(base, meant) for base, meant in choices if bool(meant) != lacking and self._can_pay(meant)]
        if not choices:
            return None
        base, meant = self._rng.choice(choices)
        return request("which side", [Thing(said(base, self._rng), base, meant)], self._rng)

    def _group(self, lacking: bool) -> Request | None:
        """What one word means together, of what its series knows."""
        known = {*self._scene.absent, *(target.name for target in self._scene.shown)}
        choices = []
        for word, bases in GROUPS.items():
            names = sorted(name for name in known if split_side(name)[1] in bases)
            side = self._rng.choice(("", "", "", *SIDES))
            if side and all(split_side(name)[0] for name in names):
                names, word = [name for name in names if split_side(name)[0] == side], f"{side} {word}"
            shown, absent = sorted_out(things := [thing_of(name, self._scene) for name in names])
            several = len({split_side(name)[1] for name in names}) > 1
            if several and bool(absent) == lacking and self._can_pay(shown):
                choices.append((word, things))
        if not choices:
            return None
        word, things = self._rng.choice(choices)
        rule, asked = self._rng.choice(("outline", "outline", "check", "locate", "follow on")), [word]
        if self._rng.random() < _GROUP_AND_MORE:
            more = thing_of(self._rng.choice(sorted(known)), self._scene)
            if more.name not in {thing.name for thing in things} and bool(more.meant) != lacking:
                at = self._rng.randint(0, 1)
                things[at * len(things) : at * len(things)], asked[at:at] = [more], [more.words]
                rule = self._rng.choice(("outline", "check", "list"))
        return request(rule, things, self._rng, asked=asked, many=True)

    def _chatter(self) -> Request:
        """About the picture as a whole, or about something else."""
        rng, view = self._rng, self._scene.view
        kind = rng.choices(("view", "overview", "off topic", "manners"), weights=(3 * bool(view), 5, 8, 1))[0]
        if kind == "view":
            return Request(write(expand("<view>", rng), rng), name_view(view))
        if kind == "manners":
            return Request(*rng.choice(small_talk.MANNERS))
        return (kind == "overview" and self._overview()) or self._off_topic()

    def _off_topic(self) -> Request:
        if self._rng.random() < _LINES:
            question = self._rng.choice(lines("off_topic"))
        else:
            question = expand(self._rng.choice((*small_talk.OFF_TOPIC, *small_talk.OFF_TOPIC_NAMES)), self._rng)
        return Request(write(question, self._rng), OFF_TOPIC_ANSWER)

    def _overview(self) -> Request | None:
        """What is there, the largest of it, in the line's order."""
        describes = self._rng.random() < 0.5
        shown = largest(self._scene.shown, _MOST_DESCRIBED if describes else _MOST_LISTED)
        if not self._can_pay(shown):
            return None
        opening = name_view(self._scene.view) if describes and self._scene.view else ""
        question = write(expand("<describe>" if describes else "<everything>", self._rng), self._rng)
        return Request(question, f"{opening} {answer(shown, []) or NOTHING_SEEN}".strip(), shown)

    def _named(self, target: Target) -> Thing:
        return Thing(said(target.name, self._rng), target.name, [target])

    def _shown_thing(self, target: Target) -> Thing:
        """A thing that is there, sometimes with a side that nobody can tell."""
        side, base = split_side(target.name)
        if self._told and not side and base in _sided(self._scene) and self._rng.random() < _WIDER:
            other = f"{self._rng.choice(SIDES)} {base}"
            meant = self._scene.meant(other)
            if self._can_pay(meant):
                return Thing(said(other, self._rng), other, meant)
        return self._named(target)

    def _absent_thing(self) -> Thing:
        rng, scene = self._rng, self._scene
        pools = (self._absent, scene.elsewhere, OTHERS, ())
        weights = (50 * bool(self._absent), 15 * bool(scene.elsewhere), 25, 10)
        pool = rng.choices(pools, weights)[0] if self._told else self._absent
        name = next(filter(scene.lacks, rng.sample(pool, len(pool))), None) or made_up(rng)
        known = name in scene.absent or name in scene.elsewhere
        return Thing(said(name, rng) if known else name, name, exact=not known)

    @property
    def _affordable(self) -> list[Target]:
        return [target for target in self._left if len(target.masks) <= self._budget]

    def _can_pay(self, targets: Collection[Target]) -> bool:
        return sum(len(target.masks) for target in targets) <= self._budget


def _sided(scene: Scene) -> set[str]:
    """What has a left and a right one in some series."""
    names = (*scene.absent, *scene.elsewhere, *(target.name for target in scene.shown))
    return {base for side, base in map(split_side, names) if side}
