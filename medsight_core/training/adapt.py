"""A better model from corrected masks, in minutes: from a model folder and cases to another model folder.

Corrected cases become planes with requests for what is there and for what is not. Some cases are held out, always the
same ones, and only measure. What a site cannot keep are the data that the model was trained on before, so against
forgetting it learns from its own former answers on other images (`AdaptOptions.replay`), which need no labels; what it
loses all the same is measured on a frozen labelled set (`AdaptOptions.reference`). Where both come from is the
caller's business; `sample_data.site_sets` makes some.

What learns are the perceiver and adapters of low rank on the vision tower, and where nothing but the language model
decides what is there, adapters on that, the projector P(t->v) and the codes' rows too. With the shipped model it is the
picture that looks different in a new domain, not the words.
"""

from __future__ import annotations

import hashlib
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from transformers import set_seed

from medsight_core.data.corrected_cases import Case, data_hash, known_to
from medsight_core.engine.engine import Engine
from medsight_core.engine.promotion import LEAST_SEEN
from medsight_core.errors import InputError
from medsight_core.intervals import bootstrap_interval
from medsight_core.model.adapter import LANGUAGE
from medsight_core.model.config import MedSightConfig
from medsight_core.model.loading import load_model, read_config
from medsight_core.model.medsight import MedSightModel
from medsight_core.model.processor import MedSightProcessor
from medsight_core.training.adapt_data import AdaptDataset, codes_spoken, collate_taught, remember
from medsight_core.training.adapt_task import AdaptTask
from medsight_core.training.ask_cases import Asked, ask_cases
from medsight_core.training.lora import TOWER, attach_lora, fold_lora
from medsight_core.training.recipe import Recipe, used_precision
from medsight_core.training.run import save_model
from medsight_core.training.taught_planes import TaughtPlane, case_masks, case_volume, taught_planes
from medsight_core.training.trainer import StageTrainer

PREPARE, MEASURE, TRAIN = "prepare", "measure", "train"


@dataclass(frozen=True)
class AdaptOptions:
    """How to adapt.

    replay: images on which the model must go on answering as it does; their labels are not looked at. reference: a
        frozen set with labels. held_out: cases that only measure; a share ``held_out_share`` of the cases when None.
    steps, batch, learning_rate, tower_rate: as of `Recipe`. rank: of the adapters.
    language: let the language model learn too; when None, where its answers decide what is there.
    replay_weight: of replayed planes beside 1 for corrected ones, of which a batch has as many.
    back: share of the way back to the parent's weights that is gone at the end, against forgetting (Wortsman 2022).
    planes_per_case, replay_planes: how many planes are cut, of each case and of all replayed images together.
    version: what the new model calls itself; as its parent when empty.
    """

    replay: Sequence[Case] = ()
    reference: Sequence[Case] = ()
    held_out: Sequence[Case] | None = None
    held_out_share: float = 0.2
    steps: int = 180
    batch: int = 8
    learning_rate: float = 1e-3
    tower_rate: float = 1.0
    rank: int = 4
    language: bool | None = None
    replay_weight: float = 2.0
    back: float = 0.1
    planes_per_case: int = 20
    replay_planes: int = 180
    precision: str = "auto"
    seed: int = 0
    version: str = ""


@dataclass(frozen=True)
class Progress:
    """What is going on. phase: `PREPARE`, `MEASURE` or `TRAIN`; done: 0..1 of it.

    epoch: passes over the corrected planes so far. loss: nan before the first figures. eta: seconds to the very end,
    nan while nobody knows. held_out: the newest mean Dice on held-out cases, nan before it was measured.
    """

    phase: str
    done: float
    epoch: int = 0
    step: int = 0
    steps: int = 0
    loss: float = float("nan")
    eta: float = float("nan")
    held_out: float = float("nan")


Report = Callable[[Progress], None]
_NUMBERS = [field.name for field in fields(AdaptOptions) if field.name not in ("replay", "reference", "held_out")]


@dataclass(frozen=True)
class Compared:
    """Dice of ``n`` requests for things that are there, 0 for what was not seen, before and after.

    Intervals are of 95 %, None for fewer than two; that of the change is paired. false_masks: shares of ``absent``
    requests for things that are not there which were answered by a mask. data: hash of the cases.
    blind, own: Dice of the new answers with the outlines of cases that were trained on, and on the same requests with
    the own ones; nan where no case that was trained on outlines the name. A model that has learned to look at the
    image fits the own ones clearly better.
    """

    before: float
    after: float
    n: int
    before_interval: tuple[float, float] | None
    after_interval: tuple[float, float] | None
    change_interval: tuple[float, float] | None
    false_masks: tuple[float, float]
    absent: int
    data: str
    blind: float = float("nan")
    own: float = float("nan")

    @classmethod
    def of(cls, before: Sequence[Asked], after: Sequence[Asked], data: str, seed: int) -> Compared:
        """From the same requests, made of two models."""
        old, new = ([asked.dice for asked in each if asked.present] for each in (before, after))
        told_apart = [asked for asked in after if asked.present and math.isfinite(asked.blind)]
        wrong = [[1 - asked.dice for asked in each if not asked.present] for each in (before, after)]
        return cls(
            before=_mean(old),
            after=_mean(new),
            n=len(old),
            before_interval=bootstrap_interval([old], seed),
            after_interval=bootstrap_interval([new], seed),
            change_interval=bootstrap_interval([[b - a for a, b in zip(old, new)]], seed),
            false_masks=(_mean(wrong[0]), _mean(wrong[1])),
            absent=len(wrong[0]),
            data=data,
            blind=_mean([asked.blind for asked in told_apart]),
            own=_mean([asked.dice for asked in told_apart]),
        )


@dataclass(frozen=True)
class Adapted:
    """What came of it, for a record of the change; plain data but for ``folder``.

    names: that were taught. cases, planes: trained on. data: hash of the cases trained on. learned: share of all
    parameters that could change. settings: numbers of `AdaptOptions`. told: sentences about what was left out.
    """

    folder: Path
    held_out: Compared
    reference: Compared
    names: tuple[str, ...]
    cases: int
    planes: int
    data: str
    learned: float
    seconds: float
    settings: dict[str, Any] = field(default_factory=dict)
    told: tuple[str, ...] = ()


def adapt(
    parent: Path, cases: Sequence[Case], out: Path, options: AdaptOptions, report: Report = lambda progress: None
) -> Adapted:
    """Teach the model in ``parent`` from corrected cases, and write the new one to ``out``, whole or not at all.

    report: told of every step; what it raises ends the training, and nothing is left behind.
    Raises InputError when ``out`` is there, and when there is nothing to learn from or to measure with.
    """
    begun = time.monotonic()
    if out.exists():
        raise InputError(f"'{out}' is there already: give a new folder.")
    usable, told = usable_cases(cases, read_config(parent))
    train, held_out = (
        split_cases(usable, options.held_out_share) if options.held_out is None else (usable, list(options.held_out))
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".adapt-", dir=out.parent) as work:
        watch = Watch(report)
        before = watch.measure(Engine.load(parent), held_out, options.reference)
        model, processor = load_model(parent, merge=False)
        names, planes, learned = _train(model, processor, train, options, Path(work), watch)
        model.config.version = options.version or model.config.version
        new = Path(work) / "model"
        nn.Module.to(model, dtype=cast("Any", read_config(parent).dtype))  # its override in transformers is not typed
        save_model(model, processor, new)
        del model
        after = watch.measure(Engine.load(new), held_out, options.reference, others=train)
        new.replace(out)
    compared = Compared.of(before[0], after[0], data_hash(held_out), options.seed)
    if compared.own - compared.blind < LEAST_SEEN:
        told.append(
            f"What the new model outlines on held-out cases fits other cases' outlines (Dice {compared.blind:.3f}) "
            f"about as well as their own ({compared.own:.3f}): look whether the corrections belong to their images."
        )
    return Adapted(
        folder=out,
        held_out=compared,
        reference=Compared.of(before[1], after[1], data_hash(options.reference), options.seed),
        names=names,
        cases=len(train),
        planes=planes,
        data=data_hash(train),
        learned=learned,
        seconds=round(time.monotonic() - begun, 1),
        settings={
            **{name: getattr(options, name) for name in _NUMBERS},
            "precision": used_precision(options.precision),
            "replay": data_hash(options.replay),
        },
        told=tuple(told),
    )


def usable_cases(cases: Sequence[Case], config: MedSightConfig) -> tuple[list[Case], list[str]]:
    """The cases that can be learned from, and sentences about the others. Raises InputError when none is left."""
    if not cases:
        raise InputError("There are no corrected cases to learn from: correct some, and approve them.")
    known = known_to(config)
    usable, told = [], []
    for case in cases:
        if strangers := [name for name in (*case.names, *case.absent) if name not in known]:
            told.append(f"Image {case.id!r}: the model does not know {', '.join(map(repr, strangers))}, left out.")
            case = replace(
                case,
                segments=tuple(name if name in known else "" for name in case.segments),
                absent=tuple(name for name in case.absent if name in known),
            )
        try:
            masks = case_masks(case, case_volume(case))
        except InputError as error:
            told.append(f"Image {case.id!r}: left out. {error}")
            continue
        if case.absent or any(mask.any() for mask in masks.values()):
            usable.append(case)
        else:
            told.append(f"Image {case.id!r}: left out, nothing that the model knows is outlined on it.")
    if not usable:
        raise InputError(f"Nothing can be learned from what was corrected. {' '.join(told)}")
    return usable, told


def split_cases(cases: Sequence[Case], share: float = 0.2) -> tuple[list[Case], list[Case]]:
    """Cases to train on and a share to measure with. An image is on the same side in every training.

    Raises InputError for fewer than two.
    """
    if len(cases) < 2:
        raise InputError(
            f"One corrected case ({cases[0].id!r}) cannot both teach and measure: correct another one, or name cases "
            "to hold out."
        )
    ranked = sorted(cases, key=lambda case: _chance(case.id))
    count = sum(_chance(case.id) < share for case in ranked)
    count = min(max(count, 1), len(ranked) - 1)
    return ranked[count:], ranked[:count]


def _chance(image_id: str) -> float:
    """A number in 0..1 that looks random and is an image's for ever."""
    return int.from_bytes(hashlib.sha256(image_id.encode()).digest()[:6], "big") / 2**48


def _train(
    model: MedSightModel,
    processor: MedSightProcessor,
    cases: Sequence[Case],
    options: AdaptOptions,
    folder: Path,
    watch: Watch,
) -> tuple[tuple[str, ...], int, float]:
    """Train a model in place; the names that were taught, how many planes, and the share of parameters that learned."""
    set_seed(options.seed)
    images = [replace(case, label=None, segments=(), absent=()) for case in options.replay]
    planes: list[TaughtPlane] = []
    former: list[TaughtPlane] = []
    for number, case in enumerate([*cases, *images]):
        watch.tell(Progress(PREPARE, number / (len(cases) + len(images)) / 2))
        if number < len(cases):
            planes += taught_planes(case, processor, options.planes_per_case, options.seed)
        else:
            former += taught_planes(case, processor, -(-options.replay_planes // len(images)), options.seed)
    remembered = remember(
        model, processor, former, options.seed, lambda done: watch.tell(Progress(PREPARE, 0.5 + done / 2))
    )
    codes = codes_spoken(model, processor, planes)
    speaks = options.language if options.language is not None else not model.config.show_detections
    trainable = ("perceiver.", *attach_lora(model, TOWER, options.rank))
    if speaks:
        trainable += ("text_to_image.", *attach_lora(model, LANGUAGE, options.rank))
    task = AdaptTask(model, trainable, code_rows=speaks, replay_weight=options.replay_weight)
    task.start()
    recipe = Recipe(
        learning_rate=options.learning_rate,
        batch=options.batch,
        steps=options.steps,
        tower_rate=options.tower_rate,
        warm_up=0.05,
        floor=0.02,
        precision=options.precision,
        save_every=options.steps + 1,
        log_every=max(1, options.steps // 50),
        seed=options.seed,
    )
    data = AdaptDataset(planes, remembered, processor, codes, options.steps * options.batch, options.seed)
    share = data.corrected_share / max(1, len(planes))
    trainer = StageTrainer(
        task, recipe, folder, data, data, collate_taught, watch.begin,
        lambda step, steps, last: watch.step(step, steps, int(step * options.batch * share), last),
    )  # fmt: skip
    learning = [parameter for parameter in task.parameters() if parameter.requires_grad]
    learned = sum(parameter.numel() for parameter in learning)
    whole = sum(parameter.numel() for parameter in task.parameters())
    before = [parameter.detach().clone() for parameter in learning]
    trainer.train()
    with torch.no_grad():
        for parameter, was in zip(learning, before):
            parameter.lerp_(was.to(parameter), options.back)
    task.finish()
    fold_lora(model)
    names = tuple(sorted({name for plane in planes for name in (*plane.masks, *plane.absent)}))
    return names, len(planes), learned / whole


class Watch:
    """Tells how far a training is, and guesses when all of it will be done."""

    def __init__(self, tell: Report) -> None:
        self.tell = tell
        self._measured = self._begun = 0.0
        self._held_out = float("nan")

    def measure(
        self, engine: Engine, held_out: Sequence[Case], reference: Sequence[Case], others: Sequence[Case] = ()
    ) -> tuple[list[Asked], list[Asked]]:
        """Ask a model about held-out cases and about the reference set."""
        begun = time.monotonic()
        new = ask_cases(engine, held_out, True, others, lambda done: self.tell(Progress(MEASURE, done / 2)))
        self._held_out = _mean([asked.dice for asked in new if asked.present])

        def half(done: float) -> None:
            self.tell(Progress(MEASURE, 0.5 + done / 2, held_out=self._held_out))

        known = ask_cases(engine, reference, False, tell=half)
        half(1.0)
        self._measured = time.monotonic() - begun
        return new, known

    def begin(self) -> None:
        """The first step comes now."""
        self._begun = time.monotonic()

    def step(self, step: int, steps: int, epoch: int, last: Mapping[str, float]) -> None:
        """A step was made; last: the newest figures of the loss."""
        pace = (time.monotonic() - self._begun) / step
        loss = float(last.get("loss", float("nan")))
        eta = pace * (steps - step) + self._measured
        self.tell(Progress(TRAIN, step / steps, epoch, step, steps, loss, eta, self._held_out))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
