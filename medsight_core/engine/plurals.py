"""One thing and several of it: plurals of names and of other words for them."""

from __future__ import annotations

from medsight_core.engine.wording import is_plural

# Irregular plurals of whole names and of their last words.
PLURALS: dict[str, str] = {
    "amygdala": "amygdalae",
    "cortex": "cortices",
    "globus pallidus": "globi pallidi",
    "hippocampus": "hippocampi",
    "metastasis": "metastases",
    "nucleus": "nuclei",
    "nucleus accumbens": "nuclei accumbentes",
    "nucleus caudatus": "nuclei caudati",
    "pallidum": "pallida",
    "pulmo": "pulmones",
    "putamen": "putamina",
    "ren": "renes",
    "thalamus": "thalami",
    "ventriculus lateralis": "ventriculi laterales",
}


def plural(name: str) -> str:
    """More than one of a thing: "kidneys", "caudate nuclei"; a name that is plural already stays."""
    rest, _, last = name.rpartition(" ")
    if is_plural(name) or name in PLURALS:
        return PLURALS.get(name, name)
    return f"{rest} {PLURALS.get(last) or _regular(last)}".strip()


def plurals(name: str) -> set[str]:
    """Every plural that people may write: "amygdalae" and "amygdalas"; none of a name that is plural already."""
    return set() if is_plural(name) else {plural(name), _regular(name)}


def _regular(word: str) -> str:
    if word.endswith("y") and not word.endswith(("ay", "ey", "oy")):
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith(("s", "x", "ch")) else f"{word}s"
