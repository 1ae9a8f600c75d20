"""Grey-level windows by name, for CT; of other volumes nobody knows what their values mean. MRML only."""

from __future__ import annotations

from typing import Any

from MedSIGHTLib.suggestions import modality_of_values

_HOUNSFIELD = {
    "Lung": (-1350, 150),
    "Mediastinum": (-125, 225),
    "Abdomen": (-140, 260),
    "Bone": (-450, 1050),
    "Brain": (0, 80),
}
AUTOMATIC = "Automatic"


def windows_for(volume: Any) -> list[str]:
    """The names of windows that fit a volume node; none for None."""
    if volume is None:
        return []
    return [AUTOMATIC, *(_HOUNSFIELD if modality_of_values(volume) == "CT" else ())]


def show_window(volume: Any, name: str) -> None:
    """Show the volume with a window of that name; nothing when it has none of it."""
    if name not in windows_for(volume):
        return
    display = volume.GetDisplayNode()
    display.SetAutoWindowLevel(name == AUTOMATIC)
    if name != AUTOMATIC:
        display.SetWindowLevelMinMax(*_HOUNSFIELD[name])
