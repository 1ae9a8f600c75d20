"""Questions that mean a known thing only by what was asked before: "and the other one?", "only the left, please".

Where nothing but such words is said they are put in the thing's own name, so that no model has to guess; all other
questions stay as they are. Plain words: no model, no image.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from medsight_core.engine.aliases import SIDE_OF, word_set
from medsight_core.engine.asked import asked_names
from medsight_core.engine.wished import WORD, is_ordinary
from medsight_core.engine.wording import listed
from medsight_core.terminology import SIDES, other_side, split_side

_OTHER = word_set("other opposite contralateral counterpart partner twin mirror across flip swap switch")
_BOTH = word_set("both bilateral bilaterally")
_FIRST, _LAST = word_set("first former"), word_set("second latter last")
_BESIDE = word_set("one ones side sides hand idem alone together bad cheers no just two then over above-mentioned")
# "Not the left", "drop the second": what stays is for the model to say.
_AWAY = word_set("not without remove rid delete drop leave hide off lose minus except forget don't or")
_AGREES = re.compile(
    r"\b(?:all|that's|that is|is that|is it|you're|you are|yes)\s+right\b|^right\b\s*[,.!]|,\s*right\s*\?",
    re.IGNORECASE,
)
_WHETHER = re.compile(
    r"(?:and\s+)?(?:is|are|was|do|does|can|could)\b(?!\s+(?:you|we|i)\s+(?!see|find|make out))", re.IGNORECASE
)


def spelt_out(question: str, history: Sequence[Sequence[str]], known: Collection[str]) -> str:
    """The question with the name that it means; itself where it says more than such words, or is not sure.

    history: the known names that each earlier turn was about, oldest first. known: what may be named.
    """
    words = [match[0].lower() for match in WORD.finditer(question)]
    said = set(words)
    plain = _OTHER | _BOTH | _FIRST | _LAST | _BESIDE
    if not history or said & _AWAY or _AGREES.search(question):
        return question
    if not all(word in SIDE_OF or word in plain or is_ordinary(word) for word in words):
        return question
    names = [name for name in _meant(said, history) if name in known]
    if not names:
        return question
    if _WHETHER.match(question):
        return f"{'Are' if len(names) > 1 else 'Is'} the {listed(names)} visible?"
    return f"Outline the {listed(names)}."


def names_of(turn: tuple[str, str], known: Sequence[str]) -> list[str]:
    """The known names that a turn was about: those of its question, or those of its answer."""
    return asked_names(turn[0], known) or asked_names(turn[1], known)


def _meant(said: set[str], history: Sequence[Sequence[str]]) -> list[str]:
    last = list(history[-1])
    sides = {SIDE_OF[word] for word in said if word in SIDE_OF}
    pairs = {split_side(name)[1] for name in last if split_side(name)[0]}
    if len(pairs) == 1 and all(split_side(name)[0] for name in last):
        (base,) = pairs
        both = [f"{side} {base}" for side in SIDES]
        if said & _BOTH or (len(sides) == 2 and "and" in said):
            return both
        if len(sides) == 2:
            return []  # "the right, I mean the left"
        opposite = other_side(last[0]) if len(last) == 1 else ""
        if said & _OTHER:
            return [opposite] if opposite and sides <= {split_side(opposite)[0]} else []
        return [f"{side} {base}" for side in sides]
    if sides or said & _OTHER:
        return []
    if len(last) == 2 and said & (_FIRST | _LAST):
        return [last[0]] if not said & _LAST else [last[1]] if not said & _FIRST else []
    if len(last) == 1 and said & _BOTH and len(history) > 1 and len(history[-2]) == 1:
        return list(dict.fromkeys([*history[-2], *last]))
    return []
