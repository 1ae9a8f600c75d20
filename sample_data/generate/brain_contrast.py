"""How bright tissues of the head are in MR: T1-, T2- and FLAIR-like images, and any contrast at all; and in CT.

Grey levels are shares of a bright tissue (MR) or Hounsfield units (CT). Plain tables and random numbers.
"""

from __future__ import annotations

import numpy as np

from sample_data.generate.brain_labels import PARTS

SEQUENCES = ("T1", "T2", "FLAIR", "any")
# T1 is what most heads are scanned with; "any" is what makes a model read scanners that it never saw.
SHARES = (0.42, 0.14, 0.14, 0.30)

_TABLE = {
    # tissue: T1, T2, FLAIR
    "white matter": (0.80, 0.40, 0.48),
    "cortex": (0.55, 0.56, 0.62),
    "fluid": (0.17, 0.95, 0.12),
    "choroid plexus": (0.35, 0.75, 0.45),
    "cerebellar white matter": (0.79, 0.40, 0.48),
    "cerebellar cortex": (0.54, 0.55, 0.58),
    "thalamus": (0.66, 0.47, 0.54),
    "striatum": (0.58, 0.50, 0.57),
    "pallidum": (0.71, 0.36, 0.45),
    "hippocampus": (0.55, 0.57, 0.64),
    "brainstem": (0.73, 0.44, 0.50),
    "vessel": (0.35, 0.20, 0.25),
    "vein": (0.35, 0.25, 0.30),
    "nerve": (0.68, 0.45, 0.48),
    "eye": (0.18, 0.95, 0.15),
    "lens": (0.50, 0.25, 0.40),
    "mucosa": (0.45, 0.80, 0.75),
    "muscle": (0.45, 0.28, 0.38),
    "fat": (0.98, 0.75, 0.80),
    "skin": (0.55, 0.40, 0.50),
    "bone": (0.10, 0.08, 0.10),
    "marrow": (0.75, 0.50, 0.60),
}
_HOUNSFIELD = {
    "white matter": 30.0,
    "cortex": 38.0,
    "fluid": 8.0,
    "choroid plexus": 45.0,
    "cerebellar white matter": 31.0,
    "cerebellar cortex": 38.0,
    "thalamus": 37.0,
    "striatum": 38.0,
    "pallidum": 38.0,
    "hippocampus": 37.0,
    "brainstem": 30.0,
    "vessel": 45.0,
    "vein": 55.0,
    "nerve": 32.0,
    "eye": 10.0,
    "lens": 70.0,
    "mucosa": 30.0,
    "muscle": 45.0,
    "fat": -75.0,
    "skin": 20.0,
    "bone": 1000.0,
    "marrow": 450.0,
}
_TISSUES = tuple(_TABLE)
# Where each label finds its tissue.
_TISSUE_OF = np.array([_TISSUES.index(part.tissue) for part in PARTS])


def draw_sequence(rng: np.random.Generator) -> str:
    """One of `SEQUENCES`, by its share."""
    return str(rng.choice(SEQUENCES, p=SHARES))


def mr_levels(sequence: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread of each label, (256,) each, 0 in the air; left and right of a pair are alike."""
    if sequence == "any":
        tissues = rng.uniform(0.05, 1.0, len(_TISSUES))
        if rng.random() < 0.7:  # no scanner tells the cerebellum's tissues far from the cerebrum's
            for below, above in (("cerebellar white matter", "white matter"), ("cerebellar cortex", "cortex")):
                level = tissues[_TISSUES.index(above)] + rng.normal(0, 0.05)
                tissues[_TISSUES.index(below)] = np.clip(level, 0.02, 1.0)
    else:
        usual = np.array([row[SEQUENCES.index(sequence)] for row in _TABLE.values()])
        # Scanners differ in how much grey and white matter differ, more than in anything else.
        tissues = usual.mean() + (usual - usual.mean()) * rng.uniform(0.75, 1.2)
        tissues = np.maximum(tissues + rng.normal(0, 0.04, len(usual)), 0.02)
    return _levels(tissues, rng.uniform(0.01, 0.06, len(_TISSUES)))


def ct_levels(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Hounsfield units of each label, mean and spread, (256,) each; air is -1000."""
    usual = np.array(list(_HOUNSFIELD.values()))
    spreads = np.where(usual > 200, 0.18 * usual, 6.0)
    tissues = np.where(usual > 200, usual * rng.uniform(0.75, 1.2), usual + rng.normal(0, 5, len(usual)))
    means, spreads = _levels(tissues, spreads)
    means[0] = -1000.0
    return means, spreads


def finding_levels(white_matter: float, rng: np.random.Generator) -> tuple[float, float]:
    """Grey levels of a finding's core and rim that stand out from white matter: bright, dark, or a bright ring."""
    bright = white_matter + rng.uniform(0.22, 0.5)
    dark = max(0.03, white_matter - rng.uniform(0.22, 0.5))
    look = rng.choice(("bright", "dark", "ring"))
    if white_matter < 0.25 and look == "dark":  # there is nothing darker
        look = "bright"
    return {"bright": (bright, bright), "dark": (dark, dark), "ring": (dark, bright)}[look]


def _levels(tissues: np.ndarray, spreads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    levels = np.zeros((2, 256))
    levels[0, 1 : len(PARTS) + 1] = tissues[_TISSUE_OF]
    levels[1, 1 : len(PARTS) + 1] = spreads[_TISSUE_OF]
    return levels[0], levels[1]
