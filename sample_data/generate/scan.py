"""A scan with everything that is known about it, and its planes exactly as the engine would see them.

Knows label grids and, through `medsight_core.imaging`, how planes are cut, framed and windowed; knows nothing of what
the labels mean or where they come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from medsight_core.imaging.body import body_box
from medsight_core.imaging.plane import Plane, PlaneStack, VisibleBox, plane_stack
from medsight_core.imaging.volume import Volume
from medsight_core.imaging.window import Window, window_for

SMALLEST = 0.0004  # of a picture; a smaller tip of a structure is neither taught as present nor as absent

Legend = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Layer:
    """Labels uint8 (X, Y, Z), and for each name the labels whose union it is; names of two layers may overlap."""

    labels: np.ndarray
    legend: Legend


@dataclass(frozen=True)
class Scan:
    """An image and what is known to be in it.

    volume: the image; its axes run along the patient's, in any order and direction.
    layers: labels on one grid with axes towards L, P and S; beyond it nothing is labelled.
    spacing: millimetres between its points (3,). origin: LPS millimetres of its first point (3,).
    """

    volume: Volume
    layers: tuple[Layer, ...]
    spacing: np.ndarray
    origin: np.ndarray

    @property
    def names(self) -> tuple[str, ...]:
        """All names that the scan could show."""
        return tuple(name for layer in self.layers for name in layer.legend)


@dataclass(frozen=True)
class Picture:
    """One plane: image uint8 (S, S), the bool mask (S, S) of each visible name, and names with only a tip in it."""

    image: np.ndarray
    masks: dict[str, np.ndarray]
    unclear: tuple[str, ...]


@dataclass(frozen=True)
class Film:
    """A scan's planes as a model of picture size ``side`` is shown them (``frame = "body"``, square planes).

    window: as `window_for` takes it; None for the default of the modality.
    """

    scan: Scan
    side: int
    window: str | None = None

    @cached_property
    def _window(self) -> Window:
        return window_for(self.scan.volume, self.window)

    @cached_property
    def _stacks(self) -> dict[str, PlaneStack]:
        body = body_box(self.scan.volume)
        return {
            orientation: plane_stack(self.scan.volume, orientation, body=body)
            for orientation in ("axial", "coronal", "sagittal")
        }

    def count(self, orientation: str) -> int:
        """Number of planes of an orientation."""
        return len(self._stacks[orientation])

    def height(self, orientation: str, index: int) -> float:
        """LPS millimetres of a plane along the axis that its orientation looks along."""
        stack = self._stacks[orientation]
        return stack.plane(index).origin[int(np.argmax(np.abs(stack.step)))]

    def picture(self, orientation: str, index: int) -> Picture:
        """The plane of an index along increasing L, P or S."""
        stack = self._stacks[orientation]
        box = VisibleBox.of(*stack.shape, self.side)
        grey = self._window.to_uint8(stack.sample(self.scan.volume, index))
        place = self._places(stack.plane(index), box)
        masks, unclear = {}, []
        for layer in self.scan.layers:
            labels = _at(layer.labels, place)
            counts = np.bincount(labels.ravel(), minlength=256)
            for name, values in layer.legend.items():
                pixels = counts[list(values)].sum()
                if pixels >= SMALLEST * labels.size:
                    masks[name] = _table(values)[labels]
                elif pixels:
                    unclear.append(name)
        return Picture(np.asarray(box.apply(Image.fromarray(grey))), masks, tuple(unclear))

    def _places(self, plane: Plane, box: VisibleBox) -> list[np.ndarray]:
        """Indices into the label grid along L, P and S for rows and columns of the picture, -1 where there is none.

        One of the three has one element, the others (S, 1) and (1, S): the plane lies along the patient's axes.
        """
        x0, y0, x1, y1 = box.box
        steps = (np.arange(self.side) + 0.5) / self.side
        columns = plane.to_lps(0.0, x0 + steps * (x1 - x0) - 0.5)  # (S, 3)
        rows = plane.to_lps(y0 + steps * (y1 - y0) - 0.5, 0.0)
        across, along = (int(np.argmax(np.abs(v))) for v in (plane.right, plane.down))
        places = []
        for axis in range(3):
            if axis == across:
                position = columns[None, :, axis]
            elif axis == along:
                position = rows[:, None, axis]
            else:
                position = np.full((1, 1), plane.origin[axis])
            index = np.rint((position - self.scan.origin[axis]) / self.scan.spacing[axis]).astype(np.intp)
            index[(index < 0) | (index >= self.scan.layers[0].labels.shape[axis])] = -1
            places.append(index)
        return places


def _at(labels: np.ndarray, place: list[np.ndarray]) -> np.ndarray:
    """Labels (S, S) at indices that broadcast to it, 0 where one of them is -1."""
    found = labels[tuple(place)]
    outside = (place[0] < 0) | (place[1] < 0) | (place[2] < 0)
    return np.where(outside, np.uint8(0), found)


def _table(values: tuple[int, ...]) -> np.ndarray:
    table = np.zeros(256, bool)
    table[list(values)] = True
    return table
