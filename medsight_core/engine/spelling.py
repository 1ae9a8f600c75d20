"""The alias and typo table in front of a small model: a question with canonical names where it used other words.

"Pls outline the lft kidny and hepar" becomes "Pls outline the left kidney and liver". Words for things that the model
does not know stay as they are, so that it can say that it does not see them. Plain words: no model, no image.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import lru_cache

from medsight_core.engine.aliases import HEADS
from medsight_core.engine.asked import names_all
from medsight_core.engine.groups import without_groups
from medsight_core.engine.lexicon import Lexicon, Thing
from medsight_core.engine.one_side import said_side
from medsight_core.engine.plurals import plural
from medsight_core.engine.sides import side_after, side_before
from medsight_core.engine.words import Words
from medsight_core.terminology import NAMES, SIDES

_AND = re.compile(r"\s*(?:\b(?:and|or|plus|as well as)\b|[&+])\s*", re.IGNORECASE)
_ASKS_SIDE = re.compile(r"\b(?:which|what) side\b|\bleft or (?:the )?right\b", re.IGNORECASE)
_VERBS = {"is": "are", "was": "were", "does": "do", "has": "have"}
_VERB_BEFORE = re.compile(
    r"((?:^|[.?!:;,]|\bwhere\b|\bhow \w+\b)\s*\b)(is|was|does|has)(\s+(?:the\s+)?)$", re.IGNORECASE
)
_VERB_AFTER = re.compile(r"(\s+)(is|was|does|has)\b", re.IGNORECASE)
_DETERMINED = re.compile(r"\b(?:the|my|your|his|her|these|those)\s+$", re.IGNORECASE)
_ARTICLE = re.compile(r"\ban?(?=\s+$)", re.IGNORECASE)


@dataclass(frozen=True)
class _Reading:
    """A thing in a question with the words for its side, [start, end), and what they say (`sides.Side`)."""

    thing: Thing
    start: int
    end: int
    side: str
    between: str = ""  # what stays in front of the name
    behind: bool = False  # the words for the side stand behind the thing
    modifies: bool = False  # the thing only says of what the next noun is


def canonical_question(question: str, known: Collection[str], side: str = "", seen: Collection[str] = ()) -> str:
    """The question with canonical names for what it means of the ``known`` ones; all else stays as it is.

    known: canonical names, with sides where things have one. A paired thing without a side, or in the plural, becomes
    both sides, in the plural only when both are known; a side before "A and B" is that of both. A word for several
    together becomes their names where nothing but names is asked for.
    side: of what the question before was about, where this one refers to it. seen: what the image shows.
    """
    lexicon = _lexicon(frozenset(known))
    words = lexicon.read(question)
    asks_side = bool(_ASKS_SIDE.search(question))
    pieces, done = [], 0
    readings = _readings(words, lexicon.find(words), lexicon.known)
    if not any(reading.side for reading in readings):
        readings = [_on(side or said_side(question), reading) for reading in readings]
    for reading in readings:
        name = _name(reading, lexicon.known, asks_side)
        if name:
            head, name, end = _fit(question, done, reading, reading.between + name)
            pieces += [head, name]
            done = end
    question = "".join([*pieces, question[done:]])
    spread = without_groups(question, known, seen)
    # In a longer description the word may only say where something else lies.
    return spread if names_all(spread, sorted(known)) else question


@lru_cache(maxsize=64)
def _lexicon(known: frozenset[str]) -> Lexicon:
    return Lexicon(known)


def _readings(words: Words, things: list[Thing], known: frozenset[str]) -> list[_Reading]:
    """Things with their sides, and with those that they share with a neighbour: "left lung and kidney"."""
    paired = {thing.first: thing for thing in things if _paired(thing.meaning.base, known)}

    def is_next(at: int) -> bool:
        return at in paired and words.beside(at) and not words.side(paired[at].stop)

    readings: list[_Reading] = []
    floor = 0
    for thing in things:
        readings.append(_read(words, thing, floor, thing.first in paired, is_next))
        floor = bisect_right([end for _, end in words.spans], readings[-1].end)
    _share(words.text, readings, [thing.first in paired for thing in things])
    return readings


def _share(text: str, readings: list[_Reading], paired: list[bool]) -> None:
    """Give things that stand together the side that the first or the last of them has.

    "And" joins them, and so does a blank before a side that stands last, "caudate putamen left"; a comma does only
    before an "and" that does, as "liver, left lung" is two things.
    """

    def free(at: int) -> bool:
        reading = readings[at]
        return paired[at] and not (reading.side or reading.modifies or reading.thing.meaning.plural)

    def gives(at: int, behind: bool) -> bool:
        reading = readings[at]
        return reading.side in SIDES and reading.behind == behind and not reading.thing.meaning.side

    between = [text[first.end : second.start] for first, second in zip(readings, readings[1:])]
    joined = ["and" if _AND.fullmatch(gap) else gap.strip() for gap in between]
    for at in range(len(joined)):
        last = at + 1
        while joined[last - 1] == "," and last < len(joined) and free(last + 1):
            last += 1
        if gives(at, behind=False) and free(at + 1) and joined[last - 1] == "and":
            readings[at + 1] = replace(readings[at + 1], side=readings[at].side, behind=False)
    shared = False
    for at in reversed(range(len(joined))):
        together = joined[at] in ("and", "") or (shared and joined[at] == ",")
        shared = gives(at + 1, behind=True) and free(at) and together
        if shared:
            readings[at] = replace(readings[at], side=readings[at + 1].side, behind=True)


def _read(words: Words, thing: Thing, floor: int, paired: bool, is_next: Callable[[int], bool]) -> _Reading:
    start, end = words.spans[thing.first][0], words.spans[thing.stop - 1][1]
    following = words[thing.stop] if words.beside(thing.stop) else ""
    glued = following and words.gap(thing.stop) == "-" and not words.side(thing.stop)
    modifies = following in HEADS or bool(glued)
    if not paired or thing.meaning.side:
        return _Reading(thing, start, end, thing.meaning.side, modifies=modifies)
    before = side_before(words, thing.first, floor, thing.meaning.plural)
    if before.said or modifies:
        return _Reading(thing, before.place, end, before.said, before.between, modifies=modifies)
    after = side_after(words, thing.stop, is_next)
    return _Reading(thing, start, after.place, after.said, behind=True)


def _on(side: str, reading: _Reading) -> _Reading:
    """A thing on the one side that a question speaks of somewhere else, unless it means several."""
    return reading if reading.thing.meaning.plural or reading.modifies else replace(reading, side=side)


def _name(reading: _Reading, known: frozenset[str], asks_side: bool) -> str:
    """What stands in the place of a thing and the words for its side; "" where they stay."""
    meaning, said = reading.thing.meaning, reading.side
    base, several = meaning.base, meaning.plural
    if reading.modifies and not meaning.own:
        return ""
    if not _paired(base, known):
        return base
    if said in SIDES:
        return f"{said} {base}"
    if not said:
        one = asks_side or base in known
        said = "open" if reading.modifies or (one and not several) else "and"
        if not any(f"{side} {base}" in known for side in SIDES):
            return base
    if said == "open":
        return plural(base) if several else base
    names = [f"{side} {base}" for side in SIDES if f"{side} {base}" in known]
    if not names:
        return f"the {base}"
    return ("neither " if said == "nor" else "") + f" {said} ".join(names)


def _fit(question: str, done: int, reading: _Reading, name: str) -> tuple[str, str, int]:
    """A name and the words around it that must agree with it: words before, name with words behind, and their end."""
    head, end = question[done : reading.start], reading.end
    head = _ARTICLE.sub(lambda match: match[0][0] + ("n" if name[0] in "aeiou" else ""), head)
    if _DETERMINED.search(head):
        name = name.removeprefix("the ")
    if " and " in name and not reading.thing.meaning.plural:
        head = _VERB_BEFORE.sub(lambda match: match[1] + _several(match[2]) + match[3], head)
        if verb := _VERB_AFTER.match(question, end):
            name, end = name + verb[1] + _several(verb[2]), verb.end()
    return head, name, end


def _several(verb: str) -> str:
    several = _VERBS[verb.lower()]
    return several.capitalize() if verb[0].isupper() else several


def _paired(base: str, known: frozenset[str]) -> bool:
    return any(f"{side} {base}" in names for side in SIDES for names in (known, NAMES))
