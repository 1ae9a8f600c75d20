"""What a question asks for, and that "not seen" is said of nothing else.

A small language model may call something not seen that nobody asked for. Here the names in a question are found by
plain comparison with known names, and the sentence is put right. It knows words only.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from rapidfuzz.distance import OSA

from medsight_core.engine.aliases import SIDE_OF
from medsight_core.engine.wished import WORD, is_ordinary, wished
from medsight_core.engine.wording import (
    Mention,
    absent_names,
    find_codes,
    listed,
    not_seen,
    sentence_spans,
    split_sentences,
    with_verb,
)
from medsight_core.terminology import split_side

_WORDS = r"(?:(?:the|both|a|an|my|your|his|her|their|its|this|that|one|of|left|right|either|big|whole)\s+)*$"
# What stands before a name that only says where something else is, and what may or may not: "the outline of the liver".
_PLACE = re.compile(
    r"\b(?:next to|near|beside|behind|below|beneath|under|underneath|above|between|in front of|before|close to|beyond|"
    r"adjacent to|inside|within|medial to|lateral to|anterior to|posterior to|superior to|inferior to|dorsal to|"
    r"ventral to|bordering|lining|touching|surrounding|into|in|upstream of|downstream of)\s+" + _WORDS,
    re.IGNORECASE,
)
_OPEN = re.compile(r"\b(?:of|on|around|from|at|to|with|for|than)\s+" + _WORDS, re.IGNORECASE)
_AND = re.compile(r"\s*(?:and|or|&)\s+(?:the\s+)?", re.IGNORECASE)
# What models say that are trained with our conversations.
OFF_TOPIC_ANSWER = "I can only answer questions about the image."
_LIKE = 0.7  # similarity of a garbled name to the words that it stands for
_LONGEST = 5  # words of such a name
_CONTRADICTED = re.compile(r"^Yes, the(?=[^.!?\[\]]* (?:is|are) not seen)", re.IGNORECASE)
_WISH = re.compile(r"\b(?:outlin|segment|delineat|contour|highlight|annotat|tracing|circle|mask)\w*", re.IGNORECASE)
_WHETHER = re.compile(r"\W*(?:(?:is|are) there|(?:do|can) you see)\b", re.IGNORECASE)


def asked_names(question: str, names: Iterable[str]) -> list[str]:
    """The known ``names`` that a question mentions, in its order; a name inside a longer one does not count."""
    return list(dict.fromkeys(name for _, name in _found(question, names)))


def meant_names(question: str, names: Sequence[str], spoken: Collection[str]) -> list[str]:
    """Those of `asked_names` that are asked for, without those that only say where something else is.

    spoken: names that the reply outlines or calls not seen. A name after words of place ("the organ below the liver")
    counts only when the reply speaks of it, or of nothing; after "of", "on" and the like also when the reply speaks of
    no other thing than those asked for.
    """
    others = set(spoken) - set(names)
    told, before = [], ("", 0, False)  # name, end, whether a place
    for match, name in _found(question, names):
        head = question[: match.start()]
        joined = _AND.fullmatch(question[before[1] : match.start()]) and split_side(before[0])[1] == split_side(name)[1]
        place = before[2] if joined else bool(_PLACE.search(head) or (others and _OPEN.search(head)))
        before = (name, match.end(), place)
        if not place or name in spoken or not spoken:
            told.append(name)
    return [name for name in names if name in told]


def names_all(question: str, names: Sequence[str]) -> bool:
    """Whether a question says by these ``names`` whatever it asks for: no other word of it may mean a thing."""
    spans = [match.span() for match, _ in _found(question, names)]
    words = (match for match in WORD.finditer(question) if not any(a <= match.start() < b for a, b in spans))
    return bool(spans) and all(is_ordinary(word) or word in SIDE_OF for word in (match[0].lower() for match in words))


def is_request(question: str, names: Sequence[str]) -> bool:
    """Whether a question that has some of these ``names`` in it is about the image beyond doubt."""
    return bool(asked_names(question, names)) and (bool(_WISH.search(question)) or names_all(question, names))


def missing_names(asked: Iterable[str], found: Collection[str]) -> list[str]:
    """Those asked for and not found; "kidney" is found when the left kidney is."""
    return [name for name in asked if not any(_is_kind(other, name) for other in found)]


def sideless(asked: Iterable[str], known: Collection[str]) -> list[str]:
    """Names asked for without their sides, where they are ``known`` so only: on planes that show no sides."""
    pairs = [(name, *split_side(name)) for name in asked]
    return list(dict.fromkeys(base for name, side, base in pairs if side and name not in known and base in known))


def overlooked(asked: Iterable[str], spoken: Collection[str], seen: Collection[str]) -> list[str]:
    """Those asked for that are seen and that no reply speaks of: a small language model loses its place in a list."""
    return [name for name in missing_names(asked, spoken) if name in seen]


def _found(question: str, names: Iterable[str]) -> list[tuple[re.Match[str], str]]:
    """Where names stand in a question, in its order; of names inside one another the longest."""
    found: list[tuple[re.Match[str], str]] = []
    for name in sorted(names, key=len, reverse=True):
        for match in re.finditer(rf"\b{re.escape(name)}(?:s|es)?\b", question, re.IGNORECASE):
            if not any(other.start() < match.end() and match.start() < other.end() for other, _ in found):
                found.append((match, name))
    return sorted(found, key=lambda each: each[0].start())


def _is_kind(name: str, kind: str) -> bool:
    return f" {name} ".endswith(f" {kind} ")


def without_unasked(text: str, mentions: Sequence[Mention], asked: Collection[str]) -> tuple[str, list[int]]:
    """A reply that outlines nothing but what was asked for, and the indices of the mentions left.

    Sentences about other things only go, and lists lose what they name beside it.
    asked: names in the question; when there are none, it asks in other words, and all stays.
    """
    kept, sentences = [], []
    for begin, end in sentence_spans(text):
        inside = [index for index, m in enumerate(mentions) if begin <= m.code_start < end]
        meant = [index for index in inside if any(_is_kind(mentions[index].name, name) for name in asked)]
        if not asked or not inside or len(meant) == len(inside):
            sentences.append(text[begin:end])
            kept += inside
        elif meant:
            head, tail = text[begin : mentions[inside[0]].start], text[mentions[inside[-1]].code_end : end]
            named = [f"{mentions[index].name} [{mentions[index].code}]" for index in meant]
            sentences.append(head + listed(named) + with_verb(tail, [mentions[index].name for index in meant]))
            kept += meant
    return " ".join(sentences), kept


def is_closed(question: str, reply: str) -> bool:
    """Whether a question whether something is there has to be answered by yes or no, or its reply takes it so.

    "Is the liver enlarged?" is no such question: that a liver is there does not answer it.
    """
    return _WHETHER.match(question) is not None or re.match(r"(?:yes|no)\b", reply, re.IGNORECASE) is not None


def as_asked(name: str, question: str) -> str:
    """A name as the question spells it, when it does or a small model has garbled it; "" for what it does not say."""
    if match := re.search(rf"\b{re.escape(name)}\w*", question, re.IGNORECASE):
        return match[0].lower()
    words = [match.span() for match in re.finditer(r"\w[\w'-]*", question)]
    spans = [(words[i][0], words[j][1]) for i in range(len(words)) for j in range(i, min(i + _LONGEST, len(words)))]
    said = max((question[a:b].lower() for a, b in spans), key=lambda each: _likeness(each, name), default="")
    return said if said and _likeness(said, name) >= _LIKE else ""


def _likeness(said: str, name: str) -> float:
    return float(OSA.normalized_similarity(said, name))


def ground(
    text: str, question: str, trusted: Collection[str], missing: Collection[str], only: Collection[str] = ()
) -> str:
    """A reply that calls only those things not seen which the question asked for.

    trusted: names that the model knows, so that it may have understood other words for them.
    missing: `missing_names` of the question; all of them are said to be not seen.
    only: whatever is asked for, where the question says it all by name.
    """
    sentences, outlines = [], bool(find_codes(text))
    for sentence in split_sentences(text):
        sentence = _CONTRADICTED.sub("No, the", sentence)
        stated = [] if find_codes(sentence) else absent_names(sentence)
        real = [name if name in trusted else as_asked(name, question) for name in stated]
        real = [name for name in real if not only or any(_is_kind(name, kind) for kind in only)]
        # "The thalamus" beside its left and its right one.
        real = [name for name in real if name in missing or not any(_is_kind(each, name) for each in missing)]
        if stated and not (any(real) or outlines or missing):
            real = [wished(question)]
        if real != stated:
            real = list(dict.fromkeys([*filter(None, real), *missing]))
            if outlines and not real:
                continue  # made up beside what it found
            lead = "No, " if sentence.lower().startswith("no,") else ""
            said = not_seen(real) if real else "what you asked for is not seen."
            sentence = (lead + said) if lead else said[:1].upper() + said[1:]
        sentences.append(sentence)
    grounded = " ".join(sentences)
    unsaid = missing_names(missing, absent_names(grounded))
    if unsaid:
        said = not_seen(unsaid)
        grounded = f"{grounded} {said[:1].upper()}{said[1:]}".strip()
    return grounded
