"""The alias and typo table in front of a small model: a question with canonical names where it used other words.

"Pls outline the lft kidny and hepar" becomes "Pls outline the left kidney and liver". Words for things that the model
does not know stay as they are, so that it can say that it does not see them. Plain words: no model, no image.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache

from rapidfuzz.distance import OSA

from medsight_core.engine.aliases import ALIASES, DESCRIPTIONS, LEFT, PROTECTED, RIGHT, SIDED
from medsight_core.terminology import SIDES, split_side

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_SIDE_WORDS = {**dict.fromkeys(LEFT, "left"), **dict.fromkeys(RIGHT, "right")}
_FULL = 4  # letters; a shorter word has too many neighbours
_LONG = 7  # letters; from here on two slips are forgiven
_AFTER = re.compile(
    r"(?:\s*\(\s*|\s+(?:(?:on|at|of|in)\s+(?:the\s+|your\s+|his\s+|her\s+)?)?(?:patient'?s\s+)?)([\w.-]+)(?:[\s-]+(?:hand\s+)?side)?(\s*\))?",
    re.IGNORECASE,
)
_BEFORE = re.compile(r"([\w-]+)(\.?(?:\s+|-sided\s+|-hand\s+|\s*-\s*))(?:the\s+)?$", re.IGNORECASE)
_BOTH_BEFORE = re.compile(
    r"(?:\bboth(?:\s+the)?|\bbilateral|\bthe\s+two|\btwo|(?:the\s+)?(?:\bleft|\bl|\blt)\s*(?:and|&|\+|/)\s*(?:the\s+)?(?:right|r|rt)"
    r"|(?:the\s+)?(?:\bright|\br|\brt)\s*(?:and|&|\+|/)\s*(?:the\s+)?(?:left|l|lt))\s+$",
    re.IGNORECASE,
)
_BOTH_AFTER = re.compile(
    r"\s*(?:\(\s*)?(?:on\s+)?(?:both\s+sides|bilaterally|bilateral|left\s+and\s+right|right\s+and\s+left|l\s*[+&/]\s*r|r\s*[+&/]\s*l)"
    r"(?:\s*\))?",
    re.IGNORECASE,
)


_GLUED = re.compile(r"\b(left|right)(?=[a-z]{4})", re.IGNORECASE)


@dataclass(frozen=True)
class _Found:
    """A phrase in a question: [start, end) of it, and the name without side that it means."""

    start: int
    end: int
    base: str
    plural: bool


class _Lexicon:
    """The words for some known names."""

    def __init__(self, known: frozenset[str]) -> None:
        self.known = known
        bases = {split_side(name)[1] for name in known}
        self.phrases: dict[tuple[str, ...], tuple[str, bool]] = {}
        for base in bases:
            for phrase in (base, *ALIASES.get(base, ())):
                self._add(phrase, base)
        for phrase, meant in DESCRIPTIONS.items():
            base, plural = (meant, False) if meant in bases else (meant.removesuffix("s"), True)
            if base in bases:
                self.phrases[_words(phrase)] = base, plural
        self.own = {word for base in bases for word in _words(base)}
        self.longest = max(map(len, self.phrases), default=0)
        self.vocabulary: dict[str, set[str]] = {}  # word -> what phrases with it mean
        for words, (base, _) in self.phrases.items():
            for word in words:
                if len(word) >= _FULL:
                    self.vocabulary.setdefault(word, set()).add(base)

    def _add(self, phrase: str, base: str) -> None:
        words = _words(phrase)
        plural = phrase != base and (phrase.endswith("s") and phrase[:-1] in (base, *ALIASES.get(base, ())))
        self.phrases.setdefault(words, (base, plural or phrase in _PLURALS))
        if not phrase.endswith("s"):
            self.phrases.setdefault(_words(f"{phrase}s"), (base, True))

    @lru_cache(maxsize=4096)  # noqa: B019 - lexicons live as long as the process
    def spelt(self, word: str) -> str:
        """The word that was meant: itself, or the one known word that is a slip or two away."""
        if (
            word in self.vocabulary
            or word in PROTECTED
            or word in _SIDE_WORDS
            or len(word) < _FULL
            or not word.isalpha()
        ):
            return word
        limit = 2 if len(word) >= _LONG else 1
        near: dict[int, list[str]] = {}
        for other in self.vocabulary:
            # Slips seldom change the first letter, but "renal" and "adrenal" differ by it.
            if other[0] != word[0] or (len(word) == _FULL and len(other) <= _FULL):
                continue
            distance = OSA.distance(word, other, score_cutoff=limit)
            if distance <= limit:
                near.setdefault(distance, []).append(other)
        if not near:
            return word
        best = sorted(near[min(near)])
        best = [other for other in best if other in self.own] or best  # a name's own words before synonyms
        return best[0] if all(self.vocabulary[other] == self.vocabulary[best[0]] for other in best) else word

    def find(self, question: str) -> Iterator[_Found]:
        """Phrases in a question, the longest first at each place."""
        places = [(match.start(), match.end()) for match in _WORD.finditer(question)]
        words = [self.spelt(question[start:end].lower().replace("’", "'")) for start, end in places]
        at = 0
        while at < len(words):
            for length in range(min(self.longest, len(words) - at), 0, -1):
                meant = self.phrases.get(tuple(words[at : at + length]))
                if meant:
                    yield _Found(places[at][0], places[at + length - 1][1], *meant)
                    at += length
                    break
            else:
                at += 1


_PLURALS = frozenset(
    (
        "thalami", "hippocampi", "amygdalae", "putamina", "pallida", "caudates", "renes", "pulmones", "globi pallidi",
        "caudate nuclei", "nuclei caudati", "ventriculi laterales", "nuclei accumbentes",
    )
)  # fmt: skip


def canonical_question(question: str, known: Collection[str]) -> str:
    """The question with canonical names for what it means of the ``known`` ones; all else stays as it is.

    known: canonical names, with sides where things have one. A paired thing without a side, or in the plural, becomes
    both sides, in the plural only when both are known.
    """
    lexicon = _lexicon(frozenset(known))
    question = _GLUED.sub(r"\1 ", _abbreviations(question, lexicon.known))
    pieces, done = [], 0
    for found in lexicon.find(question):
        start, end, name = _name(question, found, done, lexicon.known)
        if start >= done:
            pieces += [question[done:start], name]
            done = end
    return "".join([*pieces, question[done:]])


def _words(phrase: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(phrase.lower()))


@lru_cache(maxsize=64)
def _lexicon(known: frozenset[str]) -> _Lexicon:
    return _Lexicon(known)


def _abbreviations(question: str, known: frozenset[str]) -> str:
    def put(match: re.Match[str]) -> str:
        name = SIDED.get(match[0].lower())
        return name if name in known else match[0]

    return re.sub(r"\b[A-Za-z]{2}\b", put, question)


def _name(question: str, found: _Found, floor: int, known: frozenset[str]) -> tuple[int, int, str]:
    """What stands in the place of a phrase and the words for its side: start, end, name."""
    start, end, base = found.start, found.end, found.base
    sides = [side for side in SIDES if f"{side} {base}" in known]
    if not sides:
        return start, end, base
    both = " and ".join(f"{side} {base}" for side in sides)
    head = question[floor:start]
    if match := _BOTH_BEFORE.search(head):
        return floor + match.start(), end, both
    if match := _BOTH_AFTER.match(question, end):
        return start, match.end(), both
    side, begin = _side_before(head)
    if side in sides:
        return floor + begin, end, f"{side} {base}"
    side, stop = _side_after(question, end)
    if side in sides:
        return start, stop, f"{side} {base}"
    return start, end, base if base in known and not found.plural else both


def _side_before(head: str) -> tuple[str, int]:
    """The side that the words before a phrase say, and where it begins in them."""
    match = _BEFORE.search(head)
    if match:
        side = _SIDE_WORDS.get(match[1].lower()) or _SIDE_WORDS.get(match[1].lower().removesuffix("-sided"))
        if side:
            return side, match.start()
    return "", 0


def _side_after(question: str, end: int) -> tuple[str, int]:
    """The side that the words behind a phrase say, and where they end."""
    match = _AFTER.match(question, end)
    if match:
        word = match[1].rstrip(".").lower()
        # A lone letter behind a name may begin anything; in brackets, or as the last word, it is a side.
        if word in _SIDE_WORDS and (len(word) > 1 or match[2] or not question[match.end(1) :].strip(" .?!")):
            stop = match.end() if match[2] or not match[0].lstrip().startswith("(") else match.end(1)
            return _SIDE_WORDS[word], stop
    return "", end
