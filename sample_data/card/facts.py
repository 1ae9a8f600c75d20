"""All that is known of a shipped model: its configuration and size, its training record, what the examiner measured.

Whatever is missing is an error here, so that no card has a hole.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from medsight_core.errors import InputError, NotFoundError
from medsight_core.model.config import MedSightConfig
from medsight_core.model.loading import WEIGHTS, read_config
from sample_data.card.training import TRAINING
from sample_data.card.words import CONTROLS, GOALS, SITE_FIGURES, SITES


@dataclass(frozen=True)
class Measured:
    """A figure of the examiner. low, high: of its 95 % interval, None where there is too little for one.

    n: questions behind it. goal: what it should be, "" for none; met: whether it is.
    """

    title: str
    value: float
    low: float | None
    high: float | None
    n: int
    goal: str
    met: bool | None


@dataclass(frozen=True)
class Facts:
    """What the cards tell.

    parameters: of the model; size: of its weights, bytes. training: `training.training_record`.
    goals: figures that have a goal. sites: figures by region of the body. controls: by control; wording: by form.
    names: by name, mean Dice and its n, share falsely outlined and its n. failures: the worst answers, with pictures.
    commit, machine: of the examination.
    """

    config: MedSightConfig
    parameters: int
    size: int
    training: Mapping[str, Any]
    goals: Mapping[str, Measured]
    sites: Mapping[str, Mapping[str, Measured]]
    controls: Mapping[str, Mapping[str, Measured]]
    wording: Mapping[str, Measured]
    names: Mapping[str, Mapping[str, Any]]
    failures: tuple[Mapping[str, Any], ...]
    commit: str
    machine: Mapping[str, Any]

    @property
    def spoken(self) -> tuple[str, ...]:
        """Every name that may be asked for, once."""
        return tuple(dict.fromkeys(name for names in self.config.modality_names.values() for name in names))


def fingerprint(model: Path) -> str:
    """The SHA-256 of a model folder's weights and configuration, by which figures are known to be theirs."""
    return hashlib.sha256((model / WEIGHTS).read_bytes() + (model / "config.json").read_bytes()).hexdigest()


def read_facts(model: Path, figures: Path) -> Facts:
    """Facts of a model folder with its training record, and of the examiner's figures.json.

    Raises ModelError for a folder without a model, NotFoundError for a missing file, and InputError for figures of
    another model and for a figure that was not measured.
    """
    config = read_config(model)
    training = _read(model / TRAINING, "ship the model again with make demo-model")
    found = _read(figures, "run make evaluate-demo first")
    if found.get("model") != fingerprint(model):
        raise InputError(f"The figures in '{figures}' are those of another model than '{model}': examine this one.")
    with safe_open(model / WEIGHTS, framework="numpy") as weights:
        parameters = sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    return Facts(
        config,
        parameters,
        (model / WEIGHTS).stat().st_size,
        training,
        {name: _measured(found, "goals", name) for name in GOALS},
        {site: {name: _measured(found, "sites", site, name) for name in SITE_FIGURES} for site in SITES},
        {control: _all(found, "controls", control) for control in CONTROLS},
        _all(found, "wording"),
        _inside(found, ("names",)),
        tuple(found["failures"]),
        found["commit"],
        found["machine"],
    )


def _read(path: Path, advice: str) -> dict[str, Any]:
    if not path.is_file():
        raise NotFoundError(f"There is no '{path}': {advice}.")
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _all(found: Mapping[str, Any], *path: str) -> dict[str, Measured]:
    """All figures of a group; at least one must be there."""
    group = _inside(found, path)
    return {name: _measured(found, *path, name) for name in group}


def _measured(found: Mapping[str, Any], *path: str) -> Measured:
    figure = _inside(found, path)
    if figure.get("value") is None:
        raise _unmeasured(path)
    return Measured(**figure)


def _inside(found: Mapping[str, Any], path: tuple[str, ...]) -> Mapping[str, Any]:
    for name in path:
        found = found.get(name) or {}
    if not found:
        raise _unmeasured(path)
    return found


def _unmeasured(path: tuple[str, ...]) -> InputError:
    return InputError(f"The figure {' / '.join(path)!r} was not measured: run make evaluate-demo at its full size.")
