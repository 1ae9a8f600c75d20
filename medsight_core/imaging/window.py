"""Grey-level windows: how voxel values of any range become the 8 bits that a model or a picture takes.

Knows value ranges only. Windowing happens here, before any conversion to RGB, so 16-bit data is never clipped by one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from medsight_core.errors import InputError
from medsight_core.imaging.grid import PatientOrder
from medsight_core.imaging.volume import Volume, once_a_volume

_SAMPLES = 1 << 20  # voxels that the percentiles of a volume are taken from, about


@dataclass(frozen=True)
class Window:
    """The values shown as black (``low``) and white (``high``); InputError unless low < high, both finite."""

    low: float
    high: float

    def __post_init__(self) -> None:  # noqa: D105
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high):
            raise InputError(f"The window {self.low:g} to {self.high:g} is empty: give a positive width.")

    def to_uint8(self, values: np.ndarray) -> np.ndarray:
        """``values`` (any shape, any numeric type) as 0..255, linear between the ends, rounded, clipped outside."""
        scaled = (np.asarray(values, dtype=np.float32) - np.float32(self.low)) * np.float32(
            255 / (self.high - self.low)
        )
        return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


PRESETS: dict[str, Window] = {  # Hounsfield units
    "chest": Window(-1000, 400),  # lungs and soft tissue at once
    "lung": Window(-1350, 150),
    "mediastinum": Window(-125, 225),
    "soft-tissue": Window(-160, 240),
    "abdomen": Window(-140, 260),
    "bone": Window(-450, 1050),
    "brain": Window(0, 80),
}
DEFAULT_CT_PRESET = "chest"


def window_for(volume: Volume, preset: str | None = None) -> Window:
    """The window to show ``volume`` with.

    preset: a name of `PRESETS` (CT only) or "LEVEL/WIDTH" such as "40/400" (any modality); None chooses: "chest" for
        CT, otherwise the 0.5 to 99.5 percentile of the voxels that are not zero, the same for every storage order.
    Raises InputError for anything else.
    """
    if preset is not None:
        return _named(preset, volume.modality)
    if volume.modality == "CT":
        return PRESETS[DEFAULT_CT_PRESET]
    return _usual(volume)


@once_a_volume
def _usual(volume: Volume) -> Window:
    voxels = PatientOrder.of(volume.affine).arrange(volume.voxels)
    stride = max(1, round((voxels.size / _SAMPLES) ** (1 / 3)))
    values = voxels[::stride, ::stride, ::stride]
    values = values[values != 0]
    if not values.size:
        return Window(0.0, 1.0)
    low, high = (float(v) for v in np.percentile(values, (0.5, 99.5)))
    return Window(low, high) if high > low else Window(min(low, 0.0), max(low, 0.0) or 1.0)


def _named(preset: str, modality: str) -> Window:
    word = preset.strip().lower()
    match = re.fullmatch(r"([-+]?\d+(?:\.\d*)?)\s*/\s*(\d+(?:\.\d*)?)", word)
    if match:
        level, width = float(match.group(1)), float(match.group(2))
        return Window(level - width / 2, level + width / 2)
    if word not in PRESETS:
        raise InputError(f"Unknown window {preset!r}: use one of {', '.join(PRESETS)}, or LEVEL/WIDTH such as 40/400.")
    if modality != "CT":
        raise InputError(
            f"The window {preset!r} is for CT and this image is {modality}: leave it out or use LEVEL/WIDTH."
        )
    return PRESETS[word]
