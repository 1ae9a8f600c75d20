"""Named numbers for the stages: "paper" is the paper's; "demo" makes the shipped model; "smoke" shows that all works.

"demo" takes two to three hours on two cores, "smoke" minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from medsight_core.errors import InputError
from medsight_core.model.config import MedSightConfig
from medsight_core.training.recipe import Recipe
from medsight_core.training.stages import Stage


@dataclass(frozen=True)
class Preset:
    """Changes to the recipe and to the task's options of some stages, by the stage's name."""

    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def settings(self, stage: Stage, official: bool = False) -> tuple[Recipe, dict[str, Any]]:
        """The recipe and options of a stage; the authors' options instead of ours with ``official``."""
        recipe = replace(stage.recipe, **self.recipes.get(stage.name, {}))
        return recipe, {**(stage.authors if official else stage.ours), **self.options.get(stage.name, {})}


_FAST = {
    "floor": 0.02,
    "by_epoch": False,
    "warm_up": 0.05,
    "precision": "fp32",
    "checkpointing": False,
    "held_out": 0.1,
}
_REGIONS = {**_FAST, "target_size": 48, "beta2": 0.99}
_DEMO = {
    **_REGIONS,
    "precision": "auto",
    "target_size": 96,
    "keep_in_memory": True,
    "held_out": 0.01,
    "save_every": 100,
}
_TALK = {**_FAST, "precision": "auto", "held_out": 0.01, "save_every": 100}
_MUON = {"optimizer": "muon"}  # from random weights it needs a fraction of AdamW's steps
# Neither tower nor language model was pretrained.
_FROM_SCRATCH = {"perceiver": {"train_tower": True}, "align-vision": {"train_language": True}}

PRESETS: dict[str, Preset] = {
    "paper": Preset(),
    "smoke": Preset(
        recipes={
            "tower": {**_REGIONS, **_MUON, "steps": 100, "batch": 16, "learning_rate": 4e-3, "tower_rate": 1.0},
            "perceiver": {**_REGIONS, **_MUON, "steps": 100, "batch": 12, "learning_rate": 3e-3, "tower_rate": 0.5},
            "codebook": {**_REGIONS, "steps": 100, "batch": 16, "learning_rate": 2e-3},
            "align-vision": {**_FAST, **_MUON, "steps": 60, "batch": 8, "learning_rate": 2e-3},
            "align-text": {**_FAST, "steps": 80, "batch": 8, "learning_rate": 3e-3},
            "instruct": {**_FAST, **_MUON, "steps": 220, "batch": 8, "learning_rate": 2e-3},
        },
        options=_FROM_SCRATCH,
    ),
    "demo": Preset(
        recipes={
            "tower": {**_DEMO, **_MUON, "steps": 1100, "batch": 16, "learning_rate": 4e-3, "tower_rate": 1.0},
            "perceiver": {**_DEMO, **_MUON, "steps": 2100, "batch": 12, "learning_rate": 3e-3, "tower_rate": 0.5},
            "codebook": {**_DEMO, "steps": 200, "batch": 16, "learning_rate": 2e-3},
            "align-vision": {**_TALK, **_MUON, "steps": 1400, "batch": 8, "learning_rate": 2e-3},
            "align-text": {**_TALK, "steps": 150, "batch": 8, "learning_rate": 3e-3},
            "instruct": {**_TALK, **_MUON, "steps": 5200, "batch": 8, "learning_rate": 2e-3},
        },
        options={
            **_FROM_SCRATCH,
            "perceiver": {"train_tower": True, "named_share": 0.6, "decode_share": 0.0, "coarse_steps": 400},
            "align-text": {"query_weight": 1.0},
            "instruct": {"query_weight": 1.0},
        },
    ),
}


def find_preset(name: str) -> Preset:
    """The preset of a name; InputError naming all of them for another."""
    if name not in PRESETS:
        raise InputError(f"There is no preset {name!r}: use one of {', '.join(PRESETS)}.")
    return PRESETS[name]


def smoke_config(vocab_size: int, first_code_token: int) -> MedSightConfig:
    """A model of about a million parameters for 96 x 96 pictures: 8 x 8 patches, 32 x 32 masks."""
    return MedSightConfig(
        vision_config={
            "hidden_size": 64,
            "intermediate_size": 256,
            "num_hidden_layers": 4,
            "num_attention_heads": 2,
            "image_size": 96,
            "patch_size": 12,
            "hidden_act": "quick_gelu",
            "layer_norm_eps": 1e-5,
        },
        perceiver_config={
            "num_queries": 12,
            "num_stages": 2,
            "num_heads": 2,
            "head_dim": 32,
            "ffn_ratio": 2,
            "num_classes": 17,
        },
        codebook_config={"num_modalities": 18, "num_codes": 32, "code_dim": 32},
        text_config={
            "model_type": "qwen3",
            "vocab_size": vocab_size,
            "hidden_size": 128,
            "intermediate_size": 384,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 32,
            "max_position_embeddings": 1024,
            "tie_word_embeddings": False,
        },
        first_code_token=first_code_token,
        vision_layer=-1,
        presence="class",
        square_planes=True,
        frame="body",
        orientations=("axial",),
        ct_window="abdomen",
        max_new_tokens=96,
        licence="Apache-2.0",
        version="smoke",
    )
