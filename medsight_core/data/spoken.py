"""Questions as people write them: a sentence drawn from the grammar of `phrases`, names put in, written carelessly.

This module knows the shape of sentences, and neither pictures nor answers.
"""

from __future__ import annotations

import random
import re
from typing import Mapping, Sequence

from medsight_core.data.names import say, say_both
from medsight_core.data.phrases import PLACES, RULES
from medsight_core.engine.wording import is_plural
from medsight_core.terminology import split_side

_CANONICAL = 0.6  # share of questions that use a thing's own name
_PLACED = 0.25  # share of findings that are asked for with the organ where they may lie
_CAPITAL, _LOWER, _SLIPS = 0.7, 0.12, 0.12  # shares of sentences: begun with a capital, all in small letters, mistyped
_INNERMOST = re.compile(r"<([^<>]+)>")


def expand(text: str, rng: random.Random, rules: Mapping[str, Sequence[str]] = RULES) -> str:
    """A sentence with one of the alternatives for each ``<rule>`` and ``<this|that>``. rules: those looked at first."""
    while "<" in text:
        text = _INNERMOST.sub(
            lambda match: rng.choice(rules.get(match[1]) or RULES.get(match[1]) or match[1].split("|")), text
        )
    return text


def said(name: str, rng: random.Random) -> str:
    """Words for a canonical name, without an article: mostly the name itself."""
    words = name if rng.random() < _CANONICAL else say(name, rng).removeprefix("the ")
    return f"{words} {expand(rng.choice(PLACES[name]), rng)}" if name in PLACES and rng.random() < _PLACED else words


def said_both(base: str, rng: random.Random) -> str:
    """Words for the left and the right ``base`` together, without an article."""
    return say_both(base, rng).removeprefix("the ")


def ask(
    rule: str, things: Sequence[str], rng: random.Random, many: bool = False, against: str = "", side: str = ""
) -> str:
    """A question or order about some things.

    things: words for each, without articles. many: one of them stands for several. against: what they are compared
    with. side: of what is meant.
    """
    several = many or len(things) > 1 or is_plural(split_side(things[0])[1])
    definite = rng.random() < 0.67
    return expand(f"<{rule}>", rng).format(
        x=_join([_the(thing) if definite else thing for thing in things], rng),
        y=_the(against) if definite else against,
        n=_join(things, rng),
        a=_join([_any(thing, several, rng) for thing in things], rng),
        be="are" if several else "is",
        it="them" if several else "it",
        side=side,
    )


def write(question: str, rng: random.Random, exact: Sequence[str] = ()) -> str:
    """A question as typed: with capitals or none, now and then mistyped, but for the words in ``exact``."""
    style = rng.random()
    if style < _CAPITAL:
        question = re.sub(r"(?:^|(?<=[.?!] ))[a-z]", lambda match: match.group().upper(), question)
    elif style > 1 - _LOWER:
        question = question.lower()
    slips = rng.choice((1, 1, 2)) if rng.random() < _SLIPS else 0
    for _ in range(slips):
        question = _mistype(question, rng, exact)
    return question


def with_aside(question: str, rng: random.Random) -> str:
    """A question, now and then with words in front that say nothing of what is wanted."""
    aside = expand("<aside>", rng)
    return aside[:1].upper() + aside[1:] + (question[:1].lower() if aside else question[:1]) + question[1:]


def _join(things: Sequence[str], rng: random.Random) -> str:
    last = rng.choice((" and ", " and ", " and ", ", ", " as well as ", " & ", " plus ", " + "))
    return last.join([", ".join(things[:-1]), things[-1]] if len(things) > 1 else things)


def _the(thing: str) -> str:
    return thing if thing.startswith("both") else f"the {thing}"


def _any(thing: str, several: bool, rng: random.Random) -> str:
    if several or rng.random() < 0.3:
        return thing if several and rng.random() < 0.5 else f"any {thing}"
    return f"{'an' if thing[0] in 'aeiou' else 'a'} {thing}"


def _mistype(text: str, rng: random.Random, exact: Sequence[str]) -> str:
    """One slip of the finger inside a word: a letter lost, doubled, swapped with the next, or another one hit."""
    kept = {i for words in exact for match in re.finditer(re.escape(words), text, re.I) for i in range(*match.span())}
    places = [i for i in range(1, len(text) - 2) if text[i - 1 : i + 2].isalpha() and not kept & {i, i + 1}]
    if not places:
        return text
    i = rng.choice(places)
    return rng.choice(
        (
            text[:i] + text[i + 1 :],
            text[:i] + text[i + 1] + text[i] + text[i + 2 :],
            text[:i] + text[i] + text[i:],
            text[:i] + rng.choice("aeinorst") + text[i + 1 :],
        )
    )
