"""A model to begin with from pretrained parts: any causal language model and a UniMed-CLIP tower, the rest random.

This is where the paper's stage 1 and stage 3 start (model-spec sections 1 and 4).
"""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from medsight_core.errors import InputError
from medsight_core.model.config import CodebookConfig, MedSightConfig
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
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(language), local_files_only=True)
        words = AutoConfig.from_pretrained(str(language), local_files_only=True)
        tied, words.tie_word_embeddings = words.tie_word_embeddings, False  # table and head learn the codes apart
        spoken = AutoModelForCausalLM.from_pretrained(
            str(language), config=words, local_files_only=True, use_safetensors=True, dtype="auto"
        )
    except (OSError, ValueError) as error:
        raise InputError(
            f"'{language}' holds no language model: give a transformers folder with safetensors and a tokenizer."
        ) from error
    if tokenizer.convert_tokens_to_ids(END) in (None, tokenizer.unk_token_id):
        raise InputError(f"The tokenizer in '{language}' does not know {END}: give a model with Qwen's chat tokens.")
    if tied:
        spoken.get_output_embeddings().load_state_dict(spoken.get_input_embeddings().state_dict())
    first = len(tokenizer)
    tokenizer.add_tokens(CodebookConfig().code_tokens)
    spoken.resize_token_embeddings(len(tokenizer))  # new rows are drawn around the mean of the old
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
