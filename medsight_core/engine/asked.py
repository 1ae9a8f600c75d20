"""What a question asks for, and that "not seen" is said of nothing else.

A small language model may call something not seen that nobody asked for. Here the names in a question are found by
plain comparison with known names, and the sentence is put right. It knows words only.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from medsight_core.engine.wording import absent_names, not_seen, split_sentences

_CODE = re.compile(r"\[M\d+_\d+\]")


def asked_names(question: str, names: Iterable[str]) -> list[str]:
    """The known ``names`` that a question mentions, in its order; a name inside a longer one does not count."""
    found: list[tuple[int, int, str]] = []
    for name in sorted(names, key=len, reverse=True):
        for match in re.finditer(rf"\b{re.escape(name)}(?:s|es)?\b", question, re.IGNORECASE):
            if not any(start < match.end() and match.start() < end for start, end, _ in found):
                found.append((match.start(), match.end(), name))
    return list(dict.fromkeys(name for _, _, name in sorted(found)))


def missing_names(asked: Iterable[str], found: Collection[str]) -> list[str]:
    """Those asked for and not found; "kidney" is found when the left kidney is."""
    return [name for name in asked if not any(f" {other} ".endswith(f" {name} ") for other in found)]


def ground(text: str, question: str, trusted: Collection[str], missing: Collection[str]) -> str:
    """A reply that calls only those things not seen which the question asked for.

    trusted: names that the model knows, so that it may have understood other words for them.
    missing: `missing_names` of the question; all of them are said to be not seen.
    """
    sentences = []
    for sentence in split_sentences(text):
        stated = [] if _CODE.search(sentence) else absent_names(sentence)
        real = [
            name for name in stated if name in trusted or re.search(rf"\b{re.escape(name)}", question, re.IGNORECASE)
        ]
        if len(real) < len(stated):
            real = list(dict.fromkeys([*real, *missing]))
            lead = "No, " if sentence.lower().startswith("no,") else ""
            said = not_seen(real) if real else "what you asked for is not seen."
            sentence = (lead + said) if lead else said[:1].upper() + said[1:]
        sentences.append(sentence)
    grounded = " ".join(sentences)
    unsaid = [name for name in missing if name not in absent_names(grounded)]
    if unsaid:
        said = not_seen(unsaid)
        grounded = f"{grounded} {said[:1].upper()}{said[1:]}".strip()
    return grounded
