"""What structures are called, coded and coloured: one table for the model's answers, the files and the pictures.

Plain data. Codes are SNOMED CT (one is DICOM's own, where SNOMED CT has none); a structure whose code is not certain
has none. This module knows nothing of models, files or viewers.
"""

from __future__ import annotations

import colorsys
import hashlib
from dataclasses import dataclass

Coding = dict[str, dict[str, str]]
Color = tuple[float, float, float]

_CATEGORIES = {
    "structure": ("SCT", "123037004", "Anatomical Structure"),
    "tissue": ("SCT", "85756007", "Tissue"),
    "altered": ("SCT", "49755003", "Morphologically Altered Structure"),
    "substance": ("SCT", "91720002", "Body Substance"),
}
_SIDES = {"right": ("SCT", "24028007", "Right"), "left": ("SCT", "7771000", "Left")}


SIDES = ("left", "right")


def split_side(name: str) -> tuple[str, str]:
    """Side ("left", "right" or "") and the rest of a canonical name."""
    side, _, base = name.partition(" ")
    return (side, base) if side in SIDES and base else ("", name)


def other_side(name: str) -> str:
    """The name of the same thing on the other side; "" for one without a side."""
    side, base = split_side(name)
    return f"{SIDES[1 - SIDES.index(side)]} {base}" if side else ""


@dataclass(frozen=True)
class _Structure:
    """hue: degrees on the colour wheel; value, saturation 0..1. code: empty when no code is certain."""

    code: str
    meaning: str
    hue: float
    saturation: float = 0.75
    value: float = 0.95
    paired: bool = False
    category: str = "structure"
    scheme: str = "SCT"


_STRUCTURES: dict[str, _Structure] = {
    # chest
    "lung": _Structure("39607008", "Lung", 205, paired=True),
    "ribs": _Structure("113197003", "Rib", 48, 0.40, 1.0),
    "cervical spine": _Structure("122494005", "Cervical spine", 62, 0.60, 0.98),
    "thoracic spine": _Structure("122495006", "Thoracic spine", 32, 0.75, 0.98),
    "lumbar spine": _Structure("122496007", "Lumbar spine", 14, 0.70, 0.90),
    "heart": _Structure("80891009", "Heart", 355, 0.75, 0.90),
    "aorta": _Structure("15825003", "Aorta", 0, 0.85, 1.0),
    "body": _Structure("38266002", "Entire body", 120, 0.25, 0.75),
    "soft tissue": _Structure("87784001", "Soft tissue", 140, 0.40, 0.75, category="tissue"),
    # brain
    "brain": _Structure("12738006", "Brain", 46, 0.35, 1.0),
    "cerebral cortex": _Structure("40146001", "Cerebral cortex", 4, 0.55, 0.85, paired=True),
    "cerebral white matter": _Structure("68523003", "Cerebral White Matter", 45, 0.18, 0.92, paired=True),
    "cerebellar cortex": _Structure("25991003", "Cerebellar Cortex", 25, 0.60, 0.80, paired=True),
    "cerebellar white matter": _Structure("33060004", "Cerebellar White Matter", 60, 0.45, 0.85, paired=True),
    "thalamus": _Structure("119406000", "Thalamus", 130, 0.70, 0.80, paired=True),
    "caudate nucleus": _Structure("11000004", "Caudate Nucleus", 200, 0.80, 1.0, paired=True),
    "putamen": _Structure("89278009", "Putamen", 310, 0.65, 0.95, paired=True),
    "pallidum": _Structure("14738005", "Globus Pallidus", 245, 0.60, 1.0, paired=True),
    "hippocampus": _Structure("5366008", "Hippocampus", 52, 0.85, 1.0, paired=True),
    "amygdala": _Structure("4958002", "Amygdala", 170, 0.80, 0.90, paired=True),
    "nucleus accumbens": _Structure("427667007", "Nucleus Accumbens", 22, 0.90, 1.0, paired=True),
    "lateral ventricle": _Structure("66720007", "Lateral Ventricle", 270, 0.60, 1.0, paired=True),
    "inferior lateral ventricle": _Structure(
        "53118009", "Inferior Horn of Lateral Ventricle", 290, 0.75, 0.90, paired=True
    ),
    "ventral diencephalon": _Structure("110700", "Ventral Diencephalon", 90, 0.70, 0.80, paired=True, scheme="DCM"),
    "third ventricle": _Structure("49841001", "Third ventricle", 185, 0.55, 1.0),
    "fourth ventricle": _Structure("35918002", "Fourth Ventricle", 222, 0.75, 1.0),
    "brainstem": _Structure("119238007", "Brain Stem", 100, 0.35, 0.85),
    "cerebrospinal fluid": _Structure("65216001", "Cerebrospinal Fluid", 195, 0.40, 0.85, category="substance"),
    "skull": _Structure("89546000", "Skull", 40, 0.40, 0.92),
    "fetal head": _Structure("", "", 330, 0.55, 1.0),
    # abdomen
    "liver": _Structure("10200004", "Liver", 18, 0.65, 0.85),
    "spleen": _Structure("78961009", "Spleen", 300, 0.50, 0.80),
    "kidney": _Structure("64033007", "Kidney", 350, 0.60, 0.85, paired=True),
    "stomach": _Structure("69695003", "Stomach", 330, 0.45, 0.95),
    "gallbladder": _Structure("28231008", "Gallbladder", 80, 0.70, 0.75),
    "pancreas": _Structure("15776009", "Pancreas", 38, 0.80, 1.0),
    "urinary bladder": _Structure("89837001", "Bladder", 55, 0.65, 0.95),
    # findings
    "lesion": _Structure("52988006", "Lesion", 340, 0.85, 1.0, category="altered"),
    "liver lesion": _Structure("", "", 68, 0.90, 1.0, category="altered"),
    "kidney cyst": _Structure("", "", 188, 0.85, 1.0, category="altered"),
    "nodule": _Structure("27925004", "Nodule", 315, 0.90, 1.0, category="altered"),
    "tumour": _Structure("108369006", "Neoplasm", 285, 0.85, 1.0, category="altered"),
    "oedema": _Structure("79654002", "Edema", 150, 0.65, 0.90, category="altered"),
    "cyst": _Structure("367643001", "Cyst", 180, 0.75, 0.95, category="altered"),
    "pleural effusion": _Structure("60046008", "Pleural effusion", 160, 0.70, 1.0, category="altered"),
}

NAMES: tuple[str, ...] = tuple(
    name
    for base, structure in _STRUCTURES.items()
    for name in ((base, f"right {base}", f"left {base}") if structure.paired else (base,))
)


def coding(name: str) -> Coding:
    """The code of a structure: {"category", "type"} and for a sided name "modifier", each {scheme, value, meaning}.

    ``name`` is a canonical name ("right lung"). Empty for a name that is not in the table or has no certain code.
    """
    side, structure = _find(name)
    if structure is None or not structure.code:
        return {}
    coded = {
        "category": _code(*_CATEGORIES[structure.category]),
        "type": _code(structure.scheme, structure.code, structure.meaning),
    }
    if side:
        coded["modifier"] = _code(*_SIDES[side])
    return coded


def color(name: str) -> Color:
    """Red, green, blue in 0..1, always the same for a name; left and right of a pair differ clearly.

    A name that is not in the table gets a bright colour from its hash.
    """
    side, structure = _find(name)
    if structure is None:
        hue = hashlib.blake2b(_normal(name).encode(), digest_size=2).digest()
        return _rgb(int.from_bytes(hue, "big") / 65536 * 360, 0.7, 0.95)
    if side == "left":  # a warmer or cooler neighbour on the wheel, and lighter
        return _rgb(structure.hue - 42, max(0.3, structure.saturation - 0.2), min(1.0, structure.value + 0.1))
    return _rgb(structure.hue, structure.saturation, structure.value)


def _find(name: str) -> tuple[str, _Structure | None]:
    """Side ("left", "right" or "") and table row of a name."""
    name = _normal(name)
    side, _, base = name.partition(" ")
    if side in _SIDES and base in _STRUCTURES and _STRUCTURES[base].paired:
        return side, _STRUCTURES[base]
    return "", _STRUCTURES.get(name)


def _normal(name: str) -> str:
    return " ".join(name.lower().split())


def _code(scheme: str, value: str, meaning: str) -> dict[str, str]:
    return {"scheme": scheme, "value": value, "meaning": meaning}


def _rgb(hue: float, saturation: float, value: float) -> Color:
    red, green, blue = colorsys.hsv_to_rgb(hue % 360 / 360, saturation, value)
    return round(red, 4), round(green, 4), round(blue, 4)
