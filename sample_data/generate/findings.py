"""Made-up findings in label maps: round or wavy bodies of a known place and size inside the tissue they grow in.

Works on label arrays in L, P, S order; what a finding looks like is decided where it is painted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_TRIES = 24
_GRAINS = 4096  # points looked at to find a place


@dataclass(frozen=True)
class Growth:
    """A finding on a part of an array.

    box: the part. depth: float32 of the part's shape, distance from the centre as a fraction of the distance to the
    outline. inside: bool of it, the points that belong to the finding.
    """

    box: tuple[slice, slice, slice]
    depth: np.ndarray
    inside: np.ndarray


def grow(
    allowed: np.ndarray,
    diameter: float,
    spacing: float,
    rng: np.random.Generator,
    waviness: float = 0.12,
    least: float = 0.5,
) -> Growth | None:
    """A finding of about ``diameter`` millimetres within ``allowed`` bool (X, Y, Z), None when there is no room.

    spacing: millimetres between points. waviness: amplitude of the outline's waves. least: share of the round body
    that must lie in ``allowed``, to which it is cut.
    """
    for _ in range(_TRIES):
        centre = rng.integers(0, allowed.shape, (_GRAINS, 3))
        hits = allowed[tuple(centre.T)]
        if not hits.any():
            continue
        growth = _body(allowed, centre[hits][0], diameter / 2 / spacing, waviness, rng)
        if growth.inside.sum() >= least * (growth.depth < 1).sum() > 0:
            return growth
    return None


def _body(allowed: np.ndarray, centre: np.ndarray, radius: float, waviness: float, rng: np.random.Generator) -> Growth:
    radii = radius * np.exp(rng.uniform(-0.2, 0.2, 3))
    reach = np.ceil(radii.max() * (1 + 2 * waviness) + 3).astype(int)
    across, along, up = (
        slice(max(0, int(c) - reach), min(n, int(c) + reach + 1)) for c, n in zip(centre, allowed.shape)
    )
    box = (across, along, up)
    axes = [(np.arange(part.start, part.stop) - c) for part, c in zip(box, centre)]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0] / radii[:, None]
    u, v, w = (row[0] * x + row[1] * y + row[2] * z for row in turn)
    depth = np.sqrt(u**2 + v**2 + w**2)
    waves = sum(
        np.cos((direction[0] * u + direction[1] * v + direction[2] * w) + phase)
        for direction, phase in zip(rng.normal(0, 2.2, (4, 3)), rng.uniform(0, 2 * np.pi, 4))
    )
    depth = (depth / (1 + waviness / 2 * waves)).astype(np.float32)
    return Growth(box, depth, (depth < 1) & allowed[box])
