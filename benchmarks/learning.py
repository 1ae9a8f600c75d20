"""How much a few corrected cases of a new kind of image teach the small model, and which strategy chooses them best.

    python -m benchmarks.learning --data MSD_HIPPOCAMPUS --quick     minutes: one size, one strategy, one seed
    python -m benchmarks.learning --data MSD_HIPPOCAMPUS             hours: writes docs/learning-curve.md

``--data``: Task04_Hippocampus of the Medical Segmentation Decathlon (CC BY-SA 4.0), a folder with ``images`` and
``labels``. No image of it was used for the shipped model. The simulated annotator corrects to the reference. Both parts
of the label together are the left hippocampus: by the files' own geometry all crops show a left one. Every run is kept
in ``--work``, so a stopped benchmark goes on.
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
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.provenance import commit
from medsight_core.data.corrected_cases import Case
from medsight_core.engine.choice import STRATEGIES, choose
from medsight_core.engine.engine import Engine
from medsight_core.engine.impression import Impression
from medsight_core.engine.machine import this_machine
from medsight_core.errors import InputError, run_program
from medsight_core.intervals import bootstrap_interval
from medsight_core.training.adapt import AdaptOptions, adapt
from medsight_core.training.ask_cases import ask_cases, outlined
from medsight_core.training.taught_planes import case_masks, case_volume
from sample_data.site_sets import read_sets, write_sets

NAME = "left hippocampus"
MODEL = Path("sample_data/demo_model")
DOCUMENT, PLOT = Path("docs/learning-curve.md"), Path("docs/images/learning-curve.png")
START = "start"


@dataclass(frozen=True)
class Plan:
    """What to run. pool: how many images a strategy chooses from, drawn anew for each seed."""

    data: Path
    work: Path
    sizes: Sequence[int] = (5, 10, 20, 40)
    strategies: Sequence[str] = ("random", "uncertainty", "diversity", "hybrid")
    seeds: Sequence[int] = (0, 1, 2)
    held_out: int = 40
    pool: int = 80
    options: AdaptOptions = field(default_factory=AdaptOptions)


def run(plan: Plan) -> list[dict[str, Any]]:
    """All runs, those that are done left out; a row for each, the model as it is first."""
    plan.work.mkdir(parents=True, exist_ok=True)
    if not (plan.work / "sets").exists():
        write_sets(plan.work / "sets", Path("studies"))
    cases = hippocampi(plan.data)
    if len(cases) < plan.held_out + max(plan.sizes):
        raise InputError(f"'{plan.data}' has {len(cases)} images: {plan.held_out + max(plan.sizes)} are needed.")
    held_out, others = cases[: plan.held_out], cases[plan.held_out :]
    rows = [_once(plan, START, 0, 0, [], held_out)]
    for seed in plan.seeds:
        pool = random.Random(seed).sample(others, min(plan.pool, len(others)))
        for strategy in plan.strategies:
            chosen = pick(plan, strategy, pool, max(plan.sizes), seed)
            rows += [_once(plan, strategy, seed, size, chosen[:size], held_out) for size in plan.sizes]
    return rows


def hippocampi(folder: Path) -> list[Case]:
    """The images with their labels, in an order that is always the same and means nothing."""
    files = sorted((folder / "images").glob("hippocampus_*.nii.gz"))
    random.Random(0).shuffle(files)
    return [Case(path.name, path, folder / "labels" / path.name, (NAME, NAME), modality="MR") for path in files]


def pick(plan: Plan, strategy: str, pool: Sequence[Case], count: int, seed: int) -> list[Case]:
    """The cases that a strategy hands out one after another, by what the model as it is sees in the pool."""
    waiting: dict[str, Impression | None] = dict.fromkeys((case.id for case in pool), None)
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


def _once(
    plan: Plan, strategy: str, seed: int, size: int, chosen: Sequence[Case], held_out: Sequence[Case]
) -> dict[str, Any]:
    path = plan.work / f"{strategy}-{seed}-{size}.json"
    if not path.exists():
        # A process of its own, whose peak of memory is that of this run alone.
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            row = pool.submit(measure, plan, seed, chosen, held_out).result()
        path.write_text(json.dumps(row) + "\n", encoding="utf-8")
        print(f"{strategy} seed {seed}, {size} cases: Dice {statistics.mean(row['dice']):.3f}", flush=True)
    row = json.loads(path.read_text(encoding="utf-8"))
    return {"strategy": strategy, "seed": seed, "size": size, **row}


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
        answers = [_compare(engine, case) for case in held_out]
        known = ask_cases(engine, reference, False)
    return {
        **{name: [answer[name] for answer in answers] for name in answers[0]},
        "reference": [asked.dice for asked in known if asked.present],
        "false_masks": [1 - asked.dice for asked in known if not asked.present],
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peak_mib": peak,
        "cases": [case.id for case in chosen],
    }


def _compare(engine: Engine, case: Case) -> dict[str, float]:
    """Dice, and what it takes to correct the answer and to draw the thing from nothing: voxels and axial slices."""
    volume = case_volume(case)
    wanted = case_masks(case, volume)[NAME]
    found = outlined(engine, volume, NAME)
    wrong = found ^ wanted
    return {
        "dice": 2 * int((found & wanted).sum()) / (int(found.sum()) + int(wanted.sum())),
        "voxels": int(wrong.sum()),
        "slices": int(wrong.any(axis=(0, 1)).sum()),
        "drawn_voxels": int(wanted.sum()),
        "drawn_slices": int(wanted.any(axis=(0, 1)).sum()),
    }


def report(rows: Sequence[Mapping[str, Any]], plan: Plan) -> str:
    """The figures as Markdown."""
    start = rows[0]
    lines = [
        "# Learning curve",
        "",
        "Research use only. Not for clinical use.",
        "",
        "How much corrected cases of a new kind of image teach the shipped model: MR crops around one hippocampus from "
        "the Medical Segmentation Decathlon (Task04, CC BY-SA 4.0), of which it has never seen any. "
        "`python -m benchmarks.learning` simulates an annotator who corrects to the reference.",
        "",
        f"{commit()}, {_threads()} of {this_machine().cpu}, shared with other work; seeds "
        f"{', '.join(map(str, plan.seeds))}; {len(start['dice'])} held-out cases, {len(start['reference'])} requests "
        f"of the reference set; {plan.options.steps} steps of {plan.options.batch} planes. A strategy chooses from "
        f"{plan.pool} images, drawn anew for each seed.",
        "",
        *_left_out(plan),
        f"As it is the model reaches a Dice of {_mean(start['dice']):.3f} on the held-out cases and "
        f"{_mean(start['reference']):.3f} on the reference set.",
        "",
        "Dice is the mean of the seeds; in brackets the 95 % interval over the held-out cases, of which each counts "
        "with its mean over the seeds.",
        "",
        "| cases | strategy | seeds | Dice, held out | change of the reference set | false masks there | minutes | "
        "processor minutes | peak MiB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for size in plan.sizes:
        for strategy in plan.strategies:
            if same := [row for row in rows if (row["size"], row["strategy"]) == (size, strategy)]:
                lines.append(_row(size, strategy, same, start))
    lines += ["", *_effort(rows, plan), ""]
    return "\n".join(lines)


def _left_out(plan: Plan) -> list[str]:
    """What of the whole benchmark was not run, as a paragraph; none when all was."""
    missing = []
    for what, done, whole in (
        ("sizes", plan.sizes, Plan.sizes),
        ("strategies", plan.strategies, Plan.strategies),
        ("seeds", plan.seeds, Plan.seeds),
    ):
        if left := [str(each) for each in whole if each not in done]:
            missing.append(f"the {what} {', '.join(left)}")
    if plan.held_out < Plan.held_out:
        missing.append(f"{Plan.held_out - plan.held_out} of {Plan.held_out} held-out cases")
    return [f"**Not run**, for want of time: {'; '.join(missing)}.", ""] if missing else []


def _row(size: int, strategy: str, rows: Sequence[Mapping[str, Any]], start: Mapping[str, Any]) -> str:
    by_case = np.mean([row["dice"] for row in rows], axis=0).tolist()
    low, high = bootstrap_interval([by_case], 0) or (float("nan"), float("nan"))
    lost = [_mean(row["reference"]) - _mean(start["reference"]) for row in rows]
    return (
        f"| {size} | {strategy} | {len(rows)} | {_mean(by_case):.3f} ({low:.3f} to {high:.3f}) | {_mean(lost):+.3f} "
        f"({min(lost):+.3f} to {max(lost):+.3f}) | {_mean([_mean(row['false_masks']) for row in rows]):.3f} | "
        f"{_minutes(rows, 'seconds')} | {_minutes(rows, 'cpu_seconds')} | "
        f"{max(row['peak_mib'] for row in rows):.0f} |"
    )


def _minutes(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    return f"{_mean([row[name] for row in rows]) / 60:.1f}"


def _effort(rows: Sequence[Mapping[str, Any]], plan: Plan) -> list[str]:
    """What is left to correct on a new case, beside drawing it from nothing."""
    start = rows[0]
    lines = [
        "## Effort",
        "",
        "What the simulated annotator has to change on a held-out case, mean over cases and seeds. Drawing from "
        f"nothing takes {_mean(start['drawn_voxels']):.0f} voxels on {_mean(start['drawn_slices']):.1f} slices.",
        "",
        "| cases | strategy | voxels to change | share of drawing | slices to touch |",
        "|---|---|---|---|---|",
    ]
    for size in (0, *plan.sizes):
        for strategy in (START, *plan.strategies):
            if same := [row for row in rows if (row["size"], row["strategy"]) == (size, strategy)]:
                voxels = _mean([_mean(row["voxels"]) for row in same])
                lines.append(
                    f"| {size} | {strategy} | {voxels:.0f} | {voxels / _mean(start['drawn_voxels']):.2f} | "
                    f"{_mean([_mean(row['slices']) for row in same]):.1f} |"
                )
    return lines


def plot(rows: Sequence[Mapping[str, Any]], plan: Plan, path: Path) -> None:
    """Dice by number of cases, a line for each strategy, a point for each seed."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.2), dpi=120)
    for number, strategy in enumerate(plan.strategies):
        points = [(row["size"], _mean(row["dice"])) for row in rows if row["strategy"] == strategy]
        means = [
            (size, _mean([y for x, y in points if x == size]))
            for size in plan.sizes
            if any(x == size for x, _ in points)
        ]
        axes.plot(*zip((0, _mean(rows[0]["dice"])), *means), color=f"C{number}", label=strategy)
        axes.scatter(*zip(*points), color=f"C{number}", s=12)
    axes.set_xlabel("corrected cases")
    axes.set_ylabel(f"Dice, {len(rows[0]['dice'])} held-out cases")
    axes.set_ylim(0, 1)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def _threads() -> str:
    import torch

    count = torch.get_num_threads()
    return f"{count} thread{'s' * (count > 1)}"


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="Task04_Hippocampus: a folder with images and labels")
    parser.add_argument("--work", type=Path, default=Path("runs/learning"))
    parser.add_argument("--sizes", type=int, nargs="+", default=list(Plan.sizes))
    parser.add_argument("--strategies", nargs="+", choices=list(STRATEGIES), default=list(Plan.strategies))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(Plan.seeds))
    parser.add_argument("--held-out", type=int, default=Plan.held_out)
    parser.add_argument("--steps", type=int, default=AdaptOptions.steps)
    parser.add_argument(
        "--quick", action="store_true", help="5 cases, random, one seed, 4 held out, few steps; print only"
    )
    given = parser.parse_args()
    options = AdaptOptions(steps=given.steps)
    plan = Plan(given.data, given.work, given.sizes, given.strategies, given.seeds, given.held_out, options=options)
    if given.quick:
        options = replace(options, steps=20, replay_planes=20)
        plan = Plan(given.data, given.work / "quick", (5,), ("random",), (0,), 4, options=options)

    def program() -> None:
        rows = run(plan)
        text = report(rows, plan)
        print(text)
        if not given.quick:
            DOCUMENT.write_text(text, encoding="utf-8")
            plot(rows, plan, PLOT)

    return run_program(program)


if __name__ == "__main__":
    sys.exit(main())
