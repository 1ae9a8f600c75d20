"""The shipped small model's sizes and switches: what `make demo-model` trains."""

from __future__ import annotations

from medsight_core.model.config import MedSightConfig
from medsight_core.terminology import split_side
from sample_data.generate.folders import CATEGORIES
from sample_data.generate.sources import SOURCES

CLASS_NAMES = ("", *CATEGORIES[1:])  # the first is the background, which nobody asks for
MODALITIES = {"brain MRI": "MR", "chest CT": "CT", "head CT": "CT", "abdominal CT": "CT", "fetal ultrasound": "US"}


def names_by_modality() -> dict[str, list[str]]:
    """What may be asked for in images of each modality; also without a side, as on sagittal planes."""
    names: dict[str, list[str]] = {"MR": [], "CT": [], "US": []}
    for source in SOURCES:
        own = names[MODALITIES[source.kind.title]]
        for name in source.names:
            side, base = split_side(name)
            own += [each for each in ((name, base) if side else (name,)) if each not in own]
    return names


def demo_config(vocab_size: int, first_code_token: int) -> MedSightConfig:
    """48 x 48 patches of 192 pixels, 96 x 96 masks, a language model of four layers."""
    return MedSightConfig(
        vision_config={
            "model_type": "medsight_convolutional_tower",
            "hidden_size": 96,
            "image_size": 192,
            "widths": (32, 64, 128, 192, 256),
            "patch_size": 4,
        },
        perceiver_config={
            "num_queries": 32,  # a plane of a brain shows up to 27 of its structures
            "num_stages": 1,
            "num_heads": 3,
            "head_dim": 32,
            "ffn_ratio": 2,
            "num_classes": len(CLASS_NAMES),
            "class_queries": True,
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
        presence="detected",
        class_names=CLASS_NAMES,
        show_detections=True,
        correct_words=True,
        pool_patches=8,  # a small language model reads 36 of them and 32 regions far faster than 2304
        square_planes=True,
        frame="body",
        modality_names=names_by_modality(),
        ct_window="chest",
        licence="Apache-2.0",
        version="5",
    )
