"""One stage from a model folder and data to a better model folder, with figures from before and after.

A stage's folder holds `checkpoints/`, `tensorboard/`, `metrics.json` and, once it is done, `model/`.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch.utils.data import Dataset
from transformers import set_seed

from medsight_core.data.biomedparse import BiomedParse
from medsight_core.data.records import Conversations
from medsight_core.data.sequence import Selection
from medsight_core.errors import InputError
from medsight_core.model.loading import load_model
from medsight_core.model.medsight import MedSightModel
from medsight_core.model.processor import MedSightProcessor
from medsight_core.training.datasets import (
    ConversationDataset,
    RegionDataset,
    collate_conversations,
    collate_regions,
)
from medsight_core.training.recipe import Recipe
from medsight_core.training.sharding import assemble, join_processes
from medsight_core.training.stages import REGIONS, Stage
from medsight_core.training.trainer import Progress, StageTrainer, last_whole_checkpoint

T = TypeVar("T")


@dataclass(frozen=True)
class StageRun:
    """What to run.

    model: folder to start from. data: meta JSON of BiomedParse folders, or a file of conversations.
    folder: of this run. options: of the stage's task. official: labels, slots and masks as the authors train.
    fsdp: spread the model over the processes, for models that fit no single device.
    root: folder that file names in conversations start from; the file's own when None.
    """

    stage: Stage
    model: Path
    data: Path
    folder: Path
    recipe: Recipe
    options: Mapping[str, Any] = field(default_factory=dict)
    official: bool = False
    fsdp: bool = False
    root: Path | None = None


def run_stage(run: StageRun, resume: bool = False, progress: Progress | None = None) -> dict[str, Any]:
    """Train one stage; returns what `metrics.json` holds, figures of "start" and "end" among it.

    resume: go on from the last whole checkpoint of the folder; a finished stage is left as it is.
    Raises InputError when the folder holds an earlier run and ``resume`` is false, and for data that cannot be used.
    """
    finished, figures = run.folder / "model", run.folder / "metrics.json"
    earlier: dict[str, Any] = {}
    if resume and figures.is_file():
        earlier = json.loads(figures.read_text())
        _check_same(run, earlier)
        if finished.is_dir():
            return earlier
    if not resume and (finished.exists() or last_whole_checkpoint(run.folder)):
        raise InputError(f"'{run.folder}' holds an earlier run: give another folder, or --resume to go on with it.")
    if run.fsdp:
        if run.stage.data == REGIONS:
            raise InputError(f"The stage {run.stage.name} trains no language model: leave out --fsdp.")
        if run.recipe.optimizer == "muon":
            raise InputError("Muon needs whole matrices and --fsdp splits them: use --set optimizer=adamw.")
        join_processes()
    set_seed(run.recipe.seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined] # nothing here reads it
    model, processor = load_model(run.model, merge=False)
    if run.fsdp and model.config.base_language:
        raise InputError(
            f"'{run.model}' trains an adapter of {model.config.base_language}, which fits one device: leave out --fsdp."
        )
    train, held_out, collate = datasets_of(run, processor)
    if not len(held_out):  # type: ignore[arg-type]
        raise InputError(f"'{run.data}' holds one image, which cannot both train and measure: give more.")
    if len(train) < run.recipe.batch:  # type: ignore[arg-type]
        raise InputError(
            f"There are {len(train)} records to train on and a batch is {run.recipe.batch}: give more data, or a "  # type: ignore[arg-type]
            "smaller --batch."
        )
    task = run.stage.build(model, run.options)
    checkpoint = last_whole_checkpoint(run.folder) if resume else None
    task.start()
    report = earlier if checkpoint else {}
    report |= {"stage": run.stage.name, "metric": run.stage.metric, "samples": len(train)}  # type: ignore[arg-type]
    report |= _settings(run)

    def begin() -> None:
        if checkpoint is None:
            report["start"] = trainer.measure()
        if trainer.is_world_process_zero():
            run.folder.mkdir(parents=True, exist_ok=True)
            _write(figures, report)

    trainer = StageTrainer(task, run.recipe, run.folder, train, held_out, collate, begin, progress, run.fsdp)
    begun = time.monotonic()
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    report |= {"end": trainer.measure(), "steps": trainer.state.global_step}
    report["seconds"] = report.get("seconds", 0.0) + round(time.monotonic() - begun, 1)
    weights = trainer.accelerator.get_state_dict(trainer.model) if run.fsdp else {}  # the first process gets them all
    if trainer.is_world_process_zero():
        trained = trainer.task
        if run.fsdp:
            trained = assemble(lambda whole: run.stage.build(whole, run.options), processor.config, weights)
        trained.finish()
        _write(figures, report)
        save_model(trained.model, processor, finished)
    trainer.accelerator.wait_for_everyone()
    return report


def _settings(run: StageRun) -> dict[str, Any]:
    """What the result depends on, as `metrics.json` keeps it."""
    return {
        "model": str(run.model.absolute()),
        "data": str(run.data.absolute()),
        "recipe": asdict(run.recipe),
        "options": dict(run.options),
        "official": run.official,
    }


def _check_same(run: StageRun, earlier: Mapping[str, Any]) -> None:
    """Raise InputError unless a run goes on as it was begun; how often it saves and logs may change."""
    free = ("save_every", "log_every", "workers")
    for group, now in _settings(run).items():
        before = earlier.get(group)
        if not isinstance(now, dict):
            now, before = {group: now}, {group: before}
        for name, value in now.items():
            was = (before or {}).get(name)
            if name not in free and was != value:
                raise InputError(
                    f"The run in '{run.folder}' was begun with {name} = {was} and this is {value}: go on with the "
                    "same, or give another folder."
                )


def datasets_of(run: StageRun, processor: MedSightProcessor) -> tuple[Dataset, Dataset, Any]:
    """Training data, held-out data and how their batches form."""
    recipe = run.recipe
    if run.stage.data == REGIONS:
        source = BiomedParse(run.data)
        limit = processor.config.perceiver_config.num_classes
        if len(source.categories) > limit:
            raise InputError(
                f"The data has {len(source.categories)} categories and the model {limit} classes: start from a model "
                "with as many."
            )
        size = recipe.target_size or None
        parts = source.split(recipe.held_out, recipe.seed)
        train, held_out = (
            RegionDataset(part, processor, size, antialias=not run.official, keep=recipe.keep_in_memory)
            for part in parts
        )
        return train, held_out, collate_regions
    conversations = Conversations(run.data, run.root)
    longest = min(recipe.max_length, processor.config.text_config.max_position_embeddings)
    # By image: what is measured must not have been seen in another conversation.
    keys = [str(record.images[0]) if record.images else record.id for record in conversations]
    train_part, held_part = split(conversations, keys, recipe.held_out, recipe.seed)
    return (
        ConversationDataset(train_part, processor, longest, run.official),
        ConversationDataset(held_part, processor, longest, run.official),
        collate_conversations,
    )


def split(records: Sequence[T], keys: Sequence[str], held_out: float, seed: int) -> tuple[Selection[T], Selection[T]]:
    """Records to train on and records that only measure, the same for the same seed; equal keys stay together."""
    groups = list(dict.fromkeys(keys))
    random.Random(seed).shuffle(groups)
    measured = set(groups[: min(max(1, round(held_out * len(groups))), len(groups) - 1)])
    train = [index for index, key in enumerate(keys) if key not in measured]
    return Selection(records, train), Selection(records, [index for index, key in enumerate(keys) if key in measured])


def save_model(model: MedSightModel, processor: MedSightProcessor, folder: Path) -> None:
    """Write a model folder, which appears whole or not at all."""
    temporary = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    model.save_pretrained(temporary)
    processor.save_pretrained(temporary)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.replace(folder)


def _write(path: Path, report: Mapping[str, Any]) -> None:
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(report, indent=2))
    temporary.replace(path)
