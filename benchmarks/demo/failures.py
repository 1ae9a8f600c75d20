"""The worst answers of an examination, as pictures: of each modality the worst outline, and the surest false one.

Each is asked again, because rows keep no masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.demo.trials import Slice, Trial
from medsight_core.engine.engine import Engine
from medsight_core.evaluation.case_picture import draw
from medsight_core.imaging.body import body_box
from medsight_core.imaging.plane import plane_for, sample
from medsight_core.imaging.window import window_for

WORST, FALSE = "worst outline", "false mask"


def worst(planes: Sequence[Slice], trials: Sequence[Sequence[Trial]]) -> list[tuple[str, Slice, Trial]]:
    """Kind, plane and trial of the worst answers. trials: the outlines of each plane."""
    asked = [(plane, trial) for plane, own in zip(planes, trials) for trial in own if trial.accepted]
    found = []
    for modality in dict.fromkeys(plane.exam.volume.modality for plane in planes):
        own = [(plane, trial) for plane, trial in asked if plane.exam.volume.modality == modality]
        right = [pair for pair in own if pair[1].dice is not None]
        wrong = [pair for pair in own if not pair[1].present]
        if right:
            found.append((WORST, *min(right, key=lambda pair: pair[1].dice or 0.0)))
        if wrong:
            found.append((FALSE, *max(wrong, key=lambda pair: pair[1].confidence)))
    return found


def draw_failures(
    engine: Engine, planes: Sequence[Slice], trials: Sequence[Sequence[Trial]], folder: Path
) -> list[dict[str, Any]]:
    """Write a picture of each of the worst answers; what they show, as plain JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    told = []
    for kind, plane, trial in worst(planes, trials):
        modality = plane.exam.volume.modality
        file = f"{kind}-{modality}.jpg".lower().replace(" ", "-")
        answer, _ = plane.ask(engine, f"Outline the {trial.name}.")
        masks = [region.mask for region in answer.regions if region.name == trial.name or not trial.present]
        (folder / file).write_bytes(picture(engine, plane, next(iter(masks), None), plane.exam.truth.get(trial.name)))
        told.append(
            {
                "file": file,
                "kind": kind,
                "modality": modality,
                "subject": trial.subject,
                "orientation": trial.orientation,
                "name": trial.name,
                "dice": trial.dice,
                "confidence": trial.confidence,
            }
        )
    return told


def picture(engine: Engine, plane: Slice, found: np.ndarray | None, truth: np.ndarray | None) -> bytes:
    """The plane as the model sees it, with what was outlined and what is there (I, J, K) of it."""
    volume, config = plane.exam.volume, engine.config
    body = body_box(volume) if config.frame == "body" else None
    view = plane_for(volume, plane.exam.plane(plane.orientation, plane.index), config.square_planes, body)
    window = window_for(volume, config.ct_window if volume.modality == "CT" else None)

    def on_view(mask: np.ndarray | None) -> np.ndarray | None:
        if mask is None:
            return None
        return sample(replace(volume, voxels=mask.view(np.uint8), modality="OT"), view, fill=0.0) >= 0.5

    grey = window.to_uint8(sample(volume, view))
    return draw(Image.fromarray(grey), on_view(found), on_view(truth))
