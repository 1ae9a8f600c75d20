"""The names of the authors' tensors (model-spec sections 7.1 to 7.5) beside ours, and which of theirs are left out.

Names only: it reads no file and moves no number. ``{n}`` stands for a layer, stage or table, ``{p}`` for weight or
bias.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from medsight_core.model.official.origins import Copy, Origin, Override, Positions, Stack, Third

TOWER = "visual."
PERCEIVER = "region_perceiver."
PAPER_TIME = "model.vision_tower.vision_tower."  # checkpoints of the paper hold the whole visual side below this
PAPER_TIME_TOWER = PAPER_TIME + "image_encoder."
PAPER_TIME_PERCEIVER = PAPER_TIME + "region_perceiver."
EMBEDDING = "model.embed_tokens.weight"
STAGE_4_BASE = "model.embed_tokens.base_emb.weight"
STAGE_4_CODES = "model.embed_tokens.codebook_emb.weight"
PROJECTED_CODEBOOK = "projected_codebook"  # our name for the tensor of projected_codebook.pt, which has none


def _inside(official: str, ours: str, table: dict[str, str]) -> dict[str, str]:
    """``table`` below a module."""
    return {f"{official}.{theirs}": f"{ours}.{name}" for theirs, name in table.items()}


_ATTENTION = {
    "norm_media.{p}": "norm_kv.{p}",
    "norm_latents.{p}": "norm_q.{p}",
    "to_q.weight": "q.weight",
    "to_kv.weight": "kv.weight",
    "to_out.weight": "out.weight",
}
_FEED_FORWARD = {"0.{p}": "norm.{p}", "1.weight": "up.weight", "3.weight": "down.weight"}
_HEAD = {"proj.{p}": "mask_embed.{p}", "class_embed.{p}": "classes.{p}"}
_PERCEIVER = {
    "region_queries": "queries",
    **_inside("init_cross_attn", "stem.attn", _ATTENTION),
    "init_cross_norm.{p}": "stem.attn_norm.{p}",
    **_inside("init_ff", "stem.ffn", _FEED_FORWARD),
    "init_ff_norm.{p}": "stem.ffn_norm.{p}",
    "conv_adapters.{n}.conv.{p}": "stages.{n}.upsample_conv.{p}",
    **_inside("bi_blocks.{n}.region_to_image", "stages.{n}.region_attn", _ATTENTION),
    "bi_blocks.{n}.region_to_image_norm.{p}": "stages.{n}.region_attn_norm.{p}",
    **_inside("bi_blocks.{n}.ff_region", "stages.{n}.region_ffn", _FEED_FORWARD),
    "bi_blocks.{n}.ff_region_norm.{p}": "stages.{n}.region_ffn_norm.{p}",
    **_inside("bi_blocks.{n}.image_to_region", "stages.{n}.image_attn", _ATTENTION),
    "bi_blocks.{n}.image_to_region_norm.{p}": "stages.{n}.image_attn_norm.{p}",
    **_inside("bi_blocks.{n}.ff_image", "stages.{n}.image_ffn", _FEED_FORWARD),
    "bi_blocks.{n}.ff_image_norm.{p}": "stages.{n}.image_ffn_norm.{p}",
    **_inside("segmentation_cls_head", "head", _HEAD),
}
_TOWER = {
    "conv1.weight": "embeddings.patch_embedding.weight",
    "class_embedding": "embeddings.class_embedding",
    "ln_pre.{p}": "pre_layrnorm.{p}",
    "ln_post.{p}": "post_layernorm.{p}",
    "transformer.resblocks.{n}.ln_1.{p}": "encoder.layers.{n}.layer_norm1.{p}",
    "transformer.resblocks.{n}.ln_2.{p}": "encoder.layers.{n}.layer_norm2.{p}",
    "transformer.resblocks.{n}.attn.out_proj.{p}": "encoder.layers.{n}.self_attn.out_proj.{p}",
    "transformer.resblocks.{n}.mlp.c_fc.{p}": "encoder.layers.{n}.mlp.fc1.{p}",
    "transformer.resblocks.{n}.mlp.c_proj.{p}": "encoder.layers.{n}.mlp.fc2.{p}",
}
_POSITIONS = ("positional_embedding", "embeddings.position_embedding.weight")
_PACKED = ("transformer.resblocks.{n}.attn.in_proj_{p}", "encoder.layers.{n}.self_attn.{part}_proj.{p}")
_CODEBOOK = {
    **{f"region_perceiver.to_code.{layer}.{{p}}": f"encode.{layer}.{{p}}" for layer in (0, 2, 3, 5)},
    **{f"region_perceiver.code_decoder.from_code.{layer}.{{p}}": f"decode.{layer}.{{p}}" for layer in (0, 2, 3, 5)},
    **_inside("region_perceiver.code_decoder.segmentation_cls_head_quant", "head", _HEAD),
    "modality_predictor.{p}": "modality.{p}",
}
_TABLE = "quantizer.codebooks.{n}.embedding.weight"
_PROJECTORS = {
    **{f"model.mm_projector.{layer}.{{p}}": f"image_to_text.{layer}.{{p}}" for layer in (0, 2)},
    **{f"model.token_projection.{layer}.{{p}}": f"text_to_image.{layer}.{{p}}" for layer in (0, 2)},
}

# What is left out of each file on purpose: patterns of whole names, with the reason. None of it has to be there.
TOWER_DROPS = {
    r"visual\.proj": "leads to CLIP's space of texts, which MedSIGHT does not use",
    r"text_encoder\..*": "the text tower, which MedSIGHT does not use",
    r"logit_scale": "compares images with texts, which MedSIGHT does not do",
}
PERCEIVER_DROPS = {r"region_perceiver\.region_position_embed\.weight": "the authors' code never uses it"}
CODEBOOK_DROPS = {
    r"region_perceiver\.quantizer\..*": "the same tensors as quantizer.*, saved twice",
    r"quantizer\.codebooks\.\d+\.(initted|step|codebook_used|ema_usage)": "counters of training",
    PROJECTED_CODEBOOK: "codes as region vectors, from which the tables cannot be had back",
}
PAPER_TIME_DROPS = {
    r"model\.vision_tower\.vision_tower\.image_encoder\.proj": TOWER_DROPS[r"visual\.proj"],
    r"model\.vision_tower\.vision_tower\.region_perceiver\.region_position_embed\.weight": "the authors' code never "
    "uses it",
}
TOWER_GIVEN = {r"model\.vision_tower\.vision_tower\.image_encoder\..*": "the file of --vision is used"}
PERCEIVER_GIVEN = {r"model\.vision_tower\.vision_tower\.region_perceiver\..*": "the file of --perceiver is used"}


def tower_origins(layers: int, prefix: str = TOWER) -> dict[str, Origin]:
    """Our ``vision.*`` from an OpenCLIP tower of ``layers`` blocks whose names begin with ``prefix``."""
    origins = dict(_copies(_TOWER, layers, prefix, "vision."))
    origins[f"vision.{_POSITIONS[1]}"] = Positions(prefix + _POSITIONS[0])
    for official, ours in _expand(dict([_PACKED]), layers):
        for index, part in enumerate("qkv"):
            origins["vision." + ours.format(part=part)] = Third(prefix + official, index)
    return origins


def perceiver_origins(stages: int, prefix: str = PERCEIVER) -> dict[str, Origin]:
    """Our ``perceiver.*`` from a Region Perceiver of ``stages`` scales whose names begin with ``prefix``."""
    return dict(_copies(_PERCEIVER, stages, prefix, "perceiver."))


def codebook_origins(tables: int) -> dict[str, Origin]:
    """Our ``codebook.*`` from a stage-2 checkpoint with ``tables`` modalities."""
    origins = dict(_copies(_CODEBOOK, 0, "", "codebook."))
    origins["codebook.tables"] = Stack(tuple(_TABLE.format(n=n) for n in range(tables)))
    return origins


def language_origins(ours: Iterable[str]) -> dict[str, Origin]:
    """Our ``language.*`` names, which are the official ones below a prefix, and both projectors."""
    origins: dict[str, Origin] = {name: Copy(name.removeprefix("language.")) for name in ours}
    return {**origins, **dict(_copies(_PROJECTORS, 0, "", ""))}


def stage_4_embedding(first: int, count: int) -> dict[str, Origin]:
    """Our token table from a stage-4 checkpoint, which keeps the ``count`` rows of the codes apart."""
    return {f"language.{EMBEDDING}": Override(STAGE_4_BASE, STAGE_4_CODES, first, count)}


def _copies(table: dict[str, str], count: int, prefix: str, our_prefix: str) -> Iterator[tuple[str, Origin]]:
    for official, ours in _expand(table, count):
        yield our_prefix + ours, Copy(prefix + official)


def _expand(table: dict[str, str], count: int) -> Iterator[tuple[str, str]]:
    """Every pair of names that the patterns of ``table`` stand for; other fields stay in ours."""
    for official, ours in table.items():
        for n in range(count) if "{n}" in official else (0,):
            for p in ("weight", "bias") if "{p}" in official else ("",):
                fields = {"{n}": str(n), "{p}": p}
                yield _fill(official, fields), _fill(ours, fields)


def _fill(pattern: str, fields: dict[str, str]) -> str:
    for field, value in fields.items():
        pattern = pattern.replace(field, value)
    return pattern
