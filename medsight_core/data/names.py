"""What structures are called: one canonical name each for answers, and the many ways people say it in questions.

Data sets spell a thing differently ("right+kidney", "kidney_right", "tumor"); `canonical` settles on the names of
`medsight_core.terminology`. A name that no table knows stays as it is. This module knows words only; the tables of them
are in `medsight_core.engine.aliases`.
"""

from __future__ import annotations

import random
import re

from medsight_core.engine.aliases import SPELLINGS, SYNONYMS
from medsight_core.engine.plurals import plural
from medsight_core.terminology import SIDES, split_side

_CANONICAL = {synonym: name for name, synonyms in SYNONYMS.items() for synonym in synonyms}
_OTHER_SPELLINGS = {settled: spelling for spelling, settled in SPELLINGS.items()}
_ABNORMAL = re.compile(
    r"tumou?r|neoplas|cancer|carcinoma|melanoma|glioma|metasta|mass\b|cyst\b|nodule|lesion|polyp|oedema|effusion|"
    r"infect|pneumoni|pneumothora|consolidation|opacit|haemorrhage|infarct|necro|abnormal|disease"
)


def canonical(name: str) -> str:
    """The name that answers use: lower case, blanks between words, the side first, British spelling."""
    words = re.sub(r"[\s_+]+", " ", name).strip().lower().split()
    words = [SPELLINGS.get(word, word) for word in words]
    if len(words) > 1 and words[-1] in SIDES:
        words = [words[-1], *words[:-1]]
    side, base = split_side(" ".join(words))
    return f"{side} {_CANONICAL.get(base, base)}".strip()


def shows(shown: str, asked: str) -> bool:
    """Whether an image that shows one thing may show the other for that reason.

    A left kidney is a kidney, a kidney may be the left one, and a liver tumour lies in a liver.
    """
    shown, asked = f" {shown} ", f" {asked} "
    return shown.endswith(asked) or asked.endswith(shown) or shown.startswith(asked)


def is_abnormal(name: str) -> bool:
    """Whether a canonical name is a finding, not an organ."""
    return bool(_ABNORMAL.search(name))


def say(name: str, rng: random.Random) -> str:
    """Words that a person may use for a canonical name, with or without an article."""
    side, base = split_side(name)
    spellings = (_OTHER_SPELLINGS[base],) if base in _OTHER_SPELLINGS else ()
    noun = rng.choice((base, base, base, *SYNONYMS.get(base, ()), *spellings))
    if side:
        noun = rng.choice(
            (f"{side} {noun}",) * 3 + (f"{noun} on the {side}", f"{side}-sided {noun}", f"{noun} ({side})")
        )
    return rng.choice(("the ", "the ", "")) + noun


def say_both(base: str, rng: random.Random) -> str:
    """Words for the left and the right ``base`` together."""
    several = plural(base)
    return rng.choice(
        (
            f"both {several}",
            f"the {several}",
            f"the left and right {base}",
            f"the {base} on both sides",
            f"the two {several}",
        )
    )
