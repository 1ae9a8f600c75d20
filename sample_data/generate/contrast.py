"""Images from label maps as in SynthSeg (Billot et al. 2023): a random Gaussian for each label, then a random scanner.

The scanner blurs, takes slices of any thickness, shades, adds noise and bends the grey scale. All resampling is by one
small matrix an axis, so that blur, slice profile and new grid cost three matrix products. Knows arrays with axes along
L, P and S and nothing of what their labels mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

_SHARPEST = 0.3  # standard deviation, in points of the source; less would alias


@dataclass(frozen=True)
class Acquisition:
    """How a scanner takes an image.

    spacing: millimetres between the points it keeps, (3,). thickness: millimetres that each averages over, (3,).
    blur: standard deviation in millimetres, besides.
    """

    spacing: tuple[float, float, float]
    thickness: tuple[float, float, float]
    blur: float

    @classmethod
    def draw(
        cls, finest: float, rng: np.random.Generator, thick: tuple[float, float, float] = (0.2, 0.25, 0.55)
    ) -> Acquisition:
        """Mostly even voxels from ``finest`` millimetres on, otherwise thick slices along one axis.

        thick: chance that it is the axis along L, P or S.
        """
        spacing = np.full(
            3, finest * rng.choice((1.0, rng.uniform(1.0, 1.25), rng.uniform(1.25, 2.0)), p=(0.5, 0.3, 0.2))
        )
        thickness = spacing * rng.uniform(0.6, 1.0)
        if rng.random() < 0.45:
            axis = rng.choice(3, p=thick)
            spacing[axis] = finest * rng.uniform(2.0, 6.0)
            thickness[axis] = spacing[axis] * rng.uniform(0.6, 1.0)
        return cls(tuple(spacing.tolist()), tuple(thickness.tolist()), float(finest * rng.uniform(0.25, 0.75)))

    def take(self, image: np.ndarray, spacing: float, origin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What it makes of ``image`` (X, Y, Z) float32 with even ``spacing``: voxels and their affine (4, 4).

        origin: LPS millimetres of the first point (3,).
        """
        affine = np.eye(4)
        matrices = []
        for axis, (step, thick) in enumerate(zip(self.spacing, self.thickness)):
            extent = (image.shape[axis] - 1) * spacing
            count = max(2, int(extent / step) + 1)
            first = (extent - (count - 1) * step) / 2
            affine[axis, axis], affine[axis, 3] = step, origin[axis] + first
            places = (first + step * np.arange(count)) / spacing
            matrices.append(profile(image.shape[axis], places, thick / spacing, self.blur / spacing))
        return along_axes(image, matrices), affine


def profile(count: int, places: np.ndarray, thickness: float, blur: float) -> np.ndarray:
    """Weights (P, count) of ``count`` points in averages over ``thickness`` around ``places``, blurred; in points."""
    blur = max(blur, _SHARPEST)
    gap = np.arange(count)[None, :] - places[:, None]
    weights = ndtr((gap + thickness / 2) / blur) - ndtr((gap - thickness / 2) / blur)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def upsample(knots: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Knots (k, l, m) spread evenly over an array of ``shape``, smooth between them, float32."""
    matrices = [profile(count, np.linspace(0, count - 1, size), 1.0, 0.6) for count, size in zip(knots.shape, shape)]
    return along_axes(knots.astype(np.float32), matrices)


def along_axes(array: np.ndarray, matrices: list[np.ndarray]) -> np.ndarray:
    """``array`` (X, Y, Z) with each axis multiplied by its matrix (X', X), (Y', Y), (Z', Z); float32 (X', Y', Z')."""
    result = np.ascontiguousarray(array, dtype=np.float32)
    # Axes that shrink go first, for less to do.
    for axis in sorted(range(3), key=lambda a: matrices[a].shape[0] / matrices[a].shape[1]):
        matrix = matrices[axis]
        if axis == 0:
            result = (matrix @ result.reshape(len(result), -1)).reshape(len(matrix), *result.shape[1:])
        elif axis == 1:
            result = np.matmul(matrix, result)
        else:
            result = result @ matrix.T
    return result


def smooth_field(shape: tuple[int, ...], knots: int, rng: np.random.Generator) -> np.ndarray:
    """A smooth random field of about unit variance at its knots: so many along the longest axis, float32."""
    longest = max(shape)
    sizes = [max(2, round(knots * n / longest)) for n in shape]
    return upsample(rng.standard_normal(sizes, dtype=np.float32), shape)


def paint(labels: np.ndarray, means: np.ndarray, spreads: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A value for each label: normal with ``means`` and ``spreads`` (256,), float32 of the labels' shape."""
    values = rng.standard_normal(labels.shape, dtype=np.float32)
    values *= spreads.astype(np.float32).take(labels)
    values += means.astype(np.float32).take(labels)
    return values


def shade(image: np.ndarray, strength: float, rng: np.random.Generator) -> None:
    """Multiply by a smooth bias field, in place. strength: standard deviation of its logarithm."""
    image *= np.exp(strength * smooth_field(image.shape, 4, rng))


def bend(image: np.ndarray, strength: float, rng: np.random.Generator) -> None:
    """Bend the grey scale between 0 and the brightest, in place.

    strength: standard deviation of the power's logarithm.
    """
    np.maximum(image, 0, out=image)
    top = np.float32(np.percentile(image[::4, ::4, ::4], 99.8)) or np.float32(1)
    image /= top
    np.power(image, np.float32(np.exp(rng.normal(0, strength))), out=image)


def rician(image: np.ndarray, level: float, rng: np.random.Generator) -> None:
    """Noise of a magnitude image, in place. level: standard deviation."""
    image += np.float32(level) * rng.standard_normal(image.shape, dtype=np.float32)
    np.square(image, out=image)
    image += np.square(np.float32(level) * rng.standard_normal(image.shape, dtype=np.float32))
    np.sqrt(image, out=image)
