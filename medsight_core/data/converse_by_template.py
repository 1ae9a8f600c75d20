"""Grounded conversations from images whose masks have codes, written by templates (model-spec 5).

Half of the requests ask for something that the image does not show, among things that other images of its series do
show, and the form of a question never tells which half it belongs to. A conversation depends on nothing but the seed,
its image and the data set's names. This module knows how people ask; `answers` what is replied.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Sequence

from medsight_core.data import phrases
from medsight_core.data.answers import answer, compare_sides, compare_sizes, place
from medsight_core.data.coded import CodedImage
from medsight_core.data.converse import conversation_id
from medsight_core.data.names import SIDES, is_abnormal, say, say_both, split_side
from medsight_core.data.records import Conversation, Turn
from medsight_core.data.targets import MOST_MASKS, Inventory, Target, sample_targets, targets_of, to_conversation
from medsight_core.engine.wording import absent_names, is_plural

_SLIPS = 0.1  # share of questions with a typing mistake


@dataclass(frozen=True)
class _Request:
    """A question, its answer, and the targets that the answer names, in its order."""

    question: str
    answer: str
    targets: Sequence[Target] = ()


class TemplateAuthor:
    """Writes conversations about the images of one data set, the same ones for a seed."""

    def __init__(self, images: Sequence[CodedImage], seed: int) -> None:
        self._inventory = Inventory(images)
        self._seed = seed
        self._chance = _chance_of_lacking(images, self._inventory)

    def write(self, image: CodedImage, number: int) -> Conversation | None:
        """Conversation ``number`` about an image; None when there is nothing to ask for."""
        rng = random.Random(f"{self._seed}/{image.id}/{number}")
        scene = _Scene(image, self._inventory, rng)
        wanted = rng.choice((1, 1, 1, 2, 2, 3))
        requests: list[_Request] = []
        # After the first request both halves must be open, or the later ones would all be of one half.
        while len(requests) < wanted and (scene.is_open if requests else scene.has_names):
            lacking = rng.random() < (0.5 if requests else self._chance)
            requests.append(scene.request(lacking, follows=bool(requests)))
        if not requests:
            return None
        turns = [Turn(request.question, request.answer) for request in requests]
        if len(turns) > 1 or rng.random() < 0.25:
            turns.insert(0, Turn(*rng.choice(phrases.OPENING)))
        return to_conversation(conversation_id(image, number), image, turns, [t for r in requests for t in r.targets])


def _chance_of_lacking(images: Sequence[CodedImage], inventory: Inventory) -> float:
    """How often to ask for something absent where there is a choice, so that it makes half of all first requests."""
    forced = free = total = 0
    for image in images:
        shown, absent = bool(image.masks), bool(inventory.absent(image))
        forced += absent and not shown
        free += absent and shown
        total += absent or shown
    return min(1.0, max(0.0, (total / 2 - forced) / free)) if free else 0.5


class _Scene:
    """One image while a conversation about it goes on: what may still be asked for."""

    def __init__(self, image: CodedImage, inventory: Inventory, rng: random.Random) -> None:
        self._names = inventory.names(image)
        self._all = targets_of(image)
        self._left = list(self._all)
        self._absent = list(inventory.absent(image))
        self._budget = MOST_MASKS
        self._rng = rng

    @property
    def is_open(self) -> bool:
        """Whether something shown and something absent are left to ask for."""
        return bool(self._affordable and self._absent)

    @property
    def has_names(self) -> bool:
        """Whether anything is left to ask for."""
        return bool(self._affordable or self._absent)

    def request(self, lacking: bool, follows: bool) -> _Request:
        """A request with an absent target, or without one, where the image allows the choice.

        follows: another request stands before it.
        """
        lacking = bool(self._absent) and (lacking or not self._affordable)
        others = (self._several, self._pair, self._comparison, self._findings, self._everything)
        form = self._rng.choices((None, *others), weights=(55, 15, 8, 12, 8, 6))[0]
        request = (form(lacking) if form else None) or self._one(lacking, follows)
        self._budget -= sum(len(target.masks) for target in request.targets)
        self._left = [target for target in self._left if target not in request.targets]
        said = absent_names(request.answer)
        self._absent = [name for name in self._absent if name not in said]
        question = request.question
        if self._rng.random() < 0.7:
            question = question[:1].upper() + question[1:]
        return _Request(_mistype(question, self._rng), request.answer, request.targets)

    def _one(self, lacking: bool, follows: bool) -> _Request:
        shown = [] if lacking else [self._rng.choice(self._affordable)]
        absent = [self._rng.choice(self._absent)] if lacking else []
        name = absent[0] if lacking else shown[0].name
        forms = (phrases.OUTLINE, phrases.CHECK, phrases.LOCATE, phrases.FOLLOW_UP)
        form = self._rng.choices(forms, weights=(35, 35, 10, 40 * follows))[0]
        question = self._rng.choice(form).format(x=say(name, self._rng), be="are" if is_plural(name) else "is")
        where = place(shown[0]) if shown and form is phrases.LOCATE else ""
        return _Request(question, answer(shown, absent, form is phrases.CHECK, where), shown)

    def _several(self, lacking: bool) -> _Request | None:
        shown = sample_targets(self._left, self._rng.choice((1, 2) if lacking else (2, 3)), self._budget, self._rng)
        absent = [self._rng.choice(self._absent)] if lacking else []
        if len(shown) + len(absent) < 2:
            return None
        things = [say(target.name, self._rng) for target in shown]
        for name in absent:
            things.insert(self._rng.randint(0, len(things)), say(name, self._rng))
        last = self._rng.choice((" and ", " and ", " as well as ", " & ", " plus "))
        asked = ", ".join(things[:-1]) + last + things[-1]
        return _Request(self._rng.choice(phrases.OUTLINE).format(x=asked), answer(shown, absent), shown)

    def _pair(self, lacking: bool) -> _Request | None:
        """Left and right of something together; when lacking, one side or both are absent."""
        choices = []
        for base in {base for side, base in map(split_side, self._names) if side}:
            shown = [target for target in self._affordable if split_side(target.name) in ((s, base) for s in SIDES)]
            absent = [name for name in self._absent if split_side(name)[1] == base != name]
            if len(shown) + len(absent) == 2 and bool(absent) == lacking and self._can_pay(shown):
                choices.append((base, shown, absent))
        if not choices:
            return None
        base, shown, absent = self._rng.choice(sorted(choices, key=lambda choice: choice[0]))
        question = self._rng.choice(phrases.OUTLINE).format(x=say_both(base, self._rng))
        return _Request(question, answer(shown, absent), shown)

    def _comparison(self, lacking: bool) -> _Request | None:
        shown = sample_targets(self._left, 1 if lacking else 2, self._budget, self._rng)
        absent = [self._rng.choice(self._absent)] if lacking else []
        if len(shown) + len(absent) < 2:
            return None
        by_size = self._rng.random() < 0.5
        result = "" if lacking else (compare_sizes if by_size else compare_sides)(*shown)
        if result is None:
            return None
        names = [*(target.name for target in shown), *absent]
        if lacking:
            self._rng.shuffle(names)
        a, b = (say(name, self._rng) for name in names)
        question = self._rng.choice(phrases.SIZE if by_size else phrases.SIDE).format(a=a, b=b)
        return _Request(question, f"{answer(shown, absent)} {result}".strip(), shown)

    def _findings(self, lacking: bool) -> _Request | None:
        shown = [target for target in self._all if is_abnormal(target.name)]
        absent = [name for name in self._absent if is_abnormal(name)]
        question = self._rng.choice(phrases.FINDINGS)
        if lacking:
            return _Request(question, answer([], absent)) if absent and not shown else None
        if not shown or not self._can_pay(shown) or any(target not in self._left for target in shown):
            return None
        if len(shown) == 1 and self._rng.random() < 0.5:
            target = shown[0]
            return _Request(question, f"Findings consistent with {target.name}, outlined as [{target.code}].", shown)
        return _Request(question, answer(shown, []), shown)

    def _everything(self, lacking: bool) -> _Request | None:
        if lacking or len(self._left) < len(self._all) or not self._can_pay(self._all):
            return None
        return _Request(self._rng.choice(phrases.EVERYTHING), answer(self._all, []), self._all)

    @property
    def _affordable(self) -> list[Target]:
        return [target for target in self._left if len(target.masks) <= self._budget]

    def _can_pay(self, targets: Sequence[Target]) -> bool:
        return sum(len(target.masks) for target in targets) <= self._budget


def _mistype(text: str, rng: random.Random) -> str:
    """Now and then a slip of the finger inside a word."""
    places = [i for i in range(1, len(text) - 2) if text[i - 1 : i + 2].isalpha()]
    if not places or rng.random() >= _SLIPS:
        return text
    i = rng.choice(places)
    return rng.choice(
        (
            text[:i] + text[i + 1 :],
            text[:i] + text[i + 1] + text[i] + text[i + 2 :],
            text[:i] + text[i : i + 1] + text[i:],
        )
    )
