"""The configuration of a converted model: from the authors' config.json, and from the shapes of their tensors.

It knows which field of ours each of theirs is. It reads no numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from transformers import CLIPVisionConfig, Qwen3Config

from medsight_core.errors import InputError, ModelError
from medsight_core.model.config import CodebookConfig, MedSightConfig, PerceiverConfig

Shapes = Mapping[str, tuple[int, ...]]

HEAD = 64  # channels of one attention head, in the tower and in the perceiver; no shape tells it
ROPE_THETA = 1e6
LAYER = "mm_vision_select_layer"
_NEEDED = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
)
# Whatever else is in their config.json is about training, or about classes that we do not have.
_KNOWN = (
    *_NEEDED,
    "head_dim",
    "hidden_act",
    "rms_norm_eps",
    "rope_scaling",
    "rope_parameters",
    "max_position_embeddings",
    "attention_bias",
    "tie_word_embeddings",
    "bos_token_id",
    "eos_token_id",
)


def text_config(official: Mapping[str, Any], overrides: Mapping[str, Any]) -> Qwen3Config:
    """The language model of a ``llava_qwen`` config.json, which transformers itself cannot read (model-spec 7.4).

    Raises ModelError when a size is missing or impossible.
    """
    absent = [name for name in _NEEDED if name not in official]
    if absent:
        raise ModelError(f"The official config.json has no {absent[0]!r}: use the one that came with the weights.")
    values = {name: official[name] for name in _KNOWN if official.get(name) is not None}
    if "rope_parameters" not in values:
        values["rope_theta"] = official.get("rope_theta", ROPE_THETA)
    values = _merged(values, overrides, Qwen3Config())
    return _built(Qwen3Config, values)


def vision_config(shapes: Shapes, overrides: Mapping[str, Any]) -> CLIPVisionConfig:
    """The tower with these shapes, by their names below "visual."; the official one where they do not tell."""
    official = MedSightConfig().vision_config
    found: dict[str, Any] = {"num_hidden_layers": _count(shapes, r"transformer\.resblocks\.(\d+)\.")}
    if kernel := shapes.get("conv1.weight"):
        found |= {"hidden_size": kernel[0], "num_attention_heads": max(kernel[0] // HEAD, 1), "patch_size": kernel[-1]}
    if widened := shapes.get("transformer.resblocks.0.mlp.c_fc.weight"):
        found["intermediate_size"] = widened[0]
    return _set(official, {name: value for name, value in found.items() if value}, overrides)


def perceiver_config(shapes: Shapes, overrides: Mapping[str, Any]) -> PerceiverConfig:
    """The perceiver with these shapes, by their names below "region_perceiver."; the official one otherwise."""
    found: dict[str, Any] = {"num_stages": _count(shapes, r"(?:bi_blocks|conv_adapters)\.(\d+)\.")}
    if len(queries := shapes.get("region_queries", ())) == 3:
        found["num_queries"] = queries[1]
    if inner := shapes.get("init_cross_attn.to_q.weight"):
        found["num_heads"] = max(inner[0] // overrides.get("head_dim", HEAD), 1)
    if widened := shapes.get("init_ff.1.weight"):
        found["ffn_ratio"] = widened[0] // widened[-1]
    if classes := shapes.get("segmentation_cls_head.class_embed.bias"):
        found["num_classes"] = classes[0] - 1
    return _set(PerceiverConfig(), {name: value for name, value in found.items() if value}, overrides)


def codebook_config(shapes: Shapes, overrides: Mapping[str, Any]) -> CodebookConfig:
    """The codebook with these shapes, by their full names; the official one where they do not tell."""
    found: dict[str, Any] = {"num_modalities": _count(shapes, r"quantizer\.codebooks\.(\d+)\.")}
    if table := shapes.get("quantizer.codebooks.0.embedding.weight"):
        found |= {"num_codes": table[0], "code_dim": table[-1]}
    return _set(CodebookConfig(), {name: value for name, value in found.items() if value}, overrides)


def vision_layer(official: Mapping[str, Any]) -> int:
    """Which hidden state of the tower is read. Theirs counts block outputs, ours the embeddings before them too."""
    layer = int(official.get(LAYER, -2))
    return layer if layer < 0 else layer + 1


def _count(shapes: Iterable[str], pattern: str) -> int:
    """One more than the highest number that ``pattern`` finds at the beginning of a name; 0 without any."""
    numbers = [int(match.group(1)) for name in shapes if (match := re.match(pattern, name))]
    return max(numbers, default=-1) + 1


def _set(config: Any, found: Mapping[str, Any], overrides: Mapping[str, Any]) -> Any:
    """``config`` with the fields that were found, and those that were asked for."""
    return _built(type(config), {**config.to_diff_dict(), **_merged(found, overrides, config)})


def _built(kind: Any, values: Mapping[str, Any]) -> Any:
    try:
        return kind(**values)
    except Exception as error:  # whatever transformers' validation raises
        why = " ".join(str(error).split())
        raise ModelError(
            f"These sizes make no {kind.model_type} ({why}): correct config.json, the files or the size overrides."
        ) from error


def _merged(found: Mapping[str, Any], overrides: Mapping[str, Any], config: Any) -> dict[str, Any]:
    unknown = [name for name in overrides if not hasattr(config, name)]
    if unknown:
        raise InputError(
            f"The size overrides name {unknown[0]!r}, which {config.model_type} does not have: correct it."
        )
    return {**found, **overrides}
