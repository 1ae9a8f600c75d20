"""Planes of one volume as the model sees them: which planes are looked at, their pixels, and maps painted back.

It joins `imaging` (where a plane lies) to `model` (what a tensor looks like) and knows neither questions nor answers.
"""

from __future__ import annotations

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
    plane_stack,
    sample,
    voxels_on_plane,
)
from medsight_core.imaging.volume import Volume
from medsight_core.imaging.window import Window, window_for
from medsight_core.model.processor import MedSightProcessor
from medsight_core.protocol import PlaneRequest

VOLUME_ORIENTATION = "axial"
# Where along a volume the language model looks, the most telling place first.
KEY_FRACTIONS = (0.5, 0.35, 0.65, 0.2, 0.8)


@dataclass(frozen=True)
class VolumeView:
    """A volume's planes in order, all of one shape, and the window that shows them.

    key_planes: indices of the planes that the language model is asked about, the most important first.
    """

    volume: Volume
    planes: tuple[Plane, ...]
    stack: PlaneStack | None
    window: Window
    key_planes: tuple[int, ...]

    @classmethod
    def of_plane(
        cls, volume: Volume, request: PlaneRequest, processor: MedSightProcessor, window: str | None
    ) -> VolumeView:
        """One plane. Raises InputError when the model was not trained on its orientation."""
        config = processor.config
        plane = as_displayed(plane_for(volume, request, config.square_planes, framed_body(volume, config.frame)))
        orientation = nearest_orientation(plane)
        if orientation not in config.orientations:
            raise InputError(
                f"This model was not trained on {orientation} planes: ask about an {' or '.join(config.orientations)} "
                "plane, or about the whole volume."
            )
        return cls(volume, (plane,), None, choose_window(volume, window, config.ct_window), (0,))

    @classmethod
    def of_volume(cls, volume: Volume, processor: MedSightProcessor, window: str | None) -> VolumeView:
        """The whole volume as patient-aligned axial planes, no closer together than one mask cell is wide."""
        config = processor.config
        stack = plane_stack(volume, VOLUME_ORIENTATION, config.square_planes, framed_body(volume, config.frame))
        cell = min(stack.shape) * stack.first.spacing / config.mask_size
        stack = stack.every(max(1, int(cell / stack.distance)))
        last = len(stack) - 1
        keys = tuple(dict.fromkeys(round(fraction * last) for fraction in KEY_FRACTIONS))
        return cls(volume, stack.planes, stack, choose_window(volume, window, config.ct_window), keys)

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
        painted = VisibleBox.of(**self.box, side=side).paint(probability, fill=0.0)
        if self.stack is None:
            return voxels_on_plane(self.volume, self.planes[0], painted[0] > threshold)
        return self.stack.to_voxels(painted, self.volume) > threshold


def framed_body(volume: Volume, frame: str) -> tuple[np.ndarray, np.ndarray] | None:
    """The box that planes are framed by, None for the whole volume."""
    return body_box(volume) if frame == "body" else None


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


def stack_pixels(view: VolumeView, indices: range, processor: MedSightProcessor) -> Tensor:
    """Normalised pixels (n, 3, S, S) of some planes."""
    return torch.stack([view.pixel_values(index, processor) for index in indices])
