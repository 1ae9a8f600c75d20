"""How much a few corrected cases of a new kind of image teach the small model, and which strategy chooses them best.

    python -m benchmarks.learning --data MSD_HIPPOCAMPUS --quick     minutes: one size, one strategy, one seed
    python -m benchmarks.learning --data MSD_HIPPOCAMPUS             hours: writes docs/learning-curve.md

``--data``: Task04_Hippocampus of the Medical Segmentation Decathlon (CC BY-SA 4.0), a folder with ``images`` and
``labels``. No image of it was used for the shipped model. The simulated annotator corrects to the reference. Both parts
of the label together are the left hippocampus: by the files' own geometry all crops show a left one. Every run is kept
in ``--results`` with what it was made with, so a stopped benchmark goes on, and a later one adds to it. The strategy
"poisoned" is no strategy: cases taken by chance, whose outlines changed places, in those held out too.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.learning_report import (
    DOCUMENT,
    PLOT,
    POISONED,
    RESULTS,
    SEEDS,
    SIZES,
    START,
    STRATEGIES,
    plot,
    read_rows,
    report,
)
from benchmarks.own_and_blind import swapped
from benchmarks.provenance import commit
from medsight_core.data.corrected_cases import Case
from medsight_core.engine.choice import choose
from medsight_core.engine.engine import Engine
from medsight_core.engine.impression import Impression
from medsight_core.engine.machine import this_machine
from medsight_core.errors import InputError, run_program
from medsight_core.files import file_hash, write_whole
from medsight_core.training.adapt import AdaptOptions, adapt
from medsight_core.training.ask_cases import ask_cases, blind_dice, outlined, outlines_by_name
from medsight_core.training.taught_planes import case_masks, case_volume
from sample_data.site_sets import read_sets, write_sets

NAME = "left hippocampus"
MODEL = Path("sample_data/demo_model")
SPENT = 10  # the first cases: the defaults of a training were chosen by looking at them


@dataclass(frozen=True)
class Plan:
    """What to run.

    work: for what can be made again. results: for what was measured. pool: how many images a strategy chooses from,
    drawn anew for each seed.
    """

    data: Path
    work: Path
    results: Path
    sizes: Sequence[int] = SIZES
    strategies: Sequence[str] = STRATEGIES
    seeds: Sequence[int] = SEEDS
    held_out: int = 40
    pool: int = 80
    options: AdaptOptions = field(default_factory=AdaptOptions)


def run(plan: Plan) -> None:
    """All runs, the model as it is first; those that are done are left out."""
    for folder in (plan.work, plan.results):
        folder.mkdir(parents=True, exist_ok=True)
    if not (plan.work / "sets").exists():
        write_sets(plan.work / "sets", Path("studies"))
    cases = hippocampi(plan.data)
    needed = SPENT + plan.held_out + max(plan.sizes)
    if len(cases) < needed:
        raise InputError(f"'{plan.data}' has {len(cases)} images: {needed} are needed.")
    held_out, others = cases[SPENT : SPENT + plan.held_out], cases[SPENT + plan.held_out :]
    _once(plan, START, 0, 0, [], held_out)
    for seed in plan.seeds:
        pool = random.Random(seed).sample(others, min(plan.pool, len(others)))
        for strategy in plan.strategies:
            chosen = pick(plan, strategy, pool, max(plan.sizes), seed)
            for size in plan.sizes:
                _once(plan, strategy, seed, size, chosen[:size], held_out)


def hippocampi(folder: Path) -> list[Case]:
    """The images with their labels, in an order that is always the same and means nothing."""
    files = sorted((folder / "images").glob("hippocampus_*.nii.gz"))
    random.Random(0).shuffle(files)
    return [Case(path.name, path, folder / "labels" / path.name, (NAME, NAME), modality="MR") for path in files]


def pick(plan: Plan, strategy: str, pool: Sequence[Case], count: int, seed: int) -> list[Case]:
    """The cases that a strategy hands out one after another, by what the model as it is sees in the pool."""
    waiting: dict[str, Impression | None] = dict.fromkeys((case.id for case in pool), None)
    if strategy == POISONED:
        strategy = "random"  # the same cases
    if strategy != "random":
        waiting = {case.id: impression for case, impression in zip(pool, _impressions(plan, pool))}
    chance, chosen, seen = random.Random(seed), [], []
    for _ in range(count):
        choice = choose(strategy, waiting, seen, chance)
        impression = waiting.pop(choice.id)
        chosen.append(next(case for case in pool if case.id == choice.id))
        if impression is not None:
            seen.append(impression)
    return chosen


def _impressions(plan: Plan, cases: Sequence[Case]) -> list[Impression]:
    folder = plan.work / "impressions"
    folder.mkdir(exist_ok=True)
    engine = None
    for case in cases:
        path = folder / f"{case.id}.npz"
        if not path.exists():
            engine = engine or Engine.load(MODEL)
            seen = engine.impression(case_volume(case))
            np.savez(
                path, vector=seen.vector, doubts=[seen.outlines, seen.presence, seen.planes], doubtful=seen.doubtful
            )
    found = [np.load(folder / f"{case.id}.npz") for case in cases]
    return [Impression(each["vector"], *map(float, each["doubts"]), str(each["doubtful"])) for each in found]


def _once(plan: Plan, strategy: str, seed: int, size: int, chosen: Sequence[Case], held_out: Sequence[Case]) -> None:
    path = plan.results / f"{strategy}-{seed}-{size}.json"
    settings = _settings(plan)
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))["settings"]
        if before != settings:
            raise InputError(f"'{path}' was measured with {before}, not {settings}: give other --results.")
        return
    if strategy == POISONED:
        chosen, held_out = (swapped(each, plan.work / POISONED) for each in (chosen, held_out))
    # A process of its own, whose peak of memory is that of this run alone.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        row = pool.submit(measure, plan, seed, chosen, held_out).result()
    write_whole(path, (json.dumps({"settings": settings, **row}) + "\n").encode(), 0o644)
    print(f"{strategy} seed {seed}, {size} cases: Dice {statistics.mean(row['dice']):.3f}", flush=True)


def _settings(plan: Plan) -> dict[str, Any]:
    """What two runs must have in common to stand in one table."""
    names = ("steps", "batch", "planes_per_case", "replay_planes", "replay_weight", "back")
    return {
        "model": file_hash(MODEL / "model.safetensors"),
        "held_out": plan.held_out,
        "pool": plan.pool,
        **{name: getattr(plan.options, name) for name in names},
    }


def measure(plan: Plan, seed: int, chosen: Sequence[Case], held_out: Sequence[Case]) -> dict[str, Any]:
    """One training and what came of it: Dice and effort on each held-out case, Dice on the reference set."""
    replay, reference = read_sets(plan.work / "sets")
    with TemporaryDirectory() as folder:
        model, begun = MODEL, time.monotonic()
        if chosen:
            options = replace(plan.options, replay=replay, held_out=(), seed=seed)
            model = adapt(MODEL, chosen, Path(folder) / "model", options).folder
        seconds, peak = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        cpu = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        engine = Engine.load(model)
        strange = outlines_by_name(chosen).get(NAME, ())
        answers = [_compare(engine, case, strange) for case in held_out]
        begun = time.monotonic()
        known = ask_cases(engine, reference, False)
    return {
        **{name: [answer[name] for answer in answers] for name in answers[0]},
        "reference": [round(asked.dice, 4) for asked in known if asked.present],
        "false_masks": [1 - asked.dice for asked in known if not asked.present],
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "reference_seconds": round(time.monotonic() - begun, 1),
        "peak_mib": round(peak),
        "cases": [case.id for case in chosen],
        "commit": commit(),
        "machine": f"{_threads()} of {this_machine().cpu}",
    }


def _compare(engine: Engine, case: Case, strange: Sequence[np.ndarray]) -> dict[str, float]:
    """Dice, and what it takes to correct the answer and to draw the thing from nothing: voxels and axial slices.

    strange: outlines of the cases that were trained on, for the Dice with them, "blind".
    """
    volume = case_volume(case)
    wanted = case_masks(case, volume)[NAME]
    found = outlined(engine, volume, NAME)
    wrong = found ^ wanted
    return {
        "dice": round(2 * int((found & wanted).sum()) / (int(found.sum()) + int(wanted.sum())), 4),
        **({"blind": round(blind_dice(found, volume, strange), 4)} if strange else {}),
        "voxels": int(wrong.sum()),
        "slices": int(wrong.any(axis=(0, 1)).sum()),
        "drawn_voxels": int(wanted.sum()),
        "drawn_slices": int(wanted.any(axis=(0, 1)).sum()),
    }


def _threads() -> str:
    import torch

    count = torch.get_num_threads()
    return f"{count} thread{'s' * (count > 1)}"


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="Task04_Hippocampus: a folder with images and labels")
    parser.add_argument("--work", type=Path, default=Path("runs/learning"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--strategies", nargs="+", choices=[*STRATEGIES, POISONED], default=list(STRATEGIES))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--held-out", type=int, default=Plan.held_out)
    parser.add_argument("--steps", type=int, default=AdaptOptions.steps)
    parser.add_argument(
        "--quick", action="store_true", help="5 cases, random, one seed, 4 held out, few steps; print only"
    )
    given = parser.parse_args()
    options = AdaptOptions(steps=given.steps)
    plan = Plan(
        given.data, given.work, given.results, given.sizes, given.strategies, given.seeds, given.held_out,
        options=options,
    )  # fmt: skip
    if given.quick:
        options = replace(options, steps=20, replay_planes=20)
        plan = Plan(given.data, given.work / "quick", given.work / "quick", (5,), ("random",), (0,), 4, options=options)

    def program() -> None:
        run(plan)
        rows = read_rows(plan.results)
        text = report(rows)
        print(text)
        if plan.results == RESULTS:
            DOCUMENT.write_text(text, encoding="utf-8")
            plot(rows, PLOT)

    return run_program(program)


if __name__ == "__main__":
    sys.exit(main())
