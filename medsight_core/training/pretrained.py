"""A model to begin with from pretrained parts, the rest random.

Either any causal language model and a UniMed-CLIP tower, where the paper's stage 1 and stage 3 start (model-spec
sections 1 and 4); or an installed base language model with an adapter, around a vision side that has learned to see.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from medsight_core.errors import InputError
from medsight_core.model.adapter import ALL_LINEAR, attach
from medsight_core.model.base_language import base_folder, read_language
from medsight_core.model.config import CodebookConfig, MedSightConfig
from medsight_core.model.loading import load_model, read_config
from medsight_core.model.medsight import MedSightModel
from medsight_core.model.official.checkpoints import open_torch_file
from medsight_core.model.official.config import vision_config
from medsight_core.model.official.conversion import Conversion, Part
from medsight_core.model.official.names import TOWER, TOWER_DROPS, tower_origins
from medsight_core.model.processor import END, MedSightProcessor


def pretrained_model(
    language: Path, tower: Path, num_classes: int = 17, vision_layer: int = -2, seed: int = 0
) -> tuple[MedSightModel, MedSightProcessor]:
    """A model whose vocabulary is that of the language model and the 576 region codes after it.

    language: a transformers folder with safetensors and a tokenizer that knows the chat's control tokens.
    tower: UniMed-CLIP's ``.pt`` file, of which the vision tower is read. num_classes: object classes of the data.
    vision_layer: see `MedSightConfig`.
    Raises InputError for a folder that is no such language model, ModelError for a file that is no such tower.
    """
    torch.manual_seed(seed)
    spoken, tokenizer, first = _with_codes(language, CodebookConfig().code_tokens, "auto")
    checkpoint = open_torch_file(tower)
    config = MedSightConfig(
        vision_config=vision_config(checkpoint.below(TOWER), {}),
        perceiver_config={"num_classes": num_classes},
        text_config=spoken.config,
        first_code_token=first,
        vision_layer=vision_layer,
        presence="class",
    )
    model = MedSightModel(config, language=spoken)
    seen = {name: tensor for name, tensor in model.state_dict().items() if name.startswith("vision.")}
    part = Part(checkpoint, tower_origins(config.vision_config.num_hidden_layers), TOWER_DROPS)
    conversion = Conversion([part], {name: tuple(tensor.shape) for name, tensor in seen.items()})
    conversion.check()
    for name, tensor in seen.items():
        tensor.copy_(conversion.make(name, tensor.dtype))
    return model, MedSightProcessor(config, tokenizer)


def model_on_base(
    base: str, vision: Path, rank: int = 16, alpha: float = 32, last_layers: int | None = None, seed: int = 0
) -> tuple[MedSightModel, MedSightProcessor]:
    """A model whose language model is an installed base with an adapter that changes nothing yet (Hu et al. 2022).

    base: its name in `BASES`. vision: model folder whose tower, perceiver, codebook and settings it gets; projectors
    and the codes' rows are new. rank, alpha: of the LoRA adapter on all linear layers. last_layers: how many decoder
    layers have it; all when None.
    Raises NotFoundError when the base is not installed, ModelError for a folder without a model, InputError for a
    number of layers that the base does not have.
    """
    torch.manual_seed(seed)
    codes = read_config(vision).codebook_config.code_tokens
    language, tokenizer, first = _with_codes(base_folder(base), codes, torch.float32)
    count = language.config.num_hidden_layers
    if last_layers is not None and not 1 <= last_layers <= count:
        raise InputError(f"{base} has {count} layers and {last_layers} were to adapt: give a number from 1 to {count}.")
    source, processor = load_model(vision)
    config = processor.config
    config.text_config, config.tie_word_embeddings, config.first_code_token = language.config, False, first
    config.base_language = base
    config.adapter_config = {
        "r": rank,
        "alpha": alpha,
        "target_modules": list(ALL_LINEAR),
        "last_layers": last_layers,
    }
    model = MedSightModel(config, language=language)
    for part in ("vision", "perceiver", "codebook"):
        model.get_submodule(part).load_state_dict(source.get_submodule(part).state_dict())
    attach(language, config.adapter_config)
    return model, MedSightProcessor(config, tokenizer)


def _with_codes(folder: Path, codes: Sequence[str], dtype: torch.dtype | str) -> tuple[Any, Any, int]:
    """Language model and tokenizer of a transformers folder with the codes after its words, and the first code's id."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        language = read_language(folder, dtype)
    except (OSError, ValueError) as error:
        raise InputError(
            f"'{folder}' holds no language model: give a transformers folder with safetensors and a tokenizer."
        ) from error
    if tokenizer.convert_tokens_to_ids(END) in (None, tokenizer.unk_token_id):
        raise InputError(f"The tokenizer in '{folder}' does not know {END}: give a model with Qwen's chat tokens.")
    first = len(tokenizer)
    tokenizer.add_tokens(list(codes))
    language.resize_token_embeddings(len(tokenizer))  # new rows are drawn around the mean of the old
    return language, tokenizer, first
