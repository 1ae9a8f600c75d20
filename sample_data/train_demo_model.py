"""Train the first-light model of ``sample_data/demo_model`` on the sample volumes.

    python -m sample_data.train_demo_model --out sample_data/demo_model

Takes about an hour and a half on two cores. Each phase saves its state in ``--work``; a second run goes on with the
phase that is not there yet. The figures of the model card come from ``benchmarks/demo_model.py``.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoTokenizer

from medsight_core.model.config import CodebookConfig, MedSightConfig
from medsight_core.model.medsight import MedSightModel
from medsight_core.model.processor import MedSightProcessor
from sample_data.fetch import fetch
from sample_data.training.concepts import CONCEPTS
from sample_data.training.language import encode_planes, train_language, train_tokenizer
from sample_data.training.planes import ORIENTATIONS, load_planes
from sample_data.training.vision import Scaffold, train_tower, train_vision

SEED = 20261124
SIDE = 192
BATCH = 8
PICTURES = 640  # augmented planes that the language model sees


def demo_config(vocab_size: int, first_code_token: int) -> MedSightConfig:
    """Sizes of the first-light model: 16 x 16 patches, 64 x 64 masks, a language model of 4 layers."""
    by_modality: dict[str, list[str]] = {}
    for concept in CONCEPTS:
        by_modality.setdefault(concept.modality, []).append(concept.name)
    return MedSightConfig(
        vision_config={
            "hidden_size": 96,
            "intermediate_size": 384,
            "num_hidden_layers": 8,
            "num_attention_heads": 3,
            "image_size": SIDE,
            "patch_size": 12,
            "hidden_act": "quick_gelu",
            "layer_norm_eps": 1e-5,
        },
        perceiver_config={
            "num_queries": 20,
            "num_stages": 2,
            "num_heads": 3,
            "head_dim": 32,
            "ffn_ratio": 2,
            "num_classes": len(CONCEPTS),
        },
        codebook_config={"num_modalities": 18, "num_codes": 32, "code_dim": 64},
        text_config={
            "model_type": "qwen3",
            "vocab_size": vocab_size,
            "hidden_size": 256,
            "intermediate_size": 768,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 64,
            "max_position_embeddings": 4096,
            "tie_word_embeddings": False,
        },
        first_code_token=first_code_token,
        vision_layer=-1,
        code_state="own",
        presence="class",
        presence_threshold=0.85,
        mask_threshold=0.75,  # the balanced mask loss makes masks generous; chosen on the training volumes
        square_planes=True,
        frame="body",
        orientations=ORIENTATIONS,
        names_of_codes={concept.code: concept.name for concept in CONCEPTS},
        modality_names=by_modality,
        ct_window="chest",
        licence="Apache-2.0",
        version="first-light-1",
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("sample_data/demo_model"))
    parser.add_argument("--studies", type=Path, default=Path("studies"))
    parser.add_argument("--work", type=Path, default=Path("runs/demo_model"))
    parser.add_argument("--start", type=Path, help="vision.safetensors of an earlier run to go on from")
    parser.add_argument("--language-start", type=Path, help="model folder of an earlier run whose language goes on")
    parser.add_argument("--tower-minutes", type=float, default=15.0)
    parser.add_argument("--vision-minutes", type=float, default=60.0)
    parser.add_argument("--language-minutes", type=float, default=20.0)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    paths = fetch(options.studies, ["ct-chest", "mr-brain"])
    planes = load_planes({name: str(path) for name, path in paths.items()}, SIDE)
    say(f"{len(planes.images)} planes")
    if options.language_start:
        tokenizer = AutoTokenizer.from_pretrained(options.language_start, local_files_only=True)
    else:
        tokenizer = train_tokenizer(CodebookConfig().code_tokens, random.Random(SEED))
    first_code = tokenizer.convert_tokens_to_ids("[M0_0]")
    model = MedSightModel(demo_config(len(tokenizer), first_code))
    processor = MedSightProcessor(model.config, tokenizer)
    scaffold = Scaffold(model.config.vision_config.hidden_size)
    parts = {"vision": model.vision, "perceiver": model.perceiver, "scaffold": scaffold}
    vision_file = options.work / "vision.safetensors"
    if vision_file.is_file():
        load_parts(vision_file, parts)
        say("vision: taken from an earlier run")
    else:
        if options.start:
            load_parts(options.start, parts)
        train_tower(model, planes, options.tower_minutes, 2 * BATCH, 2e-3, generator, say)
        partial = options.work / "vision-partial.safetensors"
        train_vision(
            model, scaffold, planes, options.vision_minutes, BATCH, 1e-3, generator, say,
            lambda: save_parts(partial, parts), warm_start=options.start is not None,
        )  # fmt: skip
        save_parts(vision_file, parts)
    model.eval()
    encoded = encode_planes(model, planes, PICTURES, generator)
    say(f"{len(encoded.scenes)} pictures encoded")
    seed = SEED
    if options.language_start:
        seed += 1  # other conversations than the first time
        earlier = MedSightModel.from_pretrained(options.language_start, dtype=torch.float32)
        model.load_state_dict(earlier.state_dict())
    train_language(
        model, processor, encoded, scaffold.queries.detach(), options.language_minutes, BATCH, 1.5e-3, seed, say,
        warm_start=options.language_start is not None,
    )  # fmt: skip
    # The codebook is untrained in first light and no part of answering; half precision halves the file.
    model.half().save_pretrained(options.out)
    processor.save_pretrained(options.out)
    say(f"saved to {options.out}")


def save_parts(path: Path, parts: dict[str, nn.Module]) -> None:
    """Write the state of some modules to one file, which appears whole or not at all."""
    tensors = {f"{part}.{key}": value for part, module in parts.items() for key, value in module.state_dict().items()}
    temporary = path.with_suffix(".tmp")
    save_file({key: value.contiguous() for key, value in tensors.items()}, temporary)
    temporary.replace(path)


def load_parts(path: Path, parts: dict[str, nn.Module]) -> None:
    """Read back what `save_parts` wrote."""
    tensors = load_file(path)
    for part, module in parts.items():
        prefix = f"{part}."
        module.load_state_dict({key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)})


def say(message: str) -> None:
    """Progress, with the time of day, at once."""
    print(time.strftime("%H:%M:%S"), message, flush=True)


if __name__ == "__main__":
    main()
