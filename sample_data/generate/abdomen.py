"""Abdominal CT of made-up patients (`sample_data.phantom_anatomy`), with a gallbladder, liver lesions and kidney cysts.

Nothing here was measured on a person; a model that learned from it alone knows no real abdomen.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from medsight_core.imaging.volume import Volume
from sample_data.generate.scan import Layer, Scan
from sample_data.phantom import SERIES
from sample_data.phantom_anatomy import HEIGHTS, REACH, Blob, Patient, patient

NAMES = (
    "liver",
    "spleen",
    "right kidney",
    "left kidney",
    "aorta",
    "stomach",
    "gallbladder",
    "liver lesion",
    "kidney cyst",
)
LEGEND = {name: (label,) for label, name in enumerate(NAMES, start=1)}
WINDOWS = (None, None, None, "abdomen", "abdomen", "soft-tissue")
_SIDE = 144  # points across
_SERIES = SERIES[0]


def phantom_abdomen(seed: int, rng: np.random.Generator) -> Scan:
    """A scan of the patient of a seed, up to 40 axial slices."""
    heights = np.linspace(-HEIGHTS["abdomen"], HEIGHTS["abdomen"], int(rng.integers(24, 41)))
    values, masks = with_findings(patient("abdomen", seed), rng).look(_SIDE, heights)
    pixel = 2 * REACH * _SERIES.unit / _SIDE * rng.uniform(0.85, 1.1)
    spacing = np.array([pixel, pixel, (heights[1] - heights[0]) * _SERIES.rise])
    affine = np.diag([*spacing, 1.0])
    values += rng.uniform(0, 18) * rng.standard_normal(values.shape)
    volume = Volume(np.rint(np.clip(values, -1024, 3000)).astype(np.int16), affine, "CT")
    labels = np.zeros(values.shape, np.uint8)
    for name, mask in masks.items():
        labels[mask] = LEGEND[name][0]
    return Scan(volume, (Layer(labels, LEGEND),), spacing, np.zeros(3))


def draw_window(rng: np.random.Generator) -> str | None:
    """The window an abdomen is shown in: the one the engine chooses by itself, or one for soft tissue."""
    return WINDOWS[rng.integers(len(WINDOWS))]


def with_findings(body: Patient, rng: np.random.Generator) -> Patient:
    """The patient with a gallbladder below the liver, most often, and with lesions and cysts, now and then."""
    organs = {organ.name: organ for organ in body.organs}
    added = []
    if rng.random() < 0.75:
        where = (rng.uniform(-0.24, -0.16), rng.uniform(-0.34, -0.24), rng.uniform(-0.15, 0.3))
        radii = (rng.uniform(0.06, 0.1), rng.uniform(0.08, 0.13), rng.uniform(0.3, 0.5))
        added.append(Blob("gallbladder", rng.normal(8, 6), where, radii, rng.uniform(-0.5, 0.5)))
    if "liver" in organs and rng.random() < 0.5:
        liver = organs["liver"]
        for _ in range(int(rng.integers(1, 4))):
            level = liver.value + rng.choice((-1, 1)) * rng.uniform(35, 70)
            added.append(_within(liver, "liver lesion", level, rng.uniform(0.06, 0.13), 0.55, rng))
    kidneys = [organ for name, organ in organs.items() if name.endswith("kidney")]
    if kidneys and rng.random() < 0.5:
        kidney = kidneys[rng.integers(len(kidneys))]
        added.append(_within(kidney, "kidney cyst", rng.normal(5, 5), rng.uniform(0.06, 0.1), 0.75, rng))
    return replace(body, organs=(*body.organs, *added))


def _within(organ: Blob, name: str, value: float, radius: float, reach: float, rng: np.random.Generator) -> Blob:
    """A round body somewhere in an organ. reach: greatest distance of its centre, 1 on the organ's outline."""
    direction = rng.normal(size=3)
    offset = reach * rng.uniform(0.2, 1) * direction / np.linalg.norm(direction) * organ.radii
    cos, sin = np.cos(organ.turn), np.sin(organ.turn)
    x, y = offset[0] * cos - offset[1] * sin, offset[0] * sin + offset[1] * cos
    centre = (organ.centre[0] + x, organ.centre[1] + y, organ.centre[2] + offset[2])
    stretch = _SERIES.unit / _SERIES.rise  # round in millimetres
    waves = tuple((amplitude, rng.uniform(0, 2 * np.pi)) for amplitude in (0.06, 0.05, 0.04))
    return Blob(name, value, centre, (radius, radius, radius * stretch), 0.0, waves)
