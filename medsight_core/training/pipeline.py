"""All stages one after another, each from the last one's model, with the data that the later ones need made between.

In the folder: `tower/` (if wanted), `perceiver/`, `codebook/`, `data/`, `align-vision/`, `align-text/`, `instruct/`,
and at the end `model/`. What is finished is not done again, so a stopped run goes on where it was.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medsight_core.data.biomedparse import BiomedParse
from medsight_core.data.coded import read_coded, write_coded
from medsight_core.data.converse import write_conversations
from medsight_core.data.converse_by_template import TemplateAuthor, text_conversations
from medsight_core.data.records import Conversation, Conversations, to_record
from medsight_core.data.sequence import Selection
from medsight_core.data.targets import Inventory
from medsight_core.errors import InputError
from medsight_core.model.loading import load_model, read_config
from medsight_core.training.label_codes import label_codes, names_of_codes
from medsight_core.training.presets import Preset
from medsight_core.training.run import StageRun, run_stage, save_model
from medsight_core.training.stages import PAPER_STAGES, REGIONS, STAGES, Stage

# Of conversations about images with a line of detections: images are dear to look at, turns are cheap.
_TURNS, _MOST_MASKS = (4, 8), 12

# What is going on, how much of it is done (0..1), and the last figures of the loss.
Report = Callable[[str, float, Mapping[str, float]], None]


@dataclass(frozen=True)
class Plan:
    """What `train_all` is given.

    model: folder to start from. regions: meta JSON of BiomedParse folders. descriptions: conversations without masks;
        made up about lines of detections when None, for models that are told detections.
    grounded: conversations with masks; made from ``regions`` with the model's own codes when None.
    with_tower: begin with stage 0, for a tower that was not pretrained.
    made_up: how many conversations without an image are written where there are no descriptions.
    talked_about: how many images, drawn at random, are given codes and conversations; all of them when None.
    """

    model: Path
    regions: Path
    descriptions: Path | None
    folder: Path
    preset: Preset
    grounded: Path | None = None
    with_tower: bool = False
    official: bool = False
    seed: int = 0
    conversations_per_image: int = 2
    made_up: int = 6000
    talked_about: int | None = None

    @property
    def root(self) -> Path:
        """The folder that file names in the data made here start from: it holds all images."""
        given = [path for path in (self.regions, self.descriptions, self.grounded) if path is not None]
        return Path(os.path.commonpath([path.absolute().parent for path in given]))


def train_all(plan: Plan, report: Report, resume: bool = False) -> dict[str, dict[str, Any]]:
    """Run all stages; returns each stage's figures by its name. The trained model is in ``plan.folder / "model"``.

    Raises InputError when the folder holds an earlier run and ``resume`` is false, for several processes (stages run in
    these one by one), for descriptions that are missing and cannot be made up, and for images that do not lie below the
    folder of the data's own files.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("All stages run in one process: start stage by stage with torchrun, or leave torchrun out.")
    if plan.descriptions is None:
        _check_makes_up(plan)
    for dataset in BiomedParse(plan.regions).datasets:
        if len(dataset) and not dataset[0].path.absolute().is_relative_to(plan.root):
            raise InputError(
                f"The images of '{dataset.name}' do not lie below '{plan.root}': move the meta file above all images."
            )
    if plan.folder.exists() and any((plan.folder / name).exists() for name in STAGES) and not resume:
        raise InputError(f"'{plan.folder}' holds an earlier run: give another folder, or --resume to go on with it.")
    figures: dict[str, dict[str, Any]] = {}
    model, made = plan.model, plan.folder / "data"
    made.mkdir(parents=True, exist_ok=True)
    data: dict[str, tuple[Path, Path | None]] = {}
    for name in (*(["tower"] if plan.with_tower else []), *PAPER_STAGES):
        stage = STAGES[name]
        if name == "align-vision":
            if plan.grounded is None:
                model = _ground(plan, model, made, report)
                data["align-text"] = (made / "grounded.jsonl", plan.root)
            else:
                data["align-text"] = (plan.grounded, None)
            spoken = (plan.descriptions or made / "text.jsonl", None)
            _join(made / "instruct.jsonl", plan.root, data["align-text"], spoken)
            data["instruct"] = (made / "instruct.jsonl", plan.root)
            # Made-up conversations teach nothing of images: the first language stage needs both.
            data["align-vision"] = spoken if plan.descriptions else data["instruct"]
        source, root = (plan.regions, None) if stage.data == REGIONS else data[name]
        figures[name] = _run(plan, stage, model, source, root, report)
        model = plan.folder / name / "model"
    final = plan.folder / "model"
    if not final.is_dir():
        save_model(*load_model(model, merge=False), final)
    return figures


def _check_makes_up(plan: Plan) -> None:
    """Raise InputError unless descriptions can be made up."""
    if not read_config(plan.model).show_detections:
        raise InputError(
            f"Descriptions cannot be made up for the model in '{plan.model}', which is not told detections: give "
            "--descriptions."
        )
    if plan.grounded is not None:
        raise InputError(
            f"Descriptions are made up only beside grounded conversations, and those of '{plan.grounded}' are given: "
            "give --descriptions too."
        )


def _run(plan: Plan, stage: Stage, model: Path, data: Path, root: Path | None, report: Report) -> dict[str, Any]:
    recipe, options = plan.preset.settings(stage, plan.official)
    run = StageRun(stage, model, data, plan.folder / stage.name, recipe, options, plan.official, root=root)

    def step(done: int, count: int, last: Mapping[str, float]) -> None:
        report(f"Stage {stage.number}, {stage.name}", done / count, last)

    return run_stage(run, resume=True, progress=step)


def _ground(plan: Plan, model: Path, made: Path, report: Report) -> Path:
    """Write conversations with the codes of a stage-2 model; returns that model with the names its codes turned out to
    have."""
    coded, named = made / "coded.jsonl", made / "model"
    if not named.is_dir():
        loaded, processor = load_model(model, merge=False)
        regions = BiomedParse(plan.regions)
        count = min(plan.talked_about or len(regions), len(regions))
        labelled = label_codes(
            loaded,
            processor,
            Selection(regions, sorted(random.Random(plan.seed).sample(range(len(regions)), count))),
            target_size=plan.preset.settings(STAGES["codebook"])[0].target_size or None,
            progress=lambda done, count: report("Naming the code of each mask", done / count, {}),
        )
        write_coded(coded, labelled, plan.root)
        loaded.config.names_of_codes = names_of_codes(read_coded(coded, plan.root))
        save_model(loaded, processor, named)
    images = read_coded(coded, plan.root)
    config = read_config(named)
    if config.show_detections:
        order = config.class_names
        author = TemplateAuthor(images, plan.seed, True, _TURNS, _MOST_MASKS, order)
        if plan.descriptions is None:
            series = Inventory(images).series()
            _write(made / "text.jsonl", text_conversations(series, plan.made_up, plan.seed, _TURNS, order), plan.root)
    else:
        author = TemplateAuthor(images, plan.seed)
    write_conversations(
        images,
        author,
        made / "grounded.jsonl",
        plan.root,
        plan.conversations_per_image,
        lambda done: report("Writing conversations", done, {}),
    )
    return named


def _join(path: Path, root: Path, *sources: tuple[Path, Path | None]) -> None:
    """One file with the conversations of several, names starting from ``root``."""
    _write(path, (each for source, start in sources for each in Conversations(source, start)), root)


def _write(path: Path, conversations: Iterable[Conversation], root: Path) -> None:
    part = path.with_name(f".{path.name}")
    with part.open("w", encoding="utf-8") as file:
        for conversation in conversations:
            file.write(json.dumps(to_record(conversation, root), ensure_ascii=False) + "\n")
    part.replace(path)
