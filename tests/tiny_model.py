"""A random MedSIGHT model of about 100 000 parameters with a byte-level tokenizer: enough to test every code path."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from medsight_core.model.config import MedSightConfig
from medsight_core.model.medsight import MedSightModel
from medsight_core.model.processor import MedSightProcessor

TINY_PERCEIVER = {"num_queries": 5, "num_heads": 2, "head_dim": 8, "ffn_ratio": 2, "num_classes": 4}


def tiny_tokenizer(code_tokens: list[str]) -> PreTrainedTokenizerFast:
    """One token per byte, the two chat control tokens, then the code tokens in order."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={char: index for index, char in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|im_end|>", additional_special_tokens=["<|im_start|>"]
    )
    tokenizer.add_tokens(code_tokens)
    return tokenizer


def tiny_config(**overrides) -> MedSightConfig:
    """Two-layer parts with a 4 x 4 patch grid and 32 x 32 masks; ``overrides`` replace any field."""
    settings = {
        "vision_config": {
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
            "image_size": 56, "patch_size": 14, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5,
        },
        "perceiver_config": TINY_PERCEIVER,
        "codebook_config": {"num_modalities": 18, "num_codes": 32, "code_dim": 8},
        "text_config": {
            "model_type": "qwen3", "vocab_size": 258 + 576, "hidden_size": 32, "intermediate_size": 64,
            "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16,
        },
        "first_code_token": 258,
        "vision_layer": -1,
        "max_new_tokens": 8,
        "names_of_codes": {"M5_0": "right lung", "M5_1": "left lung", "M10_0": "left thalamus"},
        "modality_names": {"CT": ["right lung", "left lung"], "MR": ["left thalamus"]},
        "ct_window": "chest",
        "licence": "Apache-2.0",
        "version": "tiny",
    }  # fmt: skip
    return MedSightConfig(**{**settings, **overrides})


def tiny_model(seed: int = 0, **overrides) -> tuple[MedSightModel, MedSightProcessor]:
    """Model in evaluation mode with seeded random weights, and its processor."""
    torch.manual_seed(seed)
    config = tiny_config(**overrides)
    model = MedSightModel(config).eval()
    return model, MedSightProcessor(config, tiny_tokenizer(config.codebook_config.code_tokens))


def save_tiny_model(folder: Path, **overrides) -> Path:
    """Write a tiny model folder as `medsight serve --model` expects it."""
    model, processor = tiny_model(**overrides)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
