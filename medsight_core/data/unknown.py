"""Words made up for things that no table has, beside those of `medsight_core.engine.others`.

A model that has met only names it knows takes every word for one of them. With enough others it learns to repeat what
it was asked for and to say that it is not seen.
"""

from __future__ import annotations

import random

_LIKE = (
    *("superior", "inferior", "anterior", "posterior", "medial", "lateral", "proximal", "distal", "deep", "common"),
    *("internal", "external", "middle", "first", "second", "third", "fifth", "great", "small", "main", "accessory"),
    *("left", "right", "left", "right", "upper", "lower", "ascending", "descending", "transverse", "oblique"),
)
_OF = (
    *("mesenteric artery", "mesenteric vein", "gluteal muscle", "cerebral artery", "cerebellar artery", "sinus"),
    *("phalanx", "metacarpal", "metatarsal", "meniscus", "ligament", "tendon", "condyle", "humerus", "tibia", "fibula"),
    *("colon", "duodenum", "bronchus", "oblique muscle", "rectus muscle", "saphenous vein", "jugular vein", "ovary"),
    *("iliac artery", "carotid artery", "subclavian artery", "temporal gyrus", "frontal gyrus", "parietal lobule"),
    *("temporal lobe", "frontal lobe", "occipital lobe", "cranial nerve", "peduncle", "colliculus", "capsule", "molar"),
    *(
        "turbinate",
        "orbit",
        "eyeball",
        "ear",
        "breast",
        "nipple",
        "clavicle",
        "scapula",
        "thigh",
        "calf",
        "hand",
        "foot",
    ),
    *(
        "adrenal",
        "ureter",
        "testicle",
        "hip",
        "knee",
        "ankle",
        "elbow",
        "wrist",
        "atrium",
        "auricle",
        "papillary muscle",
    ),
)
_STARTS = ("ba", "cor", "del", "fi", "gan", "lu", "mor", "ner", "pel", "qui", "ris", "sta", "tor", "vas", "xi", "za")
_MIDDLES = ("", "thro", "cra", "my", "den", "glo", "tri", "se", "lo", "vi", "nu", "po")
_ENDS = ("ma", "rium", "lis", "dex", "oid", "ula", "tor", "gon", "nix", "bel", "phon", "dar")


def made_up(rng: random.Random) -> str:
    """Words for something that no table has: a part of the body that few label, or a name that means nothing."""
    if rng.random() < 0.5:
        return f"{rng.choice(_LIKE)} {rng.choice(_OF)}"
    noun = " ".join(
        rng.choice(_STARTS) + rng.choice(_MIDDLES) + rng.choice(_ENDS) for _ in range(rng.choice((1, 1, 1, 2)))
    )
    return rng.choice(("", "", "", "left ", "right ")) + noun
