"""One evaluation from folders to scores: read, ask what has not been asked yet, score everything.

Deterministic and resumable: what a stopped run has asked is not asked again, and the result is the same. Writes the
replies; tables and pages are the report's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medsight_core.data.record_file import RecordFile
from medsight_core.engine.description import version_of
from medsight_core.errors import InputError, NotFoundError
from medsight_core.evaluation import scoring
from medsight_core.evaluation.benchmarks import Benchmark, bad_record, benchmark_named, read_cases
from medsight_core.evaluation.cases import Case
from medsight_core.evaluation.predict import Options, Predictor, case_key, fingerprint, in_batches
from medsight_core.evaluation.predictions import Prediction, PredictionStore
from medsight_core.evaluation.scoring import MaskRules
from medsight_core.evaluation.summary import Row, Scored, summarise
from medsight_core.imaging.visible_box import VisibleBox
from medsight_core.model.bits import check_bits
from medsight_core.model.loading import load_model

ALL, FILTERED = "all questions", "filtered list"

Phase = Callable[[str, float | None], None]


@dataclass(frozen=True)
class Settings:
    """How a benchmark is run.

    limit: ask so many questions only, evenly spread over the set.
    batch_size: questions that are looked at together.
    bits: of the language model, as of `load_model`.
    filtered: file with the ids of DiagSeg questions that are summarised once more by themselves.
    skip_bad: leave records out that cannot be used, and count them.
    tolerance: of the surface Dice, pixels. seed: of the bootstrap.
    """

    limit: int | None = None
    batch_size: int = 8
    device: str = "cpu"
    bits: int | None = None
    filtered: Path | None = None
    skip_bad: bool = False
    tolerance: float = 2.0
    seed: int = 0
    options: Options = field(default_factory=Options)


@dataclass(frozen=True)
class Evaluation:
    """What came out.

    sets: rows of the tables, for all questions and for the filtered list if there is one.
    bad: a sentence for each record that was left out.
    about: the model and the settings, as plain JSON.
    """

    name: str
    benchmark: Benchmark
    scored: list[Scored]
    sets: dict[str, list[Row]]
    bad: list[str]
    about: dict[str, Any]
    rules: MaskRules
    side: int
    store: PredictionStore
    predictions: dict[str, Prediction]

    def outlines(self, case: Case) -> tuple[np.ndarray, np.ndarray]:
        """What is outlined on a case's picture in our scorer, and the union of its targets, bool (rows, columns)."""
        prediction = self.store.with_maps(self.predictions[case.id])
        shape = _shape(prediction)
        found = scoring.outlined(prediction, VisibleBox.of(*shape, self.side), self.rules)
        return found, scoring.union(case.references(shape))


def evaluate(name: str, data: Path, model_dir: Path, out: Path, settings: Settings, phase: Phase) -> Evaluation:
    """Ask a model the questions of a benchmark's folder and score the replies.

    phase: called with what is going on, and how much of it is done (0..1) or None.
    Raises InputError for folders, files, records or settings that cannot be used, ModelError for the model.
    """
    benchmark = benchmark_named(name)
    if settings.filtered is not None and name != "diagseg":
        raise InputError(f"A filtered list was published for diagseg only: leave out --filtered for {name}.")
    check_bits(settings.bits, settings.device)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"'{out}' cannot be written to ({error.strerror}): choose another --out.") from error
    phase("Reading the questions", None)
    cases, bad = read_cases(benchmark, data, out / "pictures", settings.skip_bad)
    cases = [cases[place] for place in _spread(len(cases), settings.limit)]
    listed = None if settings.filtered is None else _listed(settings.filtered)
    phase("Loading the model", None)
    model, processor = load_model(model_dir, settings.device, bits=settings.bits)
    predictor = Predictor(model, processor, settings.options, fingerprint(model_dir, model, settings.options))
    store = PredictionStore(out)
    cases = _ask(cases, predictor, store, settings, bad, lambda done: phase("Asking the model", done))
    config = model.config
    rules = MaskRules(config.mask_threshold, config.presence_threshold, settings.tolerance)
    side = config.vision_config.image_size
    keys = {case.id: case_key(predictor.fingerprint, case) for case in cases}
    replies = store.in_file_order(keys)
    scored = score(cases, replies, store, rules, side, lambda done: phase("Scoring the replies", done))
    sets = {ALL: summarise(scored, settings.seed)}
    if listed is not None:
        chosen = [each for each in scored if each.case.id.removesuffix("/vqa") in listed]
        if not chosen:
            raise InputError(f"None of the questions is in '{settings.filtered}': check that its ids are qa_id values.")
        sets[FILTERED] = summarise(chosen, settings.seed)
    about = {
        "model": {
            "version": version_of(processor.config, settings.bits),
            "licence": config.licence,
            "vision_layer": config.vision_layer,
            "code_state": config.code_state,
            "decode_jointly": config.decode_jointly,
            "fingerprint": predictor.fingerprint[:16],
        },
        "options": {**asdict(settings.options), "limit": settings.limit, "tolerance_pixels": settings.tolerance},
        "seed": settings.seed,
    }
    return Evaluation(
        name, benchmark, scored, sets, bad, about, rules, side, store, {reply.id: reply for reply in replies}
    )


def score(
    cases: Sequence[Case],
    replies: Sequence[Prediction],
    store: PredictionStore,
    rules: MaskRules,
    side: int,
    tell: Callable[[float], None],
) -> list[Scored]:
    """Both scorers on all cases.

    replies: in the order of their file. The authors' text scores take the n-th reply for the n-th case, whatever its id
    is (model-spec 8.1); everything else goes by id.
    """
    by_id = {reply.id: reply for reply in replies}
    scored = []
    for number, (case, nth) in enumerate(zip(cases, replies, strict=True)):
        own = by_id[case.id]
        scores = {**scoring.official_text(case, nth.reply), **scoring.our_text(case, own.reply)}
        if case.masks:
            prediction = store.with_maps(own)
            shape = _shape(prediction)
            references = case.references(shape)
            scores |= scoring.official_masks(prediction, references)
            scores |= scoring.our_masks(prediction, references, VisibleBox.of(*shape, side), rules)
        scored.append(Scored(case, own.reply, scores))
        tell((number + 1) / len(cases))
    return scored


def _ask(
    cases: Sequence[Case],
    predictor: Predictor,
    store: PredictionStore,
    settings: Settings,
    bad: list[str],
    tell: Callable[[float], None],
) -> list[Case]:
    """Fill the store; returns the cases that could be asked and appends a sentence for each other to ``bad``."""
    done = store.done({case.id: case_key(predictor.fingerprint, case) for case in cases})
    asked: set[str] = set()
    for batch in in_batches(cases, settings.batch_size):
        if not {case.id for case in batch} <= done:
            shown = _shown(batch, predictor, settings.skip_bad, bad)
            batch = [case for case, _ in shown]
            if not {case.id for case in batch} <= done:
                for prediction in predictor.predict(batch, [pictures for _, pictures in shown]):
                    if prediction.id not in done:
                        store.add(prediction)
        asked |= {case.id for case in batch}
        tell(len(asked) / len(cases))
    if not asked:
        raise InputError(f"None of the {len(cases)} questions can be asked; the first fault: {bad[-1]}")
    usable = [case for case in cases if case.id in asked]
    store.sort(case.id for case in usable)
    return usable


def _shown(
    batch: Sequence[Case], predictor: Predictor, skip_bad: bool, bad: list[str]
) -> list[tuple[Case, list[Image.Image]]]:
    """The cases with their pictures; faults in pictures and masks are found here, before the model is asked."""
    shown = []
    for case in batch:
        try:
            pictures = case.pictures()
            if case.masks:
                case.references((pictures[0].height, pictures[0].width))
            predictor.check(case)
        except InputError as error:
            named = type(error)(f"Question {case.id!r}: {error}")
            if not skip_bad:
                raise bad_record(named) from error
            bad.append(str(named))
            continue
        shown.append((case, pictures))
    return shown


def _shape(prediction: Prediction) -> tuple[int, int]:
    if prediction.shape is None:
        raise ValueError("masks were not asked for")
    return prediction.shape


def _spread(count: int, limit: int | None) -> list[int]:
    return [int(place) for place in np.linspace(0, count - 1, min(count, limit or count)).round()]


def _listed(path: Path) -> set[str]:
    """Ids in a file: the qa_id of each record of a .json or .jsonl file, or one id a line in any other."""
    if path.suffix in (".json", ".jsonl"):
        return {str(record.get("qa_id")) for record in RecordFile(path)}
    try:
        return set(path.read_text(encoding="utf-8-sig").split())
    except OSError as error:
        raise NotFoundError(f"There is no list '{path}' that can be read: check the path.") from error
