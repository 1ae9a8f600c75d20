"""Planes of one volume as the model sees them: which planes are looked at, their pixels, and maps painted back.

It joins `imaging` (where a plane lies) to `model` (what a tensor looks like) and knows neither questions nor answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from medsight_core.engine.context import view_words
from medsight_core.errors import InputError
from medsight_core.imaging.body import body_box
from medsight_core.imaging.plane import (
    Plane,
    PlaneStack,
    VisibleBox,
    as_displayed,
    plane_for,
    plane_range,
    plane_stack,
    sample,
    voxels_on_plane,
)
from medsight_core.imaging.volume import Volume
from medsight_core.imaging.window import Window, window_for
from medsight_core.model.config import MedSightConfig
from medsight_core.model.processor import MedSightProcessor
from medsight_core.protocol import PlaneRange, PlaneRequest
from medsight_core.soft_masks import LEAST, eight_bits

VOLUME_ORIENTATION = "axial"


@dataclass(frozen=True)
class VolumeView:
    """A volume's planes in order, all of one shape, and the window that shows them."""

    volume: Volume
    planes: tuple[Plane, ...]
    stack: PlaneStack | None
    window: Window

    @classmethod
    def of_plane(
        cls, volume: Volume, request: PlaneRequest, processor: MedSightProcessor, window: str | None
    ) -> VolumeView:
        """One plane. Raises InputError when the model was not trained on its orientation."""
        config = processor.config
        plane = as_displayed(plane_for(volume, request, config.square_planes, framed_body(volume, config.frame)))
        _check_orientation(nearest_orientation(plane), config)
        return cls(volume, (plane,), None, choose_window(volume, window, config.ct_window))

    @classmethod
    def of_range(
        cls, volume: Volume, request: PlaneRange, processor: MedSightProcessor, window: str | None
    ) -> VolumeView:
        """Planes beside each other, no closer together than one mask cell is wide; what lies beyond them is not seen.

        Raises InputError when the model was not trained on their orientation, or they are not in the volume.
        """
        config = processor.config
        if request.first == request.last:
            return cls.of_plane(volume, PlaneRequest(request.orientation, request.first), processor, window)
        _check_orientation(request.orientation, config)
        stack = plane_range(volume, request, config.square_planes, framed_body(volume, config.frame))
        stack = stack.spread(max(1, len(stack) // _stride(stack, config)))
        return cls(volume, stack.planes, stack, choose_window(volume, window, config.ct_window))

    @classmethod
    def of_volume(cls, volume: Volume, processor: MedSightProcessor, window: str | None) -> VolumeView:
        """The whole volume as patient-aligned axial planes, about as far apart as one mask cell is wide."""
        config = processor.config
        stack = plane_stack(volume, VOLUME_ORIENTATION, config.square_planes, framed_body(volume, config.frame))
        stack = stack.every(_stride(stack, config))
        return cls(volume, stack.planes, stack, choose_window(volume, window, config.ct_window))

    @property
    def box(self) -> dict[str, int]:
        """Size of the planes, as `VisibleBox.of` takes it."""
        rows, cols = self.planes[0].shape
        return {"rows": rows, "cols": cols}

    @property
    def orientation(self) -> str:
        """The named orientation that its planes are nearest to."""
        return nearest_orientation(self.planes[0])

    @property
    def words(self) -> str:
        """What to call it: "axial MR"."""
        return view_words(self.orientation, self.volume.modality)

    def pixel_values(self, index: int, processor: MedSightProcessor) -> Tensor:
        """Normalised pixels (3, S, S) of one plane."""
        side = processor.config.vision_config.image_size
        grey = self.window.to_uint8(sample(self.volume, self.planes[index]))
        return processor.pixel_values(VisibleBox.of(**self.box, side=side).apply(Image.fromarray(grey)))

    def outline(self, probability: np.ndarray, side: int, threshold: float) -> np.ndarray:
        """The voxels, bool (I, J, K), where probability maps (P, m, m) of all planes exceed ``threshold``.

        side: the picture size that the maps belong to (vision_config.image_size).
        """
        if self.stack is None:
            painted = VisibleBox.of(**self.box, side=side).paint(probability, fill=0.0)
            return voxels_on_plane(self.volume, self.planes[0], painted[0] > threshold)
        stack, painted = self._touched(self.stack, probability, side, threshold)
        return stack.outline(painted, self.volume, threshold)

    def soften(self, probability: np.ndarray, side: int) -> np.ndarray:
        """`eight_bits` of probability maps (P, m, m), uint8 (I, J, K), 0 below `soft_masks.LEAST`."""
        if self.stack is None:
            painted = VisibleBox.of(**self.box, side=side).paint(probability, fill=0.0)[0]
            return voxels_on_plane(self.volume, self.planes[0], np.where(painted > LEAST, eight_bits(painted), 0))
        stack, painted = self._touched(self.stack, probability, side, LEAST)
        return stack.soften(painted, self.volume, LEAST)

    def _touched(
        self, stack: PlaneStack, probability: np.ndarray, side: int, threshold: float
    ) -> tuple[PlaneStack, np.ndarray]:
        """The planes on which something exceeds ``threshold``, and the maps painted on them.

        One plane more at each end, towards which an outline fades.
        """
        touched = np.flatnonzero((probability > threshold).any(axis=(1, 2)))
        ends = (touched[0] - 1, touched[-1] + 2) if len(touched) else (0, 1)
        planes = slice(max(0, ends[0]), min(len(stack), ends[1]))
        return stack.part(planes), VisibleBox.of(**self.box, side=side).paint(probability[planes], fill=0.0)


def framed_body(volume: Volume, frame: str) -> tuple[np.ndarray, np.ndarray] | None:
    """The box that planes are framed by, None for the whole volume."""
    return body_box(volume) if frame == "body" else None


def _check_orientation(orientation: str, config: MedSightConfig) -> None:
    if orientation not in config.orientations:
        raise InputError(
            f"This model was not trained on {orientation} planes: ask about an {' or '.join(config.orientations)} "
            "plane, or about the whole volume."
        )


def _stride(stack: PlaneStack, config: MedSightConfig) -> int:
    """How many planes fit about into the width of one mask cell, at least one."""
    return max(1, round(min(stack.shape) * stack.first.spacing / config.mask_size / stack.distance))


def choose_window(volume: Volume, asked: str | None, ct_window: str) -> Window:
    """The window a person asked for, else the one the model was trained with."""
    return window_for(volume, asked or (ct_window if volume.modality == "CT" else None))


def nearest_orientation(plane: Plane) -> str:
    """The named orientation whose normal lies nearest to the plane's."""
    names = ("sagittal", "coronal", "axial")  # normals along L, P and S
    return names[int(np.argmax(np.abs(plane.normal)))]


def plane_batches(count: int, mask_size: int) -> list[slice]:
    """Slices that cover ``count`` planes, as many at once as fill the cores without filling the memory.

    The perceiver's widest map grows with the mask: eight planes of the shipped model, one of the official.
    """
    size = max(1, 8 * 64**2 // mask_size**2)
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def stack_pixels(view: VolumeView, indices: Sequence[int], processor: MedSightProcessor) -> Tensor:
    """Normalised pixels (n, 3, S, S) of some planes."""
    return torch.stack([view.pixel_values(index, processor) for index in indices])
