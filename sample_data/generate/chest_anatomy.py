"""What a chest is made of: the labels that `chest` and `chest_phantom` share, and their Hounsfield units.

Also what grows there: nodules in the lungs, and fluid that gathers in the back of the pleural space of a lying patient.
Works on arrays with axes towards L, P and S.
"""

from __future__ import annotations

import numpy as np

from medsight_core.imaging.volume import Volume
from sample_data.generate.contrast import Acquisition, paint, smooth_field
from sample_data.generate.findings import grow
from sample_data.generate.scan import Layer, Scan

OUTSIDE, RIBS, CERVICAL, THORACIC, LUMBAR, RIGHT_LUNG, LEFT_LUNG = range(7)
INNER, BONE, GAS, RIGHT_FLUID, LEFT_FLUID, HEART = range(7, 13)  # what has no name but "body"
SHELLS = (20, 21, 22, 23)  # soft tissue below the skin, from the outside in; as fat as a patient is
_SHELL_DEPTHS = (5.0, 11.0, 18.0, 26.0)  # millimetres below the skin where each ends

LEGEND: dict[str, tuple[int, ...]] = {
    "right lung": (RIGHT_LUNG,),
    "left lung": (LEFT_LUNG,),
    "ribs": (RIBS,),
    "cervical spine": (CERVICAL,),
    "thoracic spine": (THORACIC,),
    "lumbar spine": (LUMBAR,),
    "body": tuple(label for label in range(1, 24)),
}
_NODULE, _EFFUSION = 1, 2
FINDINGS = {"nodule": (_NODULE,), "pleural effusion": (_EFFUSION,)}
WINDOWS = (None, None, None, None, None, None, "mediastinum", "soft-tissue", "lung")

_THICK = (0.03, 0.07, 0.9)  # chance of thick slices along L, P and S: CT is taken from head to foot


def shells(labels: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Labels with `INNER` near the skin replaced by `SHELLS`. depth: millimetres below the skin, of the same shape."""
    shell = np.searchsorted(_SHELL_DEPTHS, depth)
    table = np.array([*SHELLS, INNER], np.uint8)
    return np.where(labels == INNER, table[shell], labels)


def hounsfield(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An image of the labels as a scanner would measure them, float32, before it blurs and adds noise."""
    means, spreads = np.full(256, -1000.0), np.zeros(256)
    fat, muscle = rng.normal(-100, 10), rng.normal(50, 12)
    means[[INNER, HEART, GAS]] = muscle, muscle + rng.uniform(-10, 120), -950
    means[list(SHELLS)] = np.where(np.arange(len(SHELLS)) < rng.integers(1, len(SHELLS) + 1), fat, muscle)
    bone = rng.uniform(180, 480)
    means[[RIBS, CERVICAL, THORACIC, LUMBAR, BONE]] = bone * rng.uniform(0.8, 1.2, 5)
    means[[RIGHT_LUNG, LEFT_LUNG]] = rng.uniform(-900, -740)
    means[[RIGHT_FLUID, LEFT_FLUID]] = rng.uniform(0, 30)
    spreads[1:24] = 10
    spreads[[RIBS, CERVICAL, THORACIC, LUMBAR, BONE]] = 60
    spreads[[RIGHT_LUNG, LEFT_LUNG]] = 35
    values = paint(labels, means, spreads, rng)
    mixed = smooth_field(labels.shape, 26, rng)  # fat between organs
    values[(labels == INNER) & (mixed > rng.uniform(0.3, 1.0))] = fat
    lung = (labels == RIGHT_LUNG) | (labels == LEFT_LUNG)
    if lung.any():  # where two smooth fields are both near zero lie thin winding lines, as vessels are
        lines = np.square(smooth_field(labels.shape, 24, rng)) + np.square(smooth_field(labels.shape, 24, rng))
        values[lung & (lines < np.quantile(lines[lung], rng.uniform(0.005, 0.03)))] = rng.uniform(-300, 40)
    return values


def add_findings(
    labels: np.ndarray, values: np.ndarray, spacing: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Nodules and effusions in some of the patients, painted into ``values`` (in place): anatomy and finding labels.

    A lung that fluid presses on is smaller; a nodule is a part of its lung.
    """
    labels, findings = labels.copy(), np.zeros_like(labels)
    for lung, fluid in ((RIGHT_LUNG, RIGHT_FLUID), (LEFT_LUNG, LEFT_FLUID)):
        if rng.random() < 0.25:
            under = _effusion(labels == lung, spacing, rng.uniform(0.04, 0.35), rng)
            labels[under] = fluid
            findings[under] = _EFFUSION
            values[under] = rng.uniform(-5, 30) + 8 * rng.standard_normal(int(under.sum()), dtype=np.float32)
    for _ in range(int(rng.integers(1, 4)) if rng.random() < 0.45 else 0):
        lung = ((labels == RIGHT_LUNG) | (labels == LEFT_LUNG)) & (findings == 0)
        growth = grow(lung, rng.uniform(8, 34), spacing, rng, waviness=0.2)
        if growth is None:
            break
        density = rng.uniform(10, 90) if rng.random() < 0.8 else rng.uniform(-650, -350)
        near = values[growth.box]
        near[growth.inside] = density + 12 * rng.standard_normal(int(growth.inside.sum()), dtype=np.float32)
        findings[growth.box][growth.inside] = _NODULE
    return labels, findings


def scanned(
    values: np.ndarray, layers: tuple[np.ndarray, np.ndarray], spacing: float, rng: np.random.Generator
) -> Scan:
    """The scan of a chest in Hounsfield units (X, Y, Z) with even ``spacing``; layers: anatomy and findings."""
    origin = np.zeros(3)
    image, affine = Acquisition.draw(spacing, rng, _THICK).take(values, spacing, origin)
    image += np.float32(rng.uniform(4, 45)) * rng.standard_normal(image.shape, dtype=np.float32)
    volume = Volume(np.rint(np.clip(image, -1024, 3000)).astype(np.int16), affine, "CT")
    labels, findings = layers
    return Scan(volume, (Layer(labels, LEGEND), Layer(findings, FINDINGS)), np.full(3, spacing), origin)


def draw_window(rng: np.random.Generator) -> str | None:
    """The window a chest is shown in: mostly the one the engine chooses by itself."""
    return WINDOWS[rng.integers(len(WINDOWS))]


def _effusion(lung: np.ndarray, spacing: float, share: float, rng: np.random.Generator) -> np.ndarray:
    """The share of a lung's space that fluid takes: backward and downward, up to a curved surface."""
    x, y, z = np.meshgrid(*(spacing * np.arange(n) for n in lung.shape), indexing="ij", sparse=True)
    if not lung.any():
        return lung
    middle = np.argwhere(lung.any(axis=(1, 2))).mean() * spacing
    depth = y - rng.uniform(0.1, 0.6) * z + rng.uniform(0.002, 0.006) * (x - middle) ** 2  # the meniscus
    return lung & (depth > np.quantile(depth[lung], 1 - share))
