"""The authors' files, tiny and random, in exactly the formats of model-spec section 7, from a tiny model of ours.

The names come from the reference (`reference/official_names.py`), which shares nothing with the converter.
"""

from __future__ import annotations

import argparse
import json
import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from reference.official_names import codebook_names, official_state, perceiver_names, vision_names
from reference.seeding import seed_every_parameter
from safetensors.torch import save_file
from tiny_model import tiny_config
from tokenizers import pre_tokenizers
from torch import Tensor

from medsight_core.model.medsight import MedSightModel

OVERRIDES = {
    "vision_config": {"num_attention_heads": 2, "image_size": 56},
    "perceiver_config": {"num_heads": 2, "head_dim": 8},
}
PAPER_TIME = "model.vision_tower.vision_tower."
# Heads of 64 channels and images of 336 pixels, as the authors have: no size has to be told.
LIKE_THE_OFFICIAL = {
    "vision_config": {
        "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 1, "image_size": 336,
        "patch_size": 14, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5,
    },
    "perceiver_config": {"num_queries": 5, "num_heads": 1, "head_dim": 64, "ffn_ratio": 1, "num_classes": 17},
    "codebook_config": {"num_modalities": 18, "num_codes": 32, "code_dim": 8},
    "vision_layer": -2,
}  # fmt: skip


@dataclass(frozen=True)
class Official:
    """Where the files are, and the model that they were made from."""

    model: MedSightModel
    llm: Path
    perceiver: Path
    vision: Path
    codebook: Path
    projected: Path

    def options(self, **changes: object) -> list[str]:
        """Options of ``medsight convert``; a change to None leaves one out."""
        chosen = {"llm": self.llm, "perceiver": self.perceiver, "vision": self.vision, "codebook": self.codebook}
        chosen = {name: value for name, value in {**chosen, **changes}.items() if value is not None}
        return [text for name, value in chosen.items() for text in (f"--{name.replace('_', '-')}", str(value))]


def write_official(root: Path, layout: str = "final", seed: int = 0, talks: bool = False, **config) -> Official:
    """Write all files below ``root``.

    layout: "final", "stage-4" or "paper-time" of the language model's folder.
    talks: let it answer everything with "[M0_16]"; otherwise its replies are arbitrary and long.
    """
    torch.manual_seed(seed)
    model = MedSightModel(tiny_config(**config)).eval()
    seed_every_parameter(model, seed)
    if talks:
        teach_to_talk(model)
    official = Official(
        model,
        root / "medsight_full_instruct",
        root / "region_perceiver" / "0079280.pt",
        root / "unimed_clip_vit_l14_base_text_encoder.pt",
        root / "0035673.pt",
        root / "projected_codebook.pt",
    )
    for folder in (official.llm, official.perceiver.parent):
        folder.mkdir(parents=True)
    state = model.state_dict()
    save_trained(official.perceiver, perceiver_state(state), 79280)
    save_trained(official.codebook, codebook_names(part(state, "codebook.")), 35673)
    torch.save(model.codebook.token_vectors().detach(), official.projected)
    save_clip(official.vision, vision_state(state))
    write_language_model(official.llm, model, layout)
    return official


@torch.no_grad()
def teach_to_talk(model: MedSightModel) -> None:
    """Channel 0 of every position says "now the code", channel 1 of the code's own says "now the end"."""
    code, end, loud = model.config.first_code_token + 16, 256, 1000.0
    table, head = model.get_input_embeddings().weight, model.language.lm_head.weight
    table[:, 0] += loud
    model.image_to_text[2].bias[0] += loud
    table[code, :2] = torch.tensor([0.0, loud])
    model.language.model.norm.weight.fill_(1.0)
    head.zero_()
    head[code, 0] = head[end, 1] = 1.0


def part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def perceiver_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Section 7.1, with the table that nothing uses."""
    named = perceiver_names(part(state, "perceiver."))
    _, queries, width = named["region_perceiver.region_queries"].shape
    return {**named, "region_perceiver.region_position_embed.weight": torch.randn(queries, width)}


def vision_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The visual tower under OpenCLIP's names, with its projection."""
    named = vision_names(part(state, "vision."))
    return {**named, "visual.proj": torch.randn(named["visual.conv1.weight"].shape[0], 12)}


def save_trained(path: Path, state: dict[str, Tensor], steps: int) -> None:
    """As the authors' trainer saves."""
    torch.save(
        {"model": state, "steps": steps, "args": argparse.Namespace(lr=1e-4, name="run", betas=(0.9, 0.99))}, path
    )


def save_clip(path: Path, visual: dict[str, Tensor]) -> None:
    """As UniMed-CLIP is published: a training state of a wrapped model with both towers."""
    text = {"text_encoder.embeddings.weight": torch.randn(7, 3), "logit_scale": torch.tensor(4.6)}
    state = {f"module.{key}": value for key, value in {**visual, **text}.items()}
    torch.save({"epoch": 10, "name": "unimed", "state_dict": state}, path)


def write_language_model(folder: Path, model: MedSightModel, layout: str) -> None:
    """Shards with their index, config.json and the tokenizer's files."""
    state = model.state_dict()
    tensors = {**part(state, "language."), **projectors(state)}
    if layout == "stage-4":
        first = model.config.first_code_token
        table = tensors.pop("model.embed_tokens.weight")
        base = table.clone()
        base[first:] = 7.0  # what the codes' own table hides
        tensors["model.embed_tokens.base_emb.weight"] = base
        tensors["model.embed_tokens.codebook_emb.weight"] = table[first:].clone()
    if layout == "paper-time":
        visual, perceiver = vision_state(state), perceiver_state(state)
        tensors |= {key.replace("visual.", f"{PAPER_TIME}image_encoder.", 1): value for key, value in visual.items()}
        tensors |= {f"{PAPER_TIME}{key}": value for key, value in perceiver.items()}
    save_shards(folder, tensors)
    (folder / "config.json").write_text(json.dumps(official_json(model.config)))
    write_tokenizer(folder, model.config.codebook_config.code_tokens)


def projectors(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value for key, value in official_state(state).items() if key.startswith("model.")}


def save_shards(folder: Path, tensors: dict[str, Tensor], count: int = 2) -> None:
    """Real shards with their index."""
    for file, names in _shared_out(folder, tensors, count).items():
        save_file({name: tensors[name].contiguous() for name in names}, folder / file, metadata={"format": "pt"})


def save_hollow_shards(folder: Path, shapes: dict[str, tuple[int, ...]], count: int) -> None:
    """Valid fp32 shards of any size that take no room: their numbers, all zero, are a hole in the file."""
    for file, names in _shared_out(folder, shapes, count).items():
        header, end = {}, 0
        for name in names:
            begin, end = end, end + 4 * math.prod(shapes[name])
            header[name] = {"dtype": "F32", "shape": list(shapes[name]), "data_offsets": [begin, end]}
        text = json.dumps(header).encode()
        with (folder / file).open("wb") as shard:
            shard.write(struct.pack("<Q", len(text)) + text)
            shard.truncate(8 + len(text) + end)


def _shared_out(folder: Path, names: Iterable[str], count: int) -> dict[str, list[str]]:
    """Names by file, which the index in ``folder`` now says."""
    files = [f"model-{number:05}-of-{count:05}.safetensors" for number in range(1, count + 1)]
    shared = {file: list(names)[index::count] for index, file in enumerate(files)}
    index = {"metadata": {}, "weight_map": {name: file for file, mine in shared.items() for name in mine}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return shared


def official_json(config) -> dict:
    """config.json of section 7.4 for the sizes of ``config``."""
    text = config.text_config
    return {
        "architectures": ["RegSegForCausalLM"], "model_type": "llava_qwen", "vocab_size": text.vocab_size,
        "hidden_size": text.hidden_size, "intermediate_size": text.intermediate_size, "head_dim": text.head_dim,
        "num_hidden_layers": text.num_hidden_layers, "num_attention_heads": text.num_attention_heads,
        "num_key_value_heads": text.num_key_value_heads, "rms_norm_eps": 1e-6, "rope_theta": 1000000,
        "rope_scaling": None, "hidden_act": "silu", "attention_bias": False, "tie_word_embeddings": False,
        "max_position_embeddings": 40960, "sliding_window": None, "use_sliding_window": False, "max_window_layers": 36,
        "use_cache": False, "torch_dtype": "bfloat16", "transformers_version": "4.52.4",
        "mm_hidden_size": config.vision_config.hidden_size, "mm_projector_type": "mlp2x_gelu",
        "mm_vision_select_layer": config.vision_layer, "mm_vision_select_feature": "patch",
        "mm_vision_vq_type": "RegTok", "use_sep_proj": False, "mm_patch_merge_type": "flat",
        "image_aspect_ratio": "square", "tokenizer_model_max_length": 2048, "tokenizer_padding_side": "right",
    }  # fmt: skip


def write_tokenizer(folder: Path, code_tokens: list[str], first: int = 258) -> None:
    """The files of a Qwen2Tokenizer as transformers 4.52 saves them: one token a byte, codes as ordinary added tokens.

    first: id of the first code; ids before it that no byte has belong to words that nobody writes.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    alphabet += [f"unused{index}" for index in range(len(alphabet), first - 2)]
    controls = {"<|im_end|>": first - 2, "<|im_start|>": first - 1}
    added = {**controls, **{token: first + index for index, token in enumerate(code_tokens)}}
    flags = {"lstrip": False, "rstrip": False, "single_word": False}
    decoder = {
        str(index): {"content": token, "normalized": token not in controls, "special": token in controls, **flags}
        for token, index in added.items()
    }
    files = {
        "vocab.json": {letter: index for index, letter in enumerate(alphabet)},
        "added_tokens.json": added,
        "special_tokens_map.json": {"eos_token": "<|im_end|>", "additional_special_tokens": ["<|im_start|>"]},
        "tokenizer_config.json": {
            "tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": decoder, "eos_token": "<|im_end|>",
            "additional_special_tokens": ["<|im_start|>"], "add_prefix_space": False, "errors": "replace",
            "bos_token": None, "unk_token": None, "pad_token": "<|im_end|>", "model_max_length": 2048,
        },
    }  # fmt: skip
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n")
