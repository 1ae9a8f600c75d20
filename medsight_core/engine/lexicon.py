"""Which words of a question mean which known thing, slips and all.

A `Lexicon` holds the words for some known names. It cuts a question into `Words` and finds things in it; what words
around them say of sides is another matter (`sides`). Plain words: no model, no image.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from rapidfuzz.distance import OSA

from medsight_core.engine.aliases import (
    ALONE,
    COMMON,
    FITTING,
    FOREIGN,
    LOOSE,
    PROTECTED,
    SIDE_OF,
    SIDED,
    SPELLINGS,
    SYNONYMS,
    UNDERSTOOD,
)
from medsight_core.engine.plurals import plurals
from medsight_core.engine.words import Words
from medsight_core.terminology import NAMES, SIDES, split_side

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_FULL, _OTHER = 4, 6  # letters of a name's words and of other words; shorter ones have too many neighbours
_LONG = 7  # letters; from here on two slips are forgiven
_LEAST_TOGETHER = 9  # letters of a phrase whose words may all have a slip
_ADJECTIVE = re.compile(r"\w{2,}(?:al|ar|ary|ac|ic|ian|eal)")
_JOINED = re.compile(r"\s*(?:[,&+/]|,?\s*\b(?:and|or)\b)\s*", re.IGNORECASE)
_PLACES = frozenset({"of", "in", "around"})
_ARTICLES = frozenset({"the", "a", "an", "my", "your", "his", "her", "this", "that"})
_SHOWN = frozenset({"image", "left", "patient", "picture", "plane", "right", "scan", "slice", "view"})
_AFTER_ALONE = frozenset({"", "and", "as", "or", "please", "pls", "plus", "too"})


@dataclass(frozen=True)
class Meaning:
    """What a phrase means: a name without side, the side if the phrase says it, and whether it is plural.

    own: the phrase is the name itself. common: what a noun that many things have may belong to; None for other phrases.
    """

    base: str
    side: str = ""
    plural: bool = False
    own: bool = False
    common: frozenset[str] | None = None


@dataclass(frozen=True)
class Thing:
    """A phrase in a question: the first of its words, the one after its last, and what it means."""

    first: int
    stop: int
    meaning: Meaning


class Lexicon:
    """The words for some ``known`` names, with sides where things have one.

    Words for other things of the terminology are known as well, as what must not be taken for something known.
    """

    def __init__(self, known: frozenset[str]) -> None:
        self.known = known
        self._bases = {split_side(name)[1] for name in known}
        self._phrases: dict[tuple[str, ...], Meaning] = {}
        every = self._bases | {split_side(name)[1] for name in NAMES} | SYNONYMS.keys() | UNDERSTOOD.keys()
        for base in sorted(every):
            self._add(base, Meaning(base, own=True))
        for table in (SYNONYMS, UNDERSTOOD):
            for base, phrases in table.items():
                for phrase in phrases:
                    self._add(phrase, Meaning(base))
        for base in sorted(LOOSE.keys() & self._bases):
            for phrase in LOOSE[base]:
                meant = self._phrases.get(_cut(phrase))
                if meant is None or meant.base not in self._bases:
                    self._phrases[_cut(phrase)] = Meaning(base)
        for phrase, name in SIDED.items():
            side, base = split_side(name)
            self._phrases[_cut(phrase)] = Meaning(base, side)
        self._longest = max(map(len, self._phrases))
        self._words = {word for words in self._phrases for word in words}
        self._own = {word for base in self._bases for each in (base, *plurals(base)) for word in _cut(each)}
        self._meanings: dict[str, set[str]] = {}  # word -> the known things that phrases with it mean
        for words, meaning in self._phrases.items():
            for word in words:
                if meaning.base in self._bases and len(word) >= (_FULL if word in self._own else _OTHER):
                    self._meanings.setdefault(word, set()).add(meaning.base)
        for other, word in SPELLINGS.items():
            if word in self._meanings:
                self._meanings[other] = self._meanings[word]
        self._targets: dict[str, list[str]] = {}  # first letter -> words that slips are compared with
        for word in self._meanings:
            self._targets.setdefault(word[0], []).append(word)
        self.meant = lru_cache(maxsize=4096)(self._meant)
        self.nearly = lru_cache(maxsize=4096)(self._nearly)

    def read(self, question: str) -> Words:
        """A question's words as they were meant; "rightkidney" is two."""
        said, spans = [], []
        for match in _WORD.finditer(question):
            word, start = match[0].lower().replace("’", "'"), match.start()
            side = next((side for side in SIDES if word.startswith(side)), "")
            if side and word not in SIDE_OF and self.meant(word[len(side) :]) in self._meanings:
                said.append(side)
                spans.append((start, start + len(side)))
                word, start = word[len(side) :], start + len(side)
            said.append(self.meant(word))
            spans.append((start, match.end()))
        return Words(question, tuple(said), tuple(spans))

    def find(self, words: Words) -> list[Thing]:
        """The known things in a question, in its order; of phrases that begin at a word, the longest."""
        things: list[Thing] = []
        at = 0
        while at < len(words):
            thing = self._at(words, at)
            if thing is None:
                at += 1
                continue
            if thing.meaning.base in self._bases:
                floor = things[-1].stop if things else 0
                things += [*reversed(list(self._sharing(words, thing, floor))), thing]
            at = thing.stop
        return things

    def _add(self, phrase: str, meaning: Meaning) -> None:
        words = _cut(phrase)
        common = COMMON.get(phrase)
        self._phrases.setdefault(words, Meaning(meaning.base, "", False, meaning.own, common))
        for several in plurals(phrase):
            self._phrases.setdefault(_cut(several), Meaning(meaning.base, "", True, meaning.own, common))

    def _meant(self, word: str) -> str:
        """The word that was meant: itself, or the one known word that is a slip or two away."""
        word = SPELLINGS.get(word, word)
        if word in self._words or word in PROTECTED or word in SIDE_OF or len(word) < 3 or not word.isalpha():
            return word
        for side in SIDES:
            if word[0] == side[0] and OSA.distance(word, side) == 1:
                return side
        near: dict[int, list[str]] = {}
        # Slips seldom change the first letter, but "renal" and "adrenal" differ by it.
        for other in self._targets.get(word[0], ()) if len(word) >= _FULL else ():
            if len(word) == len(other) == _FULL and sorted(word) != sorted(other):
                continue  # but for two letters that changed places
            limit = 2 if min(len(word), len(other)) >= _LONG else 1
            distance = OSA.distance(word, other, score_cutoff=limit)
            if distance <= limit:
                near.setdefault(distance, []).append(other)
        if not near:
            return word
        best = sorted(near[min(near)])
        best = [other for other in best if other in self._own] or best  # a name's own words before synonyms
        same = all(self._meanings[other] == self._meanings[best[0]] for other in best)
        return SPELLINGS.get(best[0], best[0]) if same else word

    def _at(self, words: Words, at: int) -> Thing | None:
        """The longest phrase that begins at a word and may be meant there."""
        longest = 1
        while longest < self._longest and words.beside(at + longest):
            longest += 1
        for length in range(longest, 0, -1):
            meaning = self._phrases.get(words.said[at : at + length])
            if meaning and not _is_other(words, at, at + length, meaning):
                return Thing(at, at + length, meaning)
        for length in range(longest, 1, -1):
            meaning = self.nearly(words.said[at : at + length])
            if meaning and not _is_other(words, at, at + length, meaning):
                return Thing(at, at + length, meaning)
        return None

    def _nearly(self, said: tuple[str, ...]) -> Meaning | None:
        """What two words or more mean with a slip in each, though alone they are words: "thoracic spin"."""
        found = {
            meaning
            for phrase, meaning in self._phrases.items()
            if len(phrase) == len(said)
            and phrase != said
            and meaning.base in self._bases
            and sum(map(len, phrase)) >= _LEAST_TOGETHER
            and all(a[0] == b[0] and OSA.distance(a, b, score_cutoff=1) <= 1 for a, b in zip(said, phrase))
            and all(min(len(a), len(b)) > 2 for a, b in zip(said, phrase) if a != b)
        }
        return found.pop() if len(found) == 1 else None

    def _sharing(self, words: Words, thing: Thing, floor: int) -> Iterator[Thing]:
        """What shares the last words of a thing with it, nearest first: "third and" before "fourth ventricle"."""
        rest, at = words.said[thing.first + 1 : thing.stop], thing.first
        while rest:
            earlier = at - (2 if words[at - 1] in ("and", "or") else 1)
            if earlier < floor or not _JOINED.fullmatch(words.text[words.spans[earlier][1] : words.spans[at][0]]):
                return
            meaning = self._phrases.get((words[earlier], *rest))
            if not meaning or meaning.base not in self._bases:
                return
            yield Thing(earlier, earlier + 1, meaning)
            at = earlier


def _cut(phrase: str) -> tuple[str, ...]:
    return tuple(SPELLINGS.get(word, word) for word in _WORD.findall(phrase.lower()))


def _is_other(words: Words, first: int, stop: int, meaning: Meaning) -> bool:
    """Whether the words around a phrase make it something else, as in "renal cortex" and "trunk of a tree"."""
    if words.said[first:stop] in {(word,) for word in ALONE}:
        return words.beside(stop) and words[stop] not in _AFTER_ALONE
    if meaning.common is None:
        return False
    before = words[first - 1] if words.beside(first) else ""
    if before in FOREIGN or (_ADJECTIVE.fullmatch(before) and before not in FITTING):
        return True
    if words[stop] not in _PLACES or not words.beside(stop):
        return False
    owner = stop + 1
    while words[owner] in _ARTICLES:
        owner += 1
    return words[owner] not in meaning.common | _SHOWN and (owner > stop + 1 or words[stop] == "of")
