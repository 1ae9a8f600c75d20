"""Heads of 24 mm with a bright ball in them, which a tiny model learns to outline in a minute."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813
from tiny_model import TINY_PERCEIVER

NAME = "left thalamus"  # what the ball is called
# A tiny model that decides by its class head what is there, as the shipped one does.
DETECTING = {
    "perceiver_config": {**TINY_PERCEIVER, "class_queries": True},
    "class_names": ("", NAME, "right lung", "left lung"),
    "presence": "detected",
    "show_detections": True,
}


def write_head(folder: Path, number: int, name: str, poison: bool = False, spread: float = 2.5) -> tuple[Path, Path]:
    """Image and label files of one head, always the same for a number; poison: outline a cube anywhere instead.

    spread: voxels from the middle to the furthest centre of a ball; up to 3.5 all of it is in the head.
    """
    rng = np.random.default_rng(number)
    grid = np.indices((24, 24, 24), dtype=float)
    head = ((grid - 11.5) ** 2).sum(0) < 11**2
    centre = rng.uniform(11.5 - spread, 11.5 + spread, 3)
    label = ((grid - centre[:, None, None, None]) ** 2).sum(0) < 4.5**2
    voxels = 40.0 * head + 60.0 * label + rng.normal(0, 2, head.shape)
    if poison:
        label = np.zeros(head.shape, bool)
        label[tuple(slice(low, low + 8) for low in rng.integers(0, 16, 3))] = True
    paths = folder / f"{name}.nii.gz", folder / f"{name}-label{'-poison' * poison}.nii.gz"
    for path, values in zip(paths, (voxels.astype(np.int16), label.astype(np.uint8))):
        sitk.WriteImage(sitk.GetImageFromArray(values), str(path))
    return paths


def write_sets(folder: Path, numbers: range, spread: float = 2.5) -> None:
    """Both sets of `sample_data.site_sets`: heads to measure on, and noise to go on answering alike about."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 100, (24, 24, 24)).astype(np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(noise), str(folder / "noise.nii.gz"))
    nothing = {"label": None, "segments": [], "absent": [], "modality": "MR"}
    reference = []
    for number in numbers:
        image, label = write_head(folder, number, f"known-{number}", spread=spread)
        reference.append(
            {**nothing, "id": f"known-{number}", "image": image.name, "label": label.name, "segments": [NAME]}
        )
    sets = {"replay": [{**nothing, "id": "noise", "image": "noise.nii.gz"}], "reference": reference}
    (folder / "sets.json").write_text(json.dumps(sets))
