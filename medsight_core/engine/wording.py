"""From a model's reply to the sentence a person reads: region codes become names, numbers, or "not seen".

A reply such as "The right lung [M5_0] and the ribs [M5_2] are outlined." says what the language model means; which of
these regions are really there is decided later, from the masks. `find_mentions` reads the names, `compose` writes the
sentence that agrees with the decisions. It knows words only: no tensors, no masks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medsight_core.answer import CodeSpan

# What stands between the name of a thing and its code: "the liver is segmented as [M0_16]", "Liver: [M0_16]".
_CONNECTOR = re.compile(
    r"(?:[\s,]+(?:is|are|was|were|has been|can be|segmented|outlined|shown|marked|as|at|by|here))*[\s:,(]*$"
)
_CLAUSE_START = re.compile(
    r"[.,;:!?()\]]|\b(?:and|or|with|of a|shows?|demonstrates?|reveals?|indicates?|suggests?|there (?:is|are))\b",
    re.IGNORECASE,
)
_LEADING = re.compile(r"^(?:yes|no|the|a|an|this|there|is|are|here)\b[\s,]*", re.IGNORECASE)
_DENIAL = re.compile(r"\bnot (?:seen|visible)\b", re.IGNORECASE)
_BETWEEN = re.compile(r"^(?:,|;| and|, and)? ?(?:the )?$")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_NOT_SEEN = re.compile(r"(?:^|[.!?]\s+|no,\s+)the ([^.!?\[\]]+?) (?:is|are) not (?:seen|visible)\b", re.IGNORECASE)
_NUMBER = re.compile(r" \[\d+\]")
_CODE = re.compile(r"\[M\d+_\d+\]")
# What a reply may end with while it is written that the next token could change: blanks, part of a code or of a letter.
_UNSETTLED = re.compile(r"\s*(?:\[(?:M(?:\d+(?:_\d*)?)?)?)?\ufffd*$")


@dataclass(frozen=True)
class Mention:
    """A name with its code in a reply: the name's [start, end), empty when the code stands alone, and the code's."""

    name: str
    code: str
    start: int
    end: int
    code_start: int
    code_end: int


@dataclass(frozen=True)
class Wording:
    """The sentence for the user, where each region's name first stands in it, and what it calls not seen."""

    text: str
    spans: dict[str, tuple[int, int]]
    absent: tuple[str, ...]


def find_mentions(text: str, codes: Sequence[CodeSpan], names_of_codes: Mapping[str, str]) -> list[Mention]:
    """The thing that each code of a reply names.

    A code whose meaning is known takes that name; otherwise the words before it, without verbs and articles.
    """
    mentions, floor = [], 0
    for code in codes:
        known = names_of_codes.get(code.code)
        before = text[floor : code.start]
        before = before[: len(before) - len(_matched(_CONNECTOR, before))]
        if known and before.lower().endswith(known.lower()):
            start = len(before) - len(known)
        else:
            starts = [match.end() for match in _CLAUSE_START.finditer(before)]
            start = starts[-1] if starts else 0
            while (word := _LEADING.match(before[start:].lstrip())) and word.group():
                start = len(before) - len(before[start:].lstrip()) + word.end()
            start = len(before) - len(before[start:].lstrip())
        phrase = before[start:]
        name = known or phrase.lower() or code.code
        mentions.append(Mention(name, code.code, floor + start, floor + len(before), code.start, code.end))
        floor = code.end
    return mentions


def absent_names(text: str) -> list[str]:
    """Names that a reply itself calls not seen ("The liver and the spleen are not seen.")."""
    found = []
    for match in _NOT_SEEN.finditer(text):
        listed = re.split(r",? and (?:the )?|, (?:the )?", match.group(1), flags=re.IGNORECASE)
        found += [name.strip().lower() for name in listed]
    return list(dict.fromkeys(found))


def compose(
    text: str, mentions: Sequence[Mention], numbers: Mapping[str, int], extra: Sequence[str] = (), closed: bool = False
) -> Wording:
    """The sentence that agrees with what was found.

    text, mentions: a reply and `find_mentions` of it.
    numbers: region number by name, for the things really found; every other mentioned name is said to be not seen.
    extra: found names that the reply does not mention. closed: the question is to be answered by yes or no.
    """
    builder = _Builder(numbers)
    for begin, end in sentence_spans(text):
        builder.sentence(text, begin, end, [m for m in mentions if begin <= m.code_start < end])
    if extra:
        builder.enumerate("The ", extra, " is outlined.")
    stated = absent_names(builder.text)
    missing = [name for name in builder.dropped if name not in stated]
    if missing:
        builder.not_seen("The ", missing)
    if closed:
        builder.decide()
    absent = [name for name in dict.fromkeys([*builder.dropped, *stated]) if name not in builder.spans]
    return Wording(builder.text, builder.spans, tuple(absent))


def split_sentences(text: str) -> list[str]:
    """The sentences of a text, without the blanks between them."""
    return _SENTENCE.split(text.strip())


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Where the sentences of a text stand, [start, end) each."""
    spans: list[tuple[int, int]] = []
    for sentence in split_sentences(text):
        begin = text.index(sentence, spans[-1][1] if spans else 0)
        spans.append((begin, begin + len(sentence)))
    return spans


def listed(names: Sequence[str]) -> str:
    """ "liver, the spleen and the aorta": at least one name, without the first one's article."""
    return ", the ".join(names[:-1]) + (" and the " if len(names) > 1 else "") + names[-1]


def not_seen(names: Sequence[str]) -> str:
    """ "the liver and the spleen are not seen." """
    return f"the {listed(names)} {_verb(names)} not seen."


def find_codes(text: str) -> list[CodeSpan]:
    """Region codes written in a text."""
    return [CodeSpan(match.group()[1:-1], *match.span()) for match in _CODE.finditer(text)]


def readable(text: str, names_of_codes: Mapping[str, str]) -> str:
    """A reply as far as it is written, for a person who watches: no code, nor part of one.

    A code gives way to its name where that is known and does not stand before it already, else to nothing. As a reply
    grows, this grows only at its end.
    """
    shown, position = "", 0
    for code in _CODE.finditer(text):
        shown += text[position : code.start()].rstrip()
        name = names_of_codes.get(code.group()[1:-1], "")
        if not shown.lower().endswith(name.lower()):
            shown += f" {name}" if shown else name
        position = code.end()
    return shown + _UNSETTLED.sub("", text[position:], count=1)


def with_verb(tail: str, names: Sequence[str]) -> str:
    """What follows a list of names (" are outlined."), with the verb that fits them."""
    return re.sub(r"^ (?:is|are)\b", f" {_verb(names)}", tail)


def is_plural(name: str) -> bool:
    """Whether a structure's name takes "are": "ribs" does, "thalamus", "pelvis" and "nucleus accumbens" do not."""
    return name.endswith("s") and not name.endswith(("us", "is", "as", "ss", "ns"))


def with_codes(answer: str, codes: Mapping[str, str]) -> str:
    """An earlier answer as the model wrote it: without the numbers for the user, with a code behind what it outlines.

    codes: of each name; names without one stay alone.
    """
    if not codes:
        return _NUMBER.sub("", answer)
    longest_first = sorted(codes, key=len, reverse=True)
    names = re.compile(rf"\b({'|'.join(map(re.escape, longest_first))})\b", re.IGNORECASE)
    sentences = split_sentences(_NUMBER.sub("", answer))
    return " ".join(
        sentence if _DENIAL.search(sentence) else names.sub(lambda m: f"{m[1]} [{codes[m[1].lower()]}]", sentence)
        for sentence in sentences
    )


class _Builder:
    """Writes sentences one after another and remembers where names landed."""

    def __init__(self, numbers: Mapping[str, int]) -> None:
        self.numbers = numbers
        self.text = ""
        self.spans: dict[str, tuple[int, int]] = {}
        self.dropped: list[str] = []

    def sentence(self, text: str, begin: int, end: int, mentions: list[Mention]) -> None:
        denied = [] if mentions else absent_names(text[begin:end])
        said = {*self.numbers, *absent_names(self.text)}  # another plane showed it, or it was called not seen before
        if any(name in said for name in denied):
            if rest := [name for name in denied if name not in said]:
                self.not_seen("The ", rest)
            return
        lost = [m.name for m in mentions if m.name not in self.numbers]
        self.dropped += [name for name in lost if name not in self.dropped]
        repeated = len({m.name for m in mentions}) < len(mentions)  # a small model may lose its place in a long list
        if not lost and not repeated and not (mentions and _DENIAL.search(text[mentions[-1].code_end : end])):
            self._start()
            self._substitute(text, begin, end, mentions)
            return
        between = [text[a.code_end : b.start] for a, b in zip(mentions, mentions[1:])]
        if not all(_BETWEEN.match(words) for words in between):
            self._start()
            self._substitute(text, begin, end, mentions)
            return
        lead, tail = text[begin : mentions[0].start], text[mentions[-1].code_end : end]
        kept = list(dict.fromkeys(m.name for m in mentions if m.name in self.numbers))
        if kept:
            told = re.search(r"\w", tail) and not _DENIAL.search(tail)
            self.enumerate(lead, kept, tail if told else " is outlined.")
        elif lead.lower().startswith("yes"):
            self.not_seen("No, the ", lost)

    def enumerate(self, lead: str, names: Sequence[str], tail: str) -> None:
        """ "The A [1], the B [2] and the C [3] are outlined." """
        self._start()
        self.text += lead
        for index, name in enumerate(names):
            if index:
                self.text += " and the " if index == len(names) - 1 else ", the "
            self._name(name if lead or index else name.capitalize(), name)
        self.text += with_verb(tail, names)

    def not_seen(self, lead: str, names: Sequence[str]) -> None:
        self._start()
        self.text += lead + not_seen(names).removeprefix("the ")

    def decide(self) -> None:
        """Begin with yes or no, where the text begins with what is there or not."""
        if self.text.startswith("The "):
            lead = "Yes, " if self.spans else "No, "
            self.text = lead + "t" + self.text[1:]
            self.spans = {name: (start + len(lead), end + len(lead)) for name, (start, end) in self.spans.items()}

    def _substitute(self, text: str, begin: int, end: int, mentions: list[Mention]) -> None:
        position = begin
        for mention in mentions:
            self.text += text[position : mention.start]
            words = text[mention.start : mention.end]
            if words.lower() != mention.name:  # the code decides what is outlined, so the sentence must say that
                words = mention.name
            if mention.name in self.numbers:
                self._name(words, mention.name, text[mention.end : mention.code_start])
            else:
                self.text += f"{words} (not seen)"
            position = mention.code_end
        self.text += text[position:end]

    def _name(self, words: str, name: str, gap: str = " ") -> None:
        start = len(self.text)
        self.text += words
        self.spans.setdefault(name, (start, len(self.text)))
        self.text += f"{gap if gap.strip() else ' '}[{self.numbers[name]}]"

    def _start(self) -> None:
        if self.text:
            self.text += " "


def _verb(names: Sequence[str]) -> str:
    return "are" if len(names) > 1 or is_plural(names[0]) else "is"


def _matched(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match.group() if match else ""
