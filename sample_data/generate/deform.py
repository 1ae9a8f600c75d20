"""Random changes of shape: a turn, scaling and shift of the whole, and a smooth wobble on top.

Works on arrays whose axes run towards L, P and S, in voxels; labels keep their values. Mirroring is not done here, as
it changes what is left and right: see `brain`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from sample_data.generate.contrast import upsample


@dataclass(frozen=True)
class Strength:
    """How much may change: turns in degrees and scaling along L, P, S; ``wobble`` in voxels, one knot every ``knots``.

    Each is the largest, but for the wobble, which is a standard deviation at a knot.
    """

    turn: tuple[float, float, float] = (12.0, 10.0, 10.0)
    scale: float = 0.12
    shear: float = 0.04
    wobble: float = 2.0
    knots: float = 28.0


@dataclass(frozen=True)
class Deformation:
    """From a point of the result to the point of the source that it shows: ``matrix`` (3, 3) about the middle, then
    ``wobble`` (3, k, l, m), which is spread smoothly over the array. In voxels."""

    matrix: np.ndarray
    wobble: np.ndarray

    @classmethod
    def draw(cls, shape: tuple[int, ...], strength: Strength, rng: np.random.Generator) -> Deformation:
        """A deformation of arrays of ``shape``."""
        matrix = np.eye(3)
        for axis, largest in enumerate(strength.turn):
            angle = np.deg2rad(rng.uniform(-largest, largest))
            turn = np.eye(3)
            a, b = (i for i in range(3) if i != axis)
            turn[a, a] = turn[b, b] = np.cos(angle)
            turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
            matrix = matrix @ turn
        whole = np.exp(rng.uniform(-strength.scale, strength.scale))
        each = np.exp(rng.uniform(-strength.scale / 2, strength.scale / 2, 3))
        shear = np.eye(3) + rng.uniform(-strength.shear, strength.shear, (3, 3)) * (1 - np.eye(3))
        knots = [max(2, round(n / strength.knots) + 1) for n in shape]
        wobble = rng.normal(0, strength.wobble, (3, *knots))
        return cls(matrix @ shear / (whole * each), wobble.astype(np.float32))

    def places(self, shape: tuple[int, ...]) -> list[np.ndarray]:
        """Where each point of an array of ``shape`` comes from: three float32 arrays of it."""
        centre = (np.array(shape) - 1) / 2
        index = [np.arange(n, dtype=np.float32) - c for n, c in zip(shape, centre)]
        places = []
        for axis in range(3):
            row = self.matrix[axis].astype(np.float32)
            place = upsample(self.wobble[axis], shape)
            place += (row[0] * index[0] + np.float32(centre[axis]))[:, None, None]
            place += (row[1] * index[1])[:, None] + (row[2] * index[2])[None, :]
            places.append(place)
        return places


def warp_labels(labels: np.ndarray, places: list[np.ndarray]) -> np.ndarray:
    """Labels (X, Y, Z) at ``places``, the nearest ones; 0 beyond them."""
    padded = np.pad(labels, 1)
    flat = np.zeros(places[0].shape, np.int32)
    for place, count in zip(places, padded.shape):
        flat *= count
        # Half up, one more for the border: what lies beyond it ends on it and is 0.
        flat += np.clip(place + np.float32(1.5), 0, count - 1).astype(np.int32)
    return padded.ravel().take(flat)


def warp_image(image: np.ndarray, places: list[np.ndarray]) -> np.ndarray:
    """Values (X, Y, Z) at ``places``, linear between points, float32; edge values go on beyond them."""
    return ndimage.map_coordinates(image, np.stack(places), order=1, mode="nearest", prefilter=False, output=np.float32)
