"""One stage of the whole training, from a version of the model to another version.

Adapting (`learn`) changes what the model sees; a stage trains its part anew as the paper does, on labelled images or
conversations. The rule is the same: what comes out is compared with what is served, on cases that only measure and on
the reference set, and is served if it is better. Knows the registry and the stages; where data come from is the
caller's business.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medsight_core.data.corrected_cases import Case, data_hash
from medsight_core.data.prepared import CONVERSATIONS, META
from medsight_core.engine.change_record import ChangeRecord
from medsight_core.engine.engine import Engine
from medsight_core.engine.promotion import Evaluation
from medsight_core.engine.registry import Registry
from medsight_core.errors import InputError
from medsight_core.files import file_hash
from medsight_core.model.loading import read_config
from medsight_core.model.processor import MedSightProcessor
from medsight_core.training.adapt import PREPARE, Compared, Progress, Report, Watch, split_cases, usable_cases
from medsight_core.training.learn import Lesson, score_of, writing
from medsight_core.training.presets import find_preset
from medsight_core.training.recipe import Recipe, used_precision
from medsight_core.training.run import StageRun, run_stage
from medsight_core.training.stage_data import write_regions, write_talk
from medsight_core.training.stages import REGIONS, Stage, find_stage

PLANES_PER_CASE = 40
PER_IMAGE = 2  # conversations


@dataclass(frozen=True)
class StageOptions:
    """How to train a stage.

    parent: version to start from, "" for what is served. data: folder of prepared data, None to learn from the cases.
    reference: a frozen set with labels. preset: whose numbers count; steps, batch, learning_rate: instead of its own,
    where positive.
    """

    parent: str = ""
    data: Path | None = None
    reference: Sequence[Case] = ()
    preset: str = "demo"
    steps: int = 0
    batch: int = 0
    learning_rate: float = 0.0
    seed: int = 0

    def recipe(self, stage: Stage) -> tuple[Recipe, dict[str, Any]]:
        """The recipe and the options of a stage's task. InputError for an unknown preset."""
        recipe, options = find_preset(self.preset).settings(stage)
        given: dict[str, Any] = {"steps": self.steps, "batch": self.batch, "learning_rate": self.learning_rate}
        return replace(recipe, seed=self.seed, **{name: value for name, value in given.items() if value}), options


def learn_stage(registry: Registry, name: str, cases: Sequence[Case], options: StageOptions, report: Report) -> Lesson:
    """Train one stage, keep the result as a version, serve it if the rule allows it.

    cases: to learn from, and to measure with; with prepared data they only measure, and there may be none. What
    ``report`` raises ends the training. Raises InputError when another training runs, for an unknown stage, when there
    is nothing to learn from and when the disk is full, NotFoundError for an unknown parent; nothing is kept then.
    """
    stage, begun = find_stage(name), time.monotonic()
    recipe, task_options = options.recipe(stage)
    with writing(registry), registry.work() as work:
        served = registry.current()
        parent = options.parent or served
        folder = registry.folder(parent)
        told: list[str] = []
        usable: list[Case] = []
        if cases or options.data is None:
            usable, told = usable_cases(cases, read_config(folder))
        train, held_out = split_cases(usable) if options.data is None else ([], usable)
        watch = Watch(report)
        before = watch.measure(Engine.load(registry.folder(served)), held_out, options.reference)

        def prepare(done: float) -> None:
            report(Progress(PREPARE, done))

        model, data, root = _data(stage, folder, train, options, work, prepare)
        run = StageRun(stage, model, data, work / "run", recipe, task_options, root=root)
        watch.begin()
        figures = run_stage(run, progress=lambda step, steps, last: watch.step(step, steps, 0, last))
        after = watch.measure(Engine.load(work / "run" / "model"), held_out, options.reference, others=train)
        new, known = (
            Compared.of(old, now, data_hash(of), options.seed)
            for old, now, of in zip(before, after, (held_out, options.reference))
        )
        content = data_hash(train) if train else _content(data)
        change = _change(stage, parent, served, figures, recipe, task_options, content, len(train), new, known, begun)
        evaluation = Evaluation(score_of(new), score_of(known))
        version = registry.publish(work / "run" / "model", parent, content, evaluation, change)
    return Lesson(version, registry.promote(version.name, instead_of=served), tuple(told))


def _data(
    stage: Stage, model: Path, train: Sequence[Case], options: StageOptions, work: Path, tell: Any
) -> tuple[Path, Path, Path | None]:
    """The model to start from, the stage's data, and the folder that its file names start from."""
    given = options.data
    if given is not None and stage.data != REGIONS and (given / CONVERSATIONS).is_file():
        return model, given / CONVERSATIONS, None
    if given is None:
        made = work / "data"
        made.mkdir()
        processor = MedSightProcessor.from_pretrained(model, read_config(model))
        meta = write_regions(train, processor, made, PLANES_PER_CASE, options.seed, tell)
    elif not (meta := given / META).is_file():
        raise InputError(f"The stage {stage.name} learns from labelled images: add a {META} to the prepared data.")
    if stage.data == REGIONS:
        return model, meta, None
    named, talk = write_talk(model, meta, work, PER_IMAGE, options.seed, tell)
    return named, talk, meta.parent


def _content(data: Path) -> str:
    """One text for prepared data: a hash of its lists, which name all other files."""
    lists = [data]
    if data.name == META:
        lists += [data.parent / name for name in json.loads(data.read_text(encoding="utf-8-sig"))["annotations"]]
    text = chr(10).join(file_hash(path) for path in lists)
    return f"SHA256:{hashlib.sha256(text.encode()).hexdigest()}"


def _change(
    stage: Stage,
    parent: str,
    served: str,
    figures: Mapping[str, Any],
    recipe: Recipe,
    options: Mapping[str, Any],
    content: str,
    cases: int,
    new: Compared,
    known: Compared,
    begun: float,
) -> ChangeRecord:
    """The record of a stage; like that of `learn.change_of` it holds no image's id."""
    start, end = figures["start"], figures["end"]
    return ChangeRecord(
        modifications={
            "stage of the whole training": f"{stage.number}, {stage.name}",
            "compared with": f"{served}, which was served",
        },
        protocol={
            **recipe.__dict__,
            "precision": used_precision(recipe.precision),
            **options,
            "seconds": round(time.monotonic() - begun, 1),
        },
        data={
            "corrected images trained on": cases,
            "records trained on": figures["samples"],
            "hash of them": content,
            "requests on held-out images": new.n,
            "hash of the held-out images": new.data,
            "requests on the reference set": known.n,
            "hash of the reference set": known.data,
            **{f"{name} on held-out records": f"{start[name]:.4g} before, {end[name]:.4g} after" for name in end},
        },
        impact=[
            "A stage changes a part that the later stages were trained on: until these are trained again, answers may "
            "be wrong in any way. The figures above tell whether they are.",
            "Where images were labelled by annotators, what they did not outline among the things they looked for is "
            "taken for absent.",
        ],
    )
