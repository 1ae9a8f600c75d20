"""The stages of training as data: what learns, from what, towards what, and how (model-spec sections 2 to 5).

Each stage names the authors' choices; ours differ where the specification's list of faults says so, by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Callable

from medsight_core.errors import InputError
from medsight_core.model.medsight import MedSightModel
from medsight_core.training.conversation_task import ConversationTask
from medsight_core.training.recipe import Recipe
from medsight_core.training.region_tasks import CodebookTask, RegionTask, TowerTask
from medsight_core.training.task import Task

REGIONS, CONVERSATIONS = "regions", "conversations"


@dataclass(frozen=True)
class Stage:
    """One stage.

    number: as the paper counts; 0 for what stands in for a pretrained tower.
    data: REGIONS (BiomedParse folders) or CONVERSATIONS (records of model-spec section 5).
    task: builds the task from the model and options. ours, authors: the options by default and with ``official``.
    metric: the figure that tells how good it is.
    recipe: the paper's numbers.
    """

    name: str
    number: int
    data: str
    task: Callable[..., Task]
    recipe: Recipe
    metric: str
    ours: Mapping[str, Any] = field(default_factory=dict)
    authors: Mapping[str, Any] = field(default_factory=dict)

    def build(self, model: MedSightModel, options: Mapping[str, Any]) -> Task:
        """The task of this stage around a model."""
        return self.task(model, **options)


_REGIONS = Recipe(learning_rate=1e-4, batch=48, epochs=20, beta2=0.99, floor=0.01, by_epoch=True)
_LANGUAGE = Recipe(learning_rate=2e-5, batch=32, epochs=3, warm_up=0.03, precision="auto", held_out=0.01)

STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage(
            name="tower",
            number=0,
            data=REGIONS,
            task=TowerTask,
            recipe=Recipe(learning_rate=1e-3, batch=16, epochs=10, tower_rate=1.0, beta2=0.99),
            metric="dice",
        ),
        Stage(
            name="perceiver",
            number=1,
            data=REGIONS,
            task=RegionTask,
            recipe=_REGIONS,
            metric="dice",
            ours={
                "no_object_weight": 0.1,
                "deep_supervision": 0.25,
                "decode_share": 0.3,
                "named_share": 0.0,
                "coarse_steps": 0,
                "train_tower": False,
            },
            authors={
                "no_object_weight": 0.0,
                "deep_supervision": 0.0,
                "decode_share": 0.0,
                "named_share": 0.0,
                "coarse_steps": 0,
                "train_tower": False,
            },
        ),
        Stage(
            name="codebook",
            number=2,
            data=REGIONS,
            task=CodebookTask,
            recipe=replace(_REGIONS, batch=16, epochs=3),
            metric="dice",
            ours={
                "straight_through": True,
                "unit_losses": True,
                "revive_every": 25,
                "reconstruction_weight": 1.0,
                "commit_weight": 1.0,
            },
            authors={
                "straight_through": False,
                "unit_losses": False,
                "revive_every": 0,
                "reconstruction_weight": 2.0,
                "commit_weight": 0.25,
            },
        ),
        Stage(
            name="align-vision",
            number=3,
            data=CONVERSATIONS,
            task=partial(ConversationTask, trainable=("image_to_text.",), with_masks=False),
            recipe=replace(_LANGUAGE, batch=128, epochs=1),
            metric="cross_entropy",
            ours={"train_language": False, "per_conversation": False},
            authors={"train_language": False, "per_conversation": True},
        ),
        Stage(
            name="align-text",
            number=4,
            data=CONVERSATIONS,
            task=partial(ConversationTask, trainable=("text_to_image.",), with_masks=True, code_rows=True),
            recipe=replace(_LANGUAGE, learning_rate=5e-4, batch=8),
            metric="dice",
            ours={
                "start_codes": True,
                "code_outputs": True,
                "query_scale": 0.05,
                "per_conversation": False,
                "train_inputs": True,
                "query_weight": 0.0,
            },
            authors={
                "start_codes": True,
                "code_outputs": False,
                "query_scale": 1.0,
                "per_conversation": True,
                "train_inputs": True,
                "query_weight": 0.0,
            },
        ),
        Stage(
            name="instruct",
            number=5,
            data=CONVERSATIONS,
            task=partial(
                ConversationTask, trainable=("language.", "image_to_text.", "text_to_image."), with_masks=True
            ),
            recipe=replace(_LANGUAGE, checkpointing=True),
            metric="code_accuracy",
            ours={"per_conversation": False, "train_inputs": True, "query_weight": 0.0},
            authors={"per_conversation": True, "train_inputs": True, "query_weight": 0.0},
        ),
    )
}
PAPER_STAGES = tuple(stage.name for stage in STAGES.values() if stage.number)


def find_stage(name: str) -> Stage:
    """The stage of a name; InputError naming all of them for another."""
    if name not in STAGES:
        raise InputError(f"There is no stage {name!r}: use one of {', '.join(STAGES)}.")
    return STAGES[name]
