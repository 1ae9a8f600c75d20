"""The page with the learning curve, from what `benchmarks.learning` measured.

    python -m benchmarks.learning_report        writes docs/learning-curve.md anew, in seconds

A run is a JSON file in docs/learning-curve, so runs of several days stand in one page. Trains nothing.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.own_and_blind import own_and_blind
from medsight_core.engine.promotion import MOST_LOST
from medsight_core.errors import InputError, run_program
from medsight_core.intervals import bootstrap_interval

RESULTS = Path("docs/learning-curve")
DOCUMENT, PLOT = Path("docs/learning-curve.md"), Path("docs/images/learning-curve.png")
START, POISONED, YARDSTICK = "start", "poisoned", "random"
SIZES, STRATEGIES, SEEDS = (5, 10, 20, 40), (YARDSTICK, "uncertainty", "diversity", "hybrid"), (0, 1, 2)
GOAL = {"size": 10, "rise": 0.10, "minutes": 15}

Row = Mapping[str, Any]


def read_rows(folder: Path) -> list[Row]:
    """A row for each run that is done, the model as it is first. InputError before that was measured."""
    rows = []
    for path in folder.glob("*-*-*.json"):
        strategy, seed, size = path.stem.split("-")
        row = json.loads(path.read_text(encoding="utf-8"))
        rows.append({"strategy": strategy, "seed": int(seed), "size": int(size), **row})
    order = [START, *STRATEGIES, POISONED]
    rows.sort(key=lambda row: (order.index(row["strategy"]), row["size"], row["seed"]))
    if not rows or rows[0]["strategy"] != START:
        raise InputError(
            f"There is no run of the model as it is in '{folder}': python -m benchmarks.learning makes one."
        )
    return rows


def report(rows: Sequence[Row]) -> str:
    """The figures as Markdown."""
    start, settings = rows[0], rows[0]["settings"]
    lines = [
        "# Learning curve",
        "",
        "Research use only. Not for clinical use.",
        "",
        "How much corrected cases of a new kind of image teach the shipped model: MR crops around one hippocampus from "
        "the Medical Segmentation Decathlon (Task04, CC BY-SA 4.0), of which it has never seen any. "
        "`python -m benchmarks.learning` simulates an annotator who corrects to the reference, and "
        "`python -m benchmarks.learning_report` writes this page; what was measured, case by case, is in "
        "[learning-curve/](learning-curve/).",
        "",
        f"{_all(rows, 'commit')}; {_all(rows, 'machine')}, shared with other work. {settings['steps']} steps of "
        f"{settings['batch']} planes, {settings['planes_per_case']} planes a case, {settings['replay_planes']} "
        f"replayed planes that count {settings['replay_weight']:g} times, {settings['back']:.0%} of the way back to "
        f"the parent's weights at the end. {len(start['dice'])} held-out cases, which played no part when these "
        f"defaults were chosen; {len(start['reference'])} requests of the reference set. A strategy chooses from "
        f"{settings['pool']} images, drawn anew for each seed, by what the model as it is sees in them.",
        "",
        *_left_out(rows),
        f"As it is the model reaches a Dice of {_mean(start['dice']):.3f} on the held-out cases and "
        f"{_mean(start['reference']):.3f} on the reference set.",
        "",
        *_goal(rows),
        "Dice is the mean of the seeds; in brackets the 95 % interval over the held-out cases, of which each counts "
        f"with its mean over the seeds. A strategy is compared with {YARDSTICK} on the same seeds and cases. The last "
        "brackets hold the least and the greatest change over the seeds.",
        "",
        "| cases | strategy | seeds | Dice, held out | beside random | change of the reference set | false masks "
        "there | processor minutes | peak MiB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(same, start, rows) for same in _groups(rows)]
    lines += ["", "![Dice by number of corrected cases](images/learning-curve.png)", ""]
    lines += [*_effort(rows), "", *own_and_blind(rows, POISONED), ""]
    return "\n".join(lines)


def _groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Runs that differ in their seed only, by size, without those that prove something else."""
    found = []
    for size, strategy in itertools.product(SIZES, STRATEGIES):
        if same := [row for row in rows if (row["size"], row["strategy"]) == (size, strategy)]:
            found.append(same)
    return found


def _left_out(rows: Sequence[Row]) -> list[str]:
    """What of the whole benchmark was not run, as a paragraph; none when all was."""
    wanted = set(itertools.product(SIZES, STRATEGIES, SEEDS))
    missing = wanted - {(row["size"], row["strategy"], row["seed"]) for row in rows}
    if not missing:
        return []
    return [
        f"**Not run**, for want of time: {len(missing)} of {len(wanted)} trainings ({len(SIZES)} sizes, "
        f"{len(STRATEGIES)} strategies, {len(SEEDS)} seeds). The same command adds them to the table.",
        "",
    ]


def _goal(rows: Sequence[Row]) -> list[str]:
    """What was asked of the size that everything is judged by, and what came of it with cases taken by chance."""
    same = [row for row in rows if (row["size"], row["strategy"]) == (GOAL["size"], YARDSTICK)]
    if not same:
        return []
    rises = [_mean(row["dice"]) - _mean(rows[0]["dice"]) for row in same]
    lost = [_mean(row["reference"]) - _mean(rows[0]["reference"]) for row in same]
    threads = [row["machine"].partition(" of ")[0] for row in same]
    minutes, asking = ([row[name] / 60 for row in same] for name in ("seconds", "reference_seconds"))
    return [
        f"**The goal** with {GOAL['size']} cases: a rise of {GOAL['rise']:.2f}, a loss of {MOST_LOST:g} at most on the "
        f"reference set, {GOAL['minutes']} minutes. Measured, one figure a seed: {_list(rises, '+.3f')}; "
        f"{_list(lost, '+.3f')}; {_list(minutes, '.1f')} minutes on {', '.join(threads)}, and {_list(asking, '.1f')} "
        "each time that the reference set is asked about, which is done before and after.",
        "",
    ]


def _row(rows: Sequence[Row], start: Row, everything: Sequence[Row]) -> str:
    by_case = np.mean([row["dice"] for row in rows], axis=0).tolist()
    lost = [_mean(row["reference"]) - _mean(start["reference"]) for row in rows]
    return (
        f"| {rows[0]['size']} | {rows[0]['strategy']} | {len(rows)} | {_with_interval(by_case, '.3f')} | "
        f"{_beside(rows, everything)} | {_mean(lost):+.3f} ({min(lost):+.3f} to {max(lost):+.3f}) | "
        f"{_mean([_mean(row['false_masks']) for row in rows]):.3f} | "
        f"{_mean([row['cpu_seconds'] for row in rows]) / 60:.1f} | {max(row['peak_mib'] for row in rows):.0f} |"
    )


def _beside(rows: Sequence[Row], everything: Sequence[Row]) -> str:
    """The difference from cases taken by chance, where both were run with a seed."""
    by_chance = {(row["size"], row["seed"]): row["dice"] for row in everything if row["strategy"] == YARDSTICK}
    both = [(row["dice"], by_chance[place]) for row in rows if (place := (row["size"], row["seed"])) in by_chance]
    if rows[0]["strategy"] == YARDSTICK or not both:
        return "-"
    return _with_interval(np.mean([np.subtract(*pair) for pair in both], axis=0).tolist(), "+.3f")


def _with_interval(by_case: Sequence[float], form: str) -> str:
    low, high = bootstrap_interval([by_case], 0) or (float("nan"), float("nan"))
    return f"{_mean(by_case):{form}} ({low:{form}} to {high:{form}})"


def _effort(rows: Sequence[Row]) -> list[str]:
    """What is left to correct on a new case, beside drawing it from nothing."""
    start = rows[0]
    drawn = _mean(start["drawn_voxels"])
    lines = [
        "## Effort",
        "",
        "What the simulated annotator has to change on a held-out case, mean over cases and seeds. Drawing from "
        f"nothing takes {drawn:.0f} voxels on {_mean(start['drawn_slices']):.1f} slices.",
        "",
        "| cases | strategy | voxels to change | share of drawing | slices to touch |",
        "|---|---|---|---|---|",
    ]
    for same in [[start], *_groups(rows)]:
        voxels, slices = (_mean([_mean(row[name]) for row in same]) for name in ("voxels", "slices"))
        lines.append(
            f"| {same[0]['size']} | {same[0]['strategy']} | {voxels:.0f} | {voxels / drawn:.2f} | {slices:.1f} |"
        )
    return lines


def plot(rows: Sequence[Row], path: Path) -> None:
    """Dice by number of cases, a line for each strategy, a point for each seed."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.2), dpi=120)
    for number, strategy in enumerate(STRATEGIES):
        groups = [same for same in _groups(rows) if same[0]["strategy"] == strategy]
        if groups:
            means = [(same[0]["size"], _mean([_mean(row["dice"]) for row in same])) for same in groups]
            axes.plot(*zip((0, _mean(rows[0]["dice"])), *means), color=f"C{number}", label=strategy)
            points = [(row["size"], _mean(row["dice"])) for same in groups for row in same]
            axes.scatter(*zip(*points), color=f"C{number}", s=12)
    axes.set_xlabel("corrected cases")
    axes.set_ylabel(f"Dice, {len(rows[0]['dice'])} held-out cases")
    axes.set_ylim(0, 1)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def _all(rows: Sequence[Row], name: str) -> str:
    return ", ".join(sorted({row[name] for row in rows}))


def _list(values: Sequence[float], form: str) -> str:
    return ", ".join(f"{value:{form}}" for value in values)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def main() -> int:
    """Command line; returns the exit code."""

    def program() -> None:
        rows = read_rows(RESULTS)
        DOCUMENT.write_text(report(rows), encoding="utf-8")
        plot(rows, PLOT)

    return run_program(program)


if __name__ == "__main__":
    sys.exit(main())
