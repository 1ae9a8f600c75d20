"""What the words around a thing say of its side: "rt. kidney", "kidney on the left", "both kidneys", "either lung".

It knows the words of a question and where a thing stands among them, and not which things there are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from medsight_core.engine.aliases import word_set
from medsight_core.engine.words import Words

_PLUS = frozenset({"&", "+", "/"})
_TAILS = word_set("side sides sided hand half hemisphere hemithorax flank")
_DETERMINERS = word_set("the a my your his her its our their this that these those patient's patients")
_BOTH = {
    **dict.fromkeys(("both", "each", "every", "two", "bilateral", "bilat", "paired"), "and"),
    "either": "or",
    "neither": "nor",
}
_OPEN = word_set("which other another opposite contralateral ipsilateral same one single many only")
_PREPOSITIONS = word_set("on at of in from to")
_JOINING = word_set("and or as plus please pls too but with is are both")
_ELSEWHERE = word_set("now away here there next above below behind beside under over from after before alone out")
_PATIENT = word_set("patient body chest abdomen brain head")
# Words that no adjective is: behind them a side no longer belongs to what follows.
_NO_ADJECTIVE = (
    _DETERMINERS | _PREPOSITIONS | _JOINING | _ELSEWHERE | word_set("for by than find mark outline see segment show")
)
_CLOSING = re.compile(r"\s*[)\]]")
_STATES = word_set("is are was that's it's")


class Side(NamedTuple):
    """What is said: "left", "right", "and", "or", "nor" of both, "open" for no side, or "" for nothing.

    place: where in the text the words for it begin, or end when they stand behind the thing. between: other words for
    the thing that stand behind its side, as "enlarged " in "left enlarged kidney".
    """

    said: str
    place: int
    between: str = ""


def side_before(words: Words, first: int, floor: int, plural: bool) -> Side:
    """The side that words before a thing say. first: the thing's first word; floor: the first that is free."""
    nothing = Side("", words.spans[first][0])
    at = first - 1
    if at < floor or not words.beside(first):
        return nothing
    while words[at] in _TAILS and at > floor and words.beside(at):
        at -= 1
    if side := words.side(at):
        found = _with_other(words, at, floor, side)
        is_verb = plural and words[at] == "r" and found.said != "and"  # "where r the kidneys"
        return nothing if is_verb else found
    at = first - 1
    if said := _BOTH.get(words[at]):
        return Side(said, words.spans[at][0])
    if words[at] in _OPEN:
        return nothing._replace(said="open")
    if words[at] in _DETERMINERS:
        before = at - 2 if words[at - 1] == "of" else at - 1
        if before >= floor and (said := _BOTH.get(words[before])):
            return Side(said, words.spans[before][0])
    for at in (first - 2, first - 3):
        if at < floor or not words.beside(at + 1) or words[at + 1] in _NO_ADJECTIVE:
            break
        if side := words.side(at):
            return Side(side, words.spans[at][0], words.text[words.spans[at + 1][0] : words.spans[first][0]])
    return nothing


def side_after(words: Words, stop: int, is_next: Callable[[int], bool]) -> Side:
    """The side that words behind a thing say.

    stop: the first of them. is_next: whether a side would belong to another thing, which begins at a word.
    """
    end = words.spans[stop - 1][1]
    nothing, opens = Side("", end), Side("open", end)
    mark = words.gap(stop).strip()
    if stop >= len(words) or mark not in ("", "(", "[", ",", ":", "-", "–", "_"):
        return nothing
    first, placed = stop, words[stop] in _PREPOSITIONS
    if placed:
        first += 1
        while words[first] in _DETERMINERS:
            first += 1
    said, at = _said(words, first)
    if said in ("", "open"):
        return opens if said else nothing
    place = words.spans[at - 1][1]
    if mark in ("(", "["):
        closing = _CLOSING.match(words.text, place)
        return Side(said, closing.end() if closing else end)
    follows = words[at] if words.beside(at) else ""
    if words[stop] == "to" or (follows in ("of", "to") and not (placed and _is_of_patient(words, at))):
        return opens  # "on the left of the picture" is not the patient's left
    if follows in _ELSEWHERE or is_next(at):
        return nothing
    lone = len(words[at - 1]) == 1
    if (lone or mark == ",") and follows and follows not in _JOINING:
        return nothing
    asks = mark == "," and said == "right" and words.gap(at).startswith("?")
    if asks and _STATES & set(words.said[:stop]):  # "This is the kidney, right?"
        return nothing
    return Side(said, place)


def _is_of_patient(words: Words, at: int) -> bool:
    owner = at + 1
    while words[owner] in _DETERMINERS and words[owner] != "patient's":
        owner += 1
    return words[at] == "of" and words[owner] in _PATIENT


def _with_other(words: Words, at: int, floor: int, side: str) -> Side:
    """A side before a thing, together with the other side when that stands before it: "left and right kidney"."""
    other = at - 1
    if words.gap(at).strip() not in _PLUS:
        other -= words[other] == "the"
        if words[other] != "and":
            return Side(side, words.spans[at][0])
        other -= 1
    both = other >= floor and words.side(other) not in ("", side)
    return Side("and", words.spans[other][0]) if both else Side(side, words.spans[at][0])


def _said(words: Words, at: int) -> tuple[str, int]:
    """What is said from a word on, and the word behind it."""
    if words[at] == "bilaterally":
        return "and", at + 1
    if words[at] in ("both", "bilateral", "each", "either"):
        sides = words[at + 1] in _TAILS and words.beside(at + 1)
        ends = not words.beside(at + 1) and words[at] in ("both", "bilateral")
        return ("and", at + 1 + sides) if sides or ends else ("", at)
    side = words.side(at)
    if not side:
        return "", at
    at += 1
    plus = words.gap(at).strip() in _PLUS
    other = at if plus else at + 1
    if words[other] == "the":
        other += 1
    if words.side(other) not in ("", side) and (plus or words[at] in ("and", "or")):
        side, at = ("open" if words[at] == "or" else "and"), other + 1
    while words[at] in _TAILS and words.beside(at):
        at += 1
    return side, at
