"""A model folder as a model: what `save_pretrained` wrote, checked key by key, and nothing else.

A folder that holds no language model names the base that it stands on. Only safetensors are read.
It knows nothing of what a model is asked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import AutoConfig

from medsight_core.errors import ModelError
from medsight_core.model.adapter import misfits, put_together
from medsight_core.model.base_language import base_folder, read_language
from medsight_core.model.bits import check_bits
from medsight_core.model.config import MedSightConfig
from medsight_core.model.medsight import MedSightModel
from medsight_core.model.processor import MedSightProcessor
from medsight_core.model.quantize import quantize

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


def load_model(
    folder: str | Path, device: str = "cpu", merge: bool = True, bits: int | None = None
) -> tuple[MedSightModel, MedSightProcessor]:
    """Model and processor of a folder, in float32 on a CPU and in the stored precision elsewhere.

    merge: fold the adapter of a folder that stands on a base language model into it; false keeps both apart, to train
    the adapter and to save without the base.
    bits: 8 or 4 to keep the language model's layers in so many (`model.quantize`), to answer with on a CPU.
    Raises what `check_bits` raises; ModelError when it is missing, incomplete or does not fit this version, and for a
    device that is not there; NotFoundError when its base language model is not installed.
    """
    check_bits(bits, device)
    config = read_config(folder)
    processor = MedSightProcessor.from_pretrained(folder, config)
    # Half precision is slow or absent on many CPUs. What is not converted stays in the file until it is used.
    dtype: Any = torch.float32 if device == "cpu" and bits is None else config.dtype
    base = base_folder(config.base_language) if config.base_language else None
    try:
        if base is None:
            model, wrong = _read_whole(folder, config, dtype)
        else:
            model, wrong = _read_on_base(folder, config, base, merge)
            torch.nn.Module.to(model, dtype=dtype)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise ModelError(f"The weights in {folder} cannot be loaded: save or convert the model again.") from error
    if wrong:
        raise ModelError(
            f"The weights in {folder} do not fit this version ({len(wrong)} keys, the first is {wrong[0]}): "
            "save or convert the model again."
        )
    if bits is not None:
        quantize(model, bits)
    try:
        torch.nn.Module.to(model, device)  # its override in transformers is not typed
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"The device {device!r} is not available here: use cpu, or cuda with a GPU.") from error
    return model, processor


def _read_whole(folder: str | Path, config: MedSightConfig, dtype: Any) -> tuple[MedSightModel, list[str]]:
    """The model of a folder that holds all of it, and the keys that did not fit."""
    loaded = MedSightModel.from_pretrained(
        str(folder),
        config=config,
        dtype=dtype,
        local_files_only=True,
        use_safetensors=True,
        output_loading_info=True,
    )
    model, report = cast("tuple[MedSightModel, dict[str, Any]]", loaded)  # with output_loading_info a pair
    kinds = ("missing_keys", "unexpected_keys", "mismatched_keys")
    return model, sorted(str(key) for kind in kinds for key in report[kind])


def _read_on_base(
    folder: str | Path, config: MedSightConfig, base: Path, merge: bool
) -> tuple[MedSightModel, list[str]]:
    """The model of a folder that stands on a base language model, and the keys that did not fit.

    In float32 whatever the device: the adapter is small beside what it is added to.
    """
    stored = load_file(Path(folder) / WEIGHTS)
    language = read_language(base, torch.float32)
    if language.config.hidden_size != config.text_config.hidden_size:
        raise ModelError(
            f"The model in {folder} was made for a language model of width {config.text_config.hidden_size} and "
            f"{config.base_language} has {language.config.hidden_size}: save it again."
        )
    model = MedSightModel(config, language=language).eval()
    wrong = misfits(model, stored)
    if not wrong:
        put_together(model, stored, merge)
    return model, wrong
