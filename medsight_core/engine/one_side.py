"""The one side that a question speaks of, wherever in it that is said: "the inner lentiform, right side".

`sides` reads the words around a thing; this is for one whose side stands further away, and for one that is not named
at all. Plain words: no model, no image.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from medsight_core.engine.aliases import SIDE_OF, word_set
from medsight_core.engine.wished import WORD
from medsight_core.terminology import other_side, split_side

_BOTH = word_set("both bilateral bilaterally either neither each every pair paired other opposite contralateral")
# "Right behind it", "all right", "what's left", "left of the heart": no side of anything.
_NO_SIDE_BEFORE = word_set("now here there away behind next above below beside under over after before out of to alone")
_NO_SIDE_AFTER = word_set("all that's what's is's isn't nothing anything something much am are you're i'm was been")
_AS_BEFORE = word_set("it its it's same idem ditto ipsilateral that")
_ADDRESS = re.compile(r"^\s*right\b\s*[,.!]|,\s*right\s*\?", re.IGNORECASE)


def said_side(question: str) -> str:
    """ "left" or "right" where a question speaks of that side only; "" where of none or of both."""
    words = [(match[0], match.end()) for match in WORD.finditer(question)]
    said = [word.lower() for word, _ in words]
    if _BOTH & set(said) or _ADDRESS.search(question):
        return ""
    sides = set()
    for at, (word, end) in enumerate(words):
        side = SIDE_OF.get(word.lower())
        if side is None or (len(word) == 1 and word.islower()):
            continue
        beside = question[end : end + 1] == " " and at + 1 < len(said)
        if (beside and said[at + 1] in _NO_SIDE_BEFORE) or (at and said[at - 1] in _NO_SIDE_AFTER):
            continue
        sides.add(side)
    return sides.pop() if len(sides) == 1 else ""


def side_of_before(question: str, before: Collection[str]) -> str:
    """The side of what was spoken of before, where a question refers to it: "and the putamen of the same side".

    before: names of the turn before; "" where they have no side, or both.
    """
    if not _AS_BEFORE & {match[0].lower() for match in WORD.finditer(question)}:
        return ""
    sides = {split_side(name)[0] for name in before}
    return sides.pop() if len(sides) == 1 else ""


def of_one_side(question: str, spoken: Collection[str]) -> list[str]:
    """What a reply speaks of without the other side's, where it names both sides and the question one; else nothing."""
    side = said_side(question)
    if not side:
        return []
    kept = [name for name in spoken if split_side(name)[0] in ("", side) or other_side(name) not in spoken]
    return kept if len(kept) < len(spoken) else []
