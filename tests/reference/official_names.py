"""From the product's state dict to the official tensor names (sections 7.1 to 7.5 of the specification).

Strings only: it moves no number, except that it stacks the separate q, k and v of a CLIP block as OpenCLIP does.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Longest match first where one prefix contains another.
_BLOCK = {
    "upsample_conv": "conv_adapters.{s}.conv",
    "region_attn_norm": "bi_blocks.{s}.region_to_image_norm",
    "region_attn": "bi_blocks.{s}.region_to_image",
    "region_ffn_norm": "bi_blocks.{s}.ff_region_norm",
    "region_ffn": "bi_blocks.{s}.ff_region",
    "image_attn_norm": "bi_blocks.{s}.image_to_region_norm",
    "image_attn": "bi_blocks.{s}.image_to_region",
    "image_ffn_norm": "bi_blocks.{s}.ff_image_norm",
    "image_ffn": "bi_blocks.{s}.ff_image",
}
_STEM = {"attn": "init_cross_attn", "attn_norm": "init_cross_norm", "ffn": "init_ff", "ffn_norm": "init_ff_norm"}
_ATTENTION = {"norm_kv": "norm_media", "norm_q": "norm_latents", "q": "to_q", "kv": "to_kv", "out": "to_out"}
_FEED_FORWARD = {"norm": "0", "up": "1", "down": "3"}
_HEAD = {"mask_embed": "proj", "classes": "class_embed"}
_CLIP_BLOCK = {
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_CLIP = {
    "embeddings.patch_embedding.weight": "conv1.weight",
    "embeddings.class_embedding": "class_embedding",
    "embeddings.position_embedding.weight": "positional_embedding",
    "pre_layrnorm.weight": "ln_pre.weight",
    "pre_layrnorm.bias": "ln_pre.bias",
    "post_layernorm.weight": "ln_post.weight",
    "post_layernorm.bias": "ln_post.bias",
}


def perceiver_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """State of a RegionPerceiver under the names of section 7.1."""
    return {f"region_perceiver.{_perceiver_name(key)}": value for key, value in state.items()}


def _perceiver_name(key: str) -> str:
    if key == "queries":
        return "region_queries"
    part, *rest = key.split(".")
    if part == "head":
        return ".".join(["segmentation_cls_head", _HEAD[rest[0]], *rest[1:]])
    if part == "stem":
        name, inner = _STEM[rest[0]], rest[1:]
    else:
        stage, block, *inner = rest
        name = _BLOCK[block].format(s=stage)
    if len(inner) == 2:  # inside an attention or a feed-forward block
        inner[0] = {**_ATTENTION, **_FEED_FORWARD}[inner[0]]
    return ".".join([name, *inner])


def codebook_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """State of a Codebook under the names of section 7.2."""
    official = {}
    for key, value in state.items():
        part, *rest = key.split(".")
        if part == "tables":
            official.update({f"quantizer.codebooks.{k}.embedding.weight": table for k, table in enumerate(value)})
        elif part == "head":
            name = ".".join(["segmentation_cls_head_quant", _HEAD[rest[0]], *rest[1:]])
            official[f"region_perceiver.code_decoder.{name}"] = value
        else:
            prefix = {
                "encode": "region_perceiver.to_code",
                "decode": "region_perceiver.code_decoder.from_code",
                "modality": "modality_predictor",
            }[part]
            official[".".join([prefix, *rest])] = value
    return official


def vision_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """State of a transformers CLIPVisionModel under OpenCLIP's names, q, k and v packed."""
    official = {f"visual.{_CLIP[key]}": value for key, value in state.items() if key in _CLIP}
    for key, value in state.items():
        if key in _CLIP:
            continue
        _, _, index, *rest = key.split(".")  # encoder.layers.<index>.<layer>.<kind>
        block, layer, kind = f"visual.transformer.resblocks.{index}", ".".join(rest[:-1]), rest[-1]
        if layer in _CLIP_BLOCK:
            official[f"{block}.{_CLIP_BLOCK[layer]}.{kind}"] = value
        elif layer == "self_attn.q_proj":
            separate = [state[key.replace("q_proj", f"{one}_proj")] for one in "qkv"]
            official[f"{block}.attn.in_proj_{kind}"] = torch.cat(separate)
    return official


def projector_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The two projectors of a whole model's state under the names of section 7.4."""
    renamed = {"image_to_text": "model.mm_projector", "text_to_image": "model.token_projection"}
    return {
        ".".join([renamed[key.split(".")[0]], *key.split(".")[1:]]): value
        for key, value in state.items()
        if key.split(".")[0] in renamed
    }


def official_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A whole model's state, its language model left out, under the official names."""

    def part(prefix: str) -> dict[str, Tensor]:
        return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}

    return {
        **vision_names(part("vision.")),
        **perceiver_names(part("perceiver.")),
        **codebook_names(part("codebook.")),
        **projector_names(state),
    }
