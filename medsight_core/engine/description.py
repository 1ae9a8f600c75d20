"""What a model folder offers, read from its config.json alone: no weights, no torch computation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoConfig

from medsight_core.errors import ModelError
from medsight_core.model.config import MedSightConfig
from medsight_core.protocol import SCOPE_PLANE, SCOPE_VOLUME

MODEL_ID = "medsight"
WEIGHTS = "model.safetensors"

_SUGGESTIONS = ("Outline {}.", "Is there {}?", "Outline everything you can see.")


def read_config(folder: str | Path) -> MedSightConfig:
    """The configuration of a model folder.

    Raises ModelError when the folder is missing or holds no MedSIGHT model; it says how to get one.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise ModelError(f"There is no model in {folder}: give a folder with config.json and {WEIGHTS}.")
    try:
        config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
    except ModelError:
        raise
    except Exception as error:  # whatever transformers' parsers raise on a damaged file
        raise ModelError(f"The config.json in {folder} cannot be read: save the model there again.") from error
    if not isinstance(config, MedSightConfig):
        raise ModelError(
            f"The model in {folder} is a {config.model_type!r}, not a MedSIGHT model: give another folder."
        )
    return config


def describe(config: MedSightConfig) -> dict[str, Any]:
    """What may be asked of this model, as plain JSON; names and suggestions are listed by modality."""
    return {
        "model": {"id": MODEL_ID, "version": config.version, "licence": config.licence},
        "scopes": [SCOPE_PLANE, SCOPE_VOLUME],
        "orientations": list(config.orientations),
        "names": {modality: list(names) for modality, names in config.modality_names.items()},
        "suggestions": {modality: _suggest(names) for modality, names in config.modality_names.items() if names},
    }


def _suggest(names: list[str]) -> list[str]:
    first = " and ".join(f"the {name}" for name in names[:2])
    return [_SUGGESTIONS[0].format(first), _SUGGESTIONS[1].format(f"a {names[-1]}"), _SUGGESTIONS[2]]
