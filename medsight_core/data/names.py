"""What structures are called: one canonical name each for answers, and the many ways people say it in questions.

Data sets spell a thing differently ("right+kidney", "kidney_right", "tumor"); `canonical` settles on the names of
`medsight_core.terminology`. A name that no table knows stays as it is. This module knows words only.
"""

from __future__ import annotations

import random
import re

from medsight_core.engine.wording import is_plural
from medsight_core.terminology import SIDES, split_side

# canonical name without side -> other words for it
_SYNONYMS: dict[str, tuple[str, ...]] = {
    "lung": ("lung field", "pulmonary parenchyma"),
    "ribs": ("rib cage", "costal arches"),
    "heart": ("cardiac silhouette",),
    "aorta": ("aortic lumen",),
    "liver": ("hepatic parenchyma", "hepatic tissue"),
    "spleen": ("splenic parenchyma", "splenic tissue"),
    "kidney": ("renal parenchyma", "renal tissue"),
    "stomach": ("gastric lumen",),
    "gallbladder": ("gall bladder",),
    "pancreas": ("pancreatic tissue",),
    "urinary bladder": ("bladder",),
    "brain": ("cerebrum", "whole brain"),
    "hippocampus": ("hippocampal formation",),
    "thalamus": ("thalamic nuclei",),
    "caudate nucleus": ("caudate", "nucleus caudatus"),
    "pallidum": ("globus pallidus",),
    "brainstem": ("brain stem", "truncus encephali"),
    "cerebrospinal fluid": ("CSF", "spinal fluid"),
    "lateral ventricle": ("lateral cerebral ventricle", "ventriculus lateralis"),
    "third ventricle": ("3rd ventricle", "ventriculus tertius"),
    "fourth ventricle": ("4th ventricle", "ventriculus quartus"),
    "tumour": ("tumor", "neoplasm"),
    "oedema": ("edema",),
    "nodule": ("nodular lesion", "small round lesion"),
    "cyst": ("cystic lesion", "fluid-filled lesion"),
    "pleural effusion": ("effusion", "pleural fluid"),
}
_LAST_WORDS = {
    "thalamus": "thalami",
    "hippocampus": "hippocampi",
    "amygdala": "amygdalae",
    "nucleus": "nuclei",
    "putamen": "putamina",
    "cortex": "cortices",
    "body": "bodies",
}
_SPELLINGS = {"tumor": "tumour", "tumors": "tumours", "edema": "oedema", "hemorrhage": "haemorrhage"}
_ALIASES = {
    "bladder": "urinary bladder",
    "gall bladder": "gallbladder",
    "neoplasm": "tumour",
    "brain stem": "brainstem",
    "caudate": "caudate nucleus",
    "globus pallidus": "pallidum",
    "csf": "cerebrospinal fluid",
}
_ABNORMAL = re.compile(
    r"tumou?r|neoplas|cancer|carcinoma|melanoma|glioma|metasta|mass\b|cyst\b|nodule|lesion|polyp|oedema|effusion|"
    r"infect|pneumoni|pneumothora|consolidation|opacit|haemorrhage|infarct|necro|abnormal|disease"
)


def canonical(name: str) -> str:
    """The name that answers use: lower case, blanks between words, the side first, British spelling."""
    words = re.sub(r"[\s_+]+", " ", name).strip().lower().split()
    words = [_SPELLINGS.get(word, word) for word in words]
    if len(words) > 1 and words[-1] in SIDES:
        words = [words[-1], *words[:-1]]
    side, base = split_side(" ".join(words))
    return f"{side} {_ALIASES.get(base, base)}".strip()


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
    noun = rng.choice((base, base, base, *_SYNONYMS.get(base, ())))
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


def plural(name: str) -> str:
    """More than one of a thing that has a canonical name."""
    rest, _, last = name.rpartition(" ")
    if is_plural(name):
        return name
    return f"{rest} {_LAST_WORDS.get(last, f'{last}s')}".strip()
