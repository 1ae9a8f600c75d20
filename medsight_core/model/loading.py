"""A model folder as a model: what `save_pretrained` wrote, checked key by key, and nothing else.

Only safetensors are read. It knows nothing of what a model is asked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from transformers import AutoConfig

from medsight_core.errors import ModelError
from medsight_core.model.config import MedSightConfig
from medsight_core.model.medsight import MedSightModel
from medsight_core.model.processor import MedSightProcessor

WEIGHTS = "model.safetensors"


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


def load_model(folder: str | Path, device: str = "cpu") -> tuple[MedSightModel, MedSightProcessor]:
    """Model and processor of a folder, in float32 on a CPU and in the stored precision elsewhere.

    Raises ModelError when it is missing, incomplete or does not fit this version, and for a device that is not there.
    """
    config = read_config(folder)
    processor = MedSightProcessor.from_pretrained(folder, config)
    dtype = torch.float32 if device == "cpu" else config.dtype  # half precision is slow or absent on many CPUs
    try:
        loaded = MedSightModel.from_pretrained(
            str(folder),
            config=config,
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise ModelError(f"The weights in {folder} cannot be loaded: save or convert the model again.") from error
    model, report = cast("tuple[MedSightModel, dict[str, Any]]", loaded)  # with output_loading_info a pair
    wrong = sorted(str(key) for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") for key in report[kind])
    if wrong:
        raise ModelError(
            f"The weights in {folder} do not fit this version ({len(wrong)} keys, the first is {wrong[0]}): "
            "save or convert the model again."
        )
    try:
        torch.nn.Module.to(model, device)  # its override in transformers is not typed
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"The device {device!r} is not available here: use cpu, or cuda with a GPU.") from error
    return model, processor
