"""Made-up patients: an abdomen as CT and a head as MR, as simple shapes whose every outline is known.

Coordinates are the patient's, in units of half the body's longer side: x to the left, y to the back, z to the head. A
`Patient` is drawn once from a seed and can then be looked at on any grid of any size; organs are missing now and then,
places, sizes and grey levels vary, and textures, bowel and noise keep it from being trivial. Pure numpy: this module
knows nothing of files, windows or volumes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

KINDS = ("abdomen", "brain")
REACH = 1.1  # half the field of view: the body and a twentieth of its longer side around it, as the engine frames one
HEIGHTS = {"abdomen": 0.8, "brain": 0.6}  # farthest plane up and down
_SMALLEST = 0.0025  # of a picture; a smaller tip of an organ is left out of the plane, as nobody would label it
_ENDLESS = 1e3
# How often a structure is missing in a patient; planes beyond its ends add to that.
_MISSING = {"aorta": 0.25, "oedema": 0.35, "tumour": 0.35}
_ELSE_MISSING = 0.15

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Blob:
    """An ellipsoid with a wavy outline.

    name: canonical name, or "" for what no mask is made of.
    value: Hounsfield units (abdomen) or a fraction of the brightest tissue (brain).
    turn: radians in the axial plane. waves: amplitude and phase of each in-plane wave, the first with two crests.
    """

    name: str
    value: float
    centre: Vector
    radii: Vector
    turn: float = 0.0
    waves: tuple[tuple[float, float], ...] = ()

    def radius(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Distance from the centre as a fraction of the distance to the outline, for points of any shape."""
        u, v, w = x - self.centre[0], y - self.centre[1], (z - self.centre[2]) / self.radii[2]
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        u, v = (u * cos + v * sin) / self.radii[0], (v * cos - u * sin) / self.radii[1]
        angle = np.arctan2(v, u)
        outline = 1 + sum(a * np.cos(crests * angle + phase) for crests, (a, phase) in enumerate(self.waves, start=2))
        return np.sqrt((u**2 + v**2) / outline**2 + w**2)

    def near(self, x: np.ndarray, y: np.ndarray) -> tuple[slice, slice]:
        """The part of two ascending axes that holds the blob and the blur around it."""
        reach = 1.5 * max(self.radii[:2])
        starts = (np.searchsorted(axis, centre - reach) for axis, centre in zip((x, y), self.centre))
        stops = (np.searchsorted(axis, centre + reach) for axis, centre in zip((x, y), self.centre))
        along, across = (slice(start, stop) for start, stop in zip(starts, stops))
        return along, across

    def cover(self, radius: np.ndarray, softness: float) -> np.ndarray:
        """How much of each point it fills, 0..1, one half on its outline; ``radius`` as the method of that name."""
        depth = (radius - 1) * min(self.radii[0], self.radii[1])
        return 1 / (1 + np.exp(np.clip(depth / softness, -30, 30)))


@dataclass(frozen=True)
class Patient:
    """What is in a body, in the order it is painted.

    layers: the body from the outside in, never labelled. organs: within the innermost layer, later over earlier ones.
    air: value around the body. texture: amplitude of a smooth texture, noise: standard deviation at every point.
    softness: width of a blurred edge. place, size: where and how large the body lies in the field of view.
    """

    kind: str
    layers: tuple[Blob, ...]
    organs: tuple[Blob, ...]
    air: float
    texture: float
    noise: float
    softness: float
    place: tuple[float, float]
    size: float
    seed: int

    def look(self, side: int, heights: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Values (side, side, Z), indexed (x, y, z), and a bool mask of that shape for each named organ to be seen."""
        rng = np.random.default_rng(self.seed)
        grid = ((np.arange(side) + 0.5) / side * 2 - 1) * REACH
        x = ((grid - self.place[0]) / self.size)[:, None, None]
        y = ((grid - self.place[1]) / self.size)[None, :, None]
        z = np.asarray(heights, dtype=float)[None, None, :]
        values = np.full((side, side, z.size), self.air)
        for layer in self.layers:
            radius = layer.radius(x, y, z)
            values += (layer.value - values) * layer.cover(radius, self.softness)
        inside = radius < 1
        values += self.texture * _waves(x, y, z, rng) * inside
        organ_texture = self.texture / 3 * _waves(x, y, z, rng)
        labels = np.zeros(values.shape, np.uint8)
        for label, organ in enumerate(self.organs, start=1):
            near = organ.near(x[:, 0, 0], y[0, :, 0])
            radius = organ.radius(x[near[0]], y[:, near[1]], z)
            filled = (radius < 1) & inside[near]
            seen = filled.sum(axis=(0, 1)) > _SMALLEST * side**2
            cover = organ.cover(radius, self.softness) * (inside[near] & seen)
            values[near] += (organ.value + organ_texture[near] - values[near]) * cover
            labels[near][filled & seen] = label
        values += rng.normal(0, self.noise, values.shape)
        if self.kind == "brain":  # the magnitude of a signal
            values = np.abs(values)
        masks = {organ.name: labels == label for label, organ in enumerate(self.organs, start=1) if organ.name}
        for mask in masks.values():  # what others cover up to a tip is not labelled either
            mask &= mask.mean(axis=(0, 1)) > _SMALLEST
        return values, {name: mask for name, mask in masks.items() if mask.any()}


def patient(kind: str, seed: int) -> Patient:
    """A patient of one of `KINDS`, always the same for a seed."""
    rng = np.random.default_rng([KINDS.index(kind), seed])
    return (_abdomen if kind == "abdomen" else _head)(rng)


def _abdomen(rng: np.random.Generator) -> Patient:
    body, wall = np.array([1.0, rng.uniform(0.68, 0.76)]), rng.uniform(0.05, 0.09)
    layers = [
        Blob("", value, (0, 0, 0), (*(body - inset), _ENDLESS))
        for value, inset in ((-95.0, 0.0), (50.0, wall), (-75.0, wall + 0.06))
    ]
    bowel = [
        Blob(
            "",
            rng.uniform(25, 60),
            (rng.uniform(-0.5, 0.5), rng.uniform(-0.4, 0.1), rng.uniform(-1.1, -0.4)),
            (0.1, 0.08, 0.4),
            rng.uniform(0, np.pi),
        )
        for _ in range(rng.integers(3, 7))
    ]
    organs = (
        *bowel,
        Blob("stomach", 5, (0.32, -0.26, 0.4), (0.27, 0.18, 1.0), 0.35),
        Blob("liver", 95, (-0.42, -0.12, 0.35), (0.43, 0.34, 1.0), -0.25),
        Blob("spleen", 140, (0.63, 0.12, 0.4), (0.17, 0.26, 0.95), -0.35),
        Blob("right kidney", 185, (-0.42, 0.33, -0.4), (0.18, 0.15, 1.0), 0.5),
        Blob("left kidney", 185, (0.4, 0.33, -0.35), (0.18, 0.15, 1.0), -0.5),
        Blob("", 300, (0.0, 0.43, 0), (0.16, 0.14, _ENDLESS)),  # a vertebra
        Blob("aorta", 235, (0.05, 0.15, 0), (0.12, 0.12, _ENDLESS)),
    )
    return Patient(
        "abdomen",
        tuple(layers),
        tuple(_vary(organ, 10, rng) for organ in organs if _is_there(organ, rng)),
        air=-1000.0,
        texture=12,
        noise=rng.uniform(6, 14),
        **_taking(rng),
    )


def _head(rng: np.random.Generator) -> Patient:
    size = np.array([rng.uniform(0.76, 0.84), 1.0])
    layers = [
        Blob("", value, (0, 0, -0.1), (*(size * part), 1.3 * part))
        for value, part in ((1.0, 1.0), (0.06, 0.91), (0.36, 0.84))
    ]
    waves = tuple((amplitude, rng.uniform(0, 2 * np.pi)) for amplitude in (0.03, 0.03, 0.04, 0.05, 0.05))
    white = Blob("", 0.52, (0, 0, -0.1), (*(size * 0.7), 1.0), waves=waves)
    side = rng.choice((-1, 1))
    lesion = (side * rng.uniform(0.34, 0.42), rng.uniform(-0.4, 0.4), rng.uniform(-0.3, 0.3))
    core = rng.uniform(0.13, 0.18)
    organs = [
        Blob("oedema", 0.7, lesion, (core * 1.6, core * 1.8, 0.8)),
        Blob("right lateral ventricle", 0.15, (-0.17, -0.02, 0.05), (0.1, 0.34, 0.75), -0.15),
        Blob("left lateral ventricle", 0.15, (0.17, -0.02, 0.05), (0.1, 0.34, 0.75), 0.15),
        Blob("tumour", 0.92, lesion, (core, core, 0.7)),
    ]
    return Patient(
        "brain",
        tuple(layers),
        (white, *(_vary(organ, 0.03, rng) for organ in organs if _is_there(organ, rng))),
        air=0.0,
        texture=0.05,
        noise=rng.uniform(0.01, 0.03),
        **_taking(rng),
    )


def _taking(rng: np.random.Generator) -> dict:
    """How the picture was taken: what abdomen and head have in common."""
    return {
        "softness": rng.uniform(0.008, 0.016),
        "place": (rng.uniform(-0.03, 0.03), rng.uniform(-0.03, 0.03)),
        "size": rng.uniform(0.95, 1.02),
        "seed": int(rng.integers(1 << 31)),
    }


def _is_there(blob: Blob, rng: np.random.Generator) -> bool:
    return rng.random() > (_MISSING.get(blob.name, _ELSE_MISSING) if blob.name else 0)


def _vary(blob: Blob, spread: float, rng: np.random.Generator) -> Blob:
    """Another one of its kind. spread: of the value."""
    moved = rng.normal(0, (0.02, 0.02, 0.08))
    grown = rng.uniform(0.85, 1.15, 3)
    return replace(
        blob,
        value=blob.value + rng.normal(0, spread),
        centre=tuple(np.add(blob.centre, moved)),
        radii=tuple(np.multiply(blob.radii, grown)),
        turn=blob.turn + rng.normal(0, 0.15),
        waves=blob.waves or tuple((a, rng.uniform(0, 2 * np.pi)) for a in (0.05, 0.05, 0.03)),
    )


def _waves(x: np.ndarray, y: np.ndarray, z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A smooth random field of unit variance, about, on the points of three broadcastable axes."""
    count = 6
    field = 0.0
    for _ in range(count):
        direction = rng.normal(0, (9, 9, 3))
        phase = rng.uniform(0, 2 * np.pi)
        field = field + np.cos(direction[0] * x + direction[1] * y + direction[2] * z + phase)
    return field * np.sqrt(2 / count)
