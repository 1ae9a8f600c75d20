"""How well a reply's words answer a question: as the authors coded it, and as we think it should be measured.

The functions named ``official_*`` reproduce model-spec 8.1 with its faults, for comparison with the paper only:

- "no" is found inside "abnormal" and "not", so a reply is taken for a yes or no that it does not give;
- a reference word that a reply repeats counts each time, so verbose replies have a higher recall;
- a multiple choice goes to whatever option looks most like the reply, even when the reply chooses none.

Knows texts only: no cases, no masks.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Sequence

from medsight_core.data.records import CODE

_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DIGITS = {"none": "0", **{word: str(number) for number, word in enumerate(_NUMBERS)}}
_ARTICLES = ("a", "an", "the")
_WITH_APOSTROPHE = (
    "ain't aren't can't couldn't didn't doesn't don't hadn't hasn't haven't isn't mightn't mustn't needn't shan't "
    "shouldn't wasn't weren't won't wouldn't could've might've must've should've would've he's how's i'm i've it'd "
    "it'll let's she's somebody's someone's something's that's there's they'd they'll they're they've we've what's "
    "where's who's who've why's y'all you'd you'll you're you've"
)
_CONTRACTIONS = {word.replace("'", ""): word for word in _WITH_APOSTROPHE.split()}
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_THOUSANDS = re.compile(r"\d,\d")
_FULL_STOP = re.compile(r"\.(?!\d)")
_FULL_STOPS = 32  # that the authors remove: a regular expression flag stands where the limit belongs
_WORD = re.compile(r"[^\W_]+(?:[.'][^\W_]+)*")
_LETTER = re.compile(r"\W*([A-Z])(?:[.):]|\W*$)")


def normalise(text: str) -> str:
    """A text as the authors compare it: lower case, digits for small numbers, without articles and punctuation.

    A mark is removed when it stands beside a blank anywhere in the text, or when the text has a number such as 1,000;
    otherwise it becomes a blank.
    """
    thousands, kept = bool(_THOUSANDS.search(text)), text
    for mark in _PUNCTUATION:
        kept = kept.replace(mark, "" if thousands or f"{mark} " in text or f" {mark}" in text else " ")
    return " ".join(_plain(_FULL_STOP.sub("", kept, count=_FULL_STOPS).lower().split()))


def official_closed(reply: str, answer: str) -> float:
    """1 when the reply has "yes" or "no" in it, be it inside a word, and the answer too; 0 otherwise.

    Replies with neither count as wrong, which is how we read model-spec 8.1.
    """
    said = normalise(reply)
    return float(("yes" in said or "no" in said) and normalise(answer) in said)


def official_overlap(reply: str, answer: str) -> dict[str, float]:
    """Word overlap: "recall" (what the paper reports of open questions), "precision", "f1" and "exact".

    Words of the reply that the answer has count as often as the reply repeats them. All are 0 without a common word.
    """
    said, wanted = Counter(normalise(reply).split()), Counter(normalise(answer).split())
    hits = sum(count for word, count in said.items() if word in wanted)
    extra = sum(count for word, count in said.items() if word not in wanted)
    missed = sum(count for word, count in wanted.items() if word not in said)
    if not hits:
        return {"recall": 0.0, "precision": 0.0, "f1": 0.0, "exact": 0.0}
    precision, recall = hits / (hits + extra), hits / (hits + missed)
    exact = sum(word in said for word in wanted) / (hits + extra)
    return {
        "recall": recall,
        "precision": precision,
        "f1": 2 * precision * recall / (precision + recall),
        "exact": exact,
    }


def official_choice(reply: str, answer: str, choices: Sequence[str]) -> float:
    """1 when the option most similar to the reply is the one most similar to the answer (difflib's ratio).

    The first of equally similar options counts, none when all have nothing in common with a text. We assume that all
    texts are normalised; model-spec 8.1 says so of the two strings and nothing of the options.
    """
    return float(_most_similar(choices, reply) == _most_similar(choices, answer))


def closed(reply: str, answer: str) -> float:
    """1 when the reply gives a closed question's answer in whole words, 0 otherwise.

    To yes or no the reply's first such word counts; any other answer must stand in the reply as it is.
    """
    said, wanted = tokens(reply), tokens(answer)
    if wanted[:1] in (["yes"], ["no"]):
        return float(next((word for word in said if word in ("yes", "no")), None) == wanted[0])
    return float(_contains(said, wanted))


def overlap(reply: str, answer: str) -> dict[str, float]:
    """Overlap of the sets of words: "recall", "precision" and "f1", each 0 without a common word."""
    said, wanted = set(tokens(reply)), set(tokens(answer))
    hits = len(said & wanted)
    if not hits:
        return {"recall": 0.0, "precision": 0.0, "f1": 0.0}
    return {
        "recall": hits / len(wanted),
        "precision": hits / len(said),
        "f1": 2 * hits / (len(said) + len(wanted)),
    }


def choice(reply: str, answer: str, choices: Sequence[str]) -> float:
    """1 when the reply chooses the right option, by its letter at the beginning or by its words; 0 otherwise.

    A reply with the words of several options chooses the longest of them if that holds the others ("left lung" and
    "lung"), and none otherwise.
    """
    picked = _picked(reply, choices)
    return float(picked is not None and tokens(picked) == tokens(answer))


def tokens(text: str) -> list[str]:
    """The words of a text, lower case, without region codes and articles, small numbers as digits."""
    return _plain(_WORD.findall(CODE.sub(" ", text).lower()))


def _plain(words: Sequence[str]) -> list[str]:
    digits = [_DIGITS.get(word, word) for word in words]
    return [_CONTRACTIONS.get(word, word) for word in digits if word not in _ARTICLES]


def _most_similar(choices: Sequence[str], text: str) -> int | None:
    ratios = [difflib.SequenceMatcher(None, normalise(option), normalise(text)).ratio() for option in choices]
    return ratios.index(max(ratios)) if max(ratios, default=0) > 0 else None


def _picked(reply: str, choices: Sequence[str]) -> str | None:
    letter = _LETTER.match(reply)
    if letter and ord(letter[1]) - ord("A") < len(choices):
        return choices[ord(letter[1]) - ord("A")]
    said = tokens(reply)
    named = sorted((option for option in choices if _contains(said, tokens(option))), key=len)
    if named and all(_contains(tokens(named[-1]), tokens(other)) for other in named):
        return named[-1]
    return None


def _contains(words: Sequence[str], part: Sequence[str]) -> bool:
    """Whether ``part``, which is not empty, stands in ``words`` word by word."""
    return bool(part) and any(
        list(words[start : start + len(part)]) == list(part) for start in range(len(words) - len(part) + 1)
    )
