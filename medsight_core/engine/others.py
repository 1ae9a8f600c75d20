"""Things that people ask for and that a model was not trained on: anatomy, findings, devices, by everyday names too.

A small model may take any word for something it knows. A question that names one of these and says nothing else has one
honest answer. Plain words: no model, no image.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from pathlib import Path

from rapidfuzz import process
from rapidfuzz.distance import OSA

from medsight_core.engine.aliases import SIDE_OF
from medsight_core.engine.wished import WORD, is_ordinary

# Canonical names, none of which is another word for what data sets label often.
OTHERS = tuple(Path(__file__).with_name("others.txt").read_text(encoding="utf-8").split("\n")[:-1])

_LONGEST = 4  # words of a name
_LEAST = 5  # letters; shorter names have too many neighbours
_LIKE = 0.85  # similarity of a mistyped name


def other_thing(question: str, known: Collection[str]) -> str:
    """The one of these that a question asks for and nothing beside it, as it is spelt there; "" for other questions.

    known: names that the model knows, which are none of these.
    """
    words = list(WORD.finditer(question))
    said = [match[0].lower() for match in words]
    plain = [word in SIDE_OF or is_ordinary(word) for word in said]
    for length in range(min(_LONGEST, len(words)), 0, -1):
        for first in range(len(words) - length + 1):
            stop = first + length
            if all(plain[:first]) and all(plain[stop:]) and not all(plain[first:stop]):
                name = _other(" ".join(said[first:stop]))
                if name and name not in known:
                    first -= first > 0 and said[first - 1] in SIDE_OF
                    return question[words[first].start() : words[stop - 1].end()].lower()
    return ""


@cache
def _other(said: str) -> str:
    if said in OTHERS or len(said) < _LEAST:
        return said if said in OTHERS else ""
    found = process.extractOne(said, OTHERS, scorer=OSA.normalized_similarity, score_cutoff=_LIKE)
    return found[0] if found else ""
