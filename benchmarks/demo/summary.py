"""What the rows of an examination say: the figures that the model is judged by, and tables of them in Markdown."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.demo.figures import (
    Figure,
    balanced,
    calibration_error,
    macro_dice,
    median_seconds,
    rank_correlation,
    rate,
)
from benchmarks.demo.run import DEEP_NAMES
from benchmarks.demo.trials import Trial

Rows = Mapping[str, Any]
_LUNGS = ("right lung", "left lung")


def goals(rows: Rows) -> list[Figure]:
    """The figures with what they should reach."""
    outlines, volumes = _trials(rows["outlines"]), _trials(rows["volumes"])
    present, absent = [t for t in outlines if t.present], [t for t in outlines if not t.present]
    outlined = [t for t in present if t.accepted]
    several = _trials(rows["several"])
    wording = rows["wording"]
    return [
        macro_dice("Dice, generated brain MR of unseen subjects", _at(present, "brain"), 0.70),
        macro_dice("Dice, lungs in unseen chest phantoms", _named(_at(present, "chest"), _LUNGS), 0.85),
        macro_dice("Dice, fetal head in HC18, unseen fetuses", _at(present, "fetal"), 0.90),
        macro_dice("Dice, 12 deep structures of two real brains, whole volume", _named(volumes, DEEP_NAMES), 0.65, 1),
        macro_dice("Dice, lungs in a real chest CT, whole volume", _named(volumes, _LUNGS), 0.85, 1),
        rate("left and right swapped", [t.swapped for t in (*outlined, *volumes)], most=0.0),
        rate("wrong name on a right mask", [t.misnamed for t in outlined], most=0.01),
        rate("absent requests: false masks", [t.accepted for t in absent], most=0.05),
        rate("present requests: accepted", [t.accepted for t in present], least=0.90),
        balanced("yes-or-no questions right", _trials(rows["checks"]), least=0.90),
        balanced("the same about blank images (chance: 0.5)", _trials(rows["blank"])),
        rate("free wording and typos understood", [row["understood"] for row in wording], least=0.90),
        rate("several at once: names and number exact", [bool(t.exact) for t in several], least=0.90),
        *_losses(rows["worse"]),
        calibration_error("expected calibration error of presence", outlines, most=0.05),
        rank_correlation("rank correlation of confidence with Dice", present, least=0.5),
        median_seconds("first answer on a plane, seconds", rows["seconds"]["first"], 6),
        median_seconds("second answer on the same plane, seconds", rows["seconds"]["second"], 2),
    ]


def by_site(rows: Rows) -> list[Figure]:
    """Dice, accepted and falsely outlined by region of the body."""
    trials = _trials(rows["outlines"])
    found = []
    for site in dict.fromkeys(t.site for t in trials):
        own = _at(trials, site)
        found += [
            macro_dice(f"{site}: Dice", [t for t in own if t.present]),
            rate(f"{site}: accepted", [t.accepted for t in own if t.present]),
            rate(f"{site}: false masks", [t.accepted for t in own if not t.present]),
        ]
    return found


def by_name(rows: Rows) -> dict[str, tuple[float, int, float, int]]:
    """Of each name: mean Dice and n of present ones, share falsely outlined and n of absent ones."""
    groups: dict[str, list[Trial]] = defaultdict(list)
    for trial in _trials(rows["outlines"]):
        groups[trial.name].append(trial)
    table = {}
    for name, trials in sorted(groups.items()):
        overlaps = [t.dice for t in trials if t.dice is not None]
        wrong = [t.accepted for t in trials if not t.present]
        table[name] = (_mean(overlaps), len(overlaps), _mean(wrong), len(wrong))
    return table


def controls(rows: Rows) -> list[Figure]:
    """What is left without codes, and without the presence check."""
    found = []
    for name, own in rows["controls"].items():
        trials = _trials(own)
        found += [
            macro_dice(f"{name}: Dice", [t for t in trials if t.present], fewest=1),
            rate(f"{name}: false masks", [t.accepted for t in trials if not t.present]),
        ]
    return found


def wording_by_form(rows: Rows) -> list[Figure]:
    """Understood questions by their form."""
    forms = Counter(row["form"] for row in rows["wording"])
    return [rate(form, [row["understood"] for row in rows["wording"] if row["form"] == form]) for form in sorted(forms)]


def table(figures: Sequence[Figure]) -> str:
    """Markdown rows: figure, interval, n, goal, and whether it is met."""
    lines = ["| figure | measured | 95 % | n | goal | |", "|---|---|---|---|---|---|"]
    for figure in figures:
        met = "" if figure.met is None else "met" if figure.met else "**not met**"
        span = "" if math.isnan(figure.low) else f"{figure.low:.3g} to {figure.high:.3g}"
        lines.append(f"| {figure.title} | {figure.value:.3g} | {span} | {figure.n} | {figure.goal} | {met} |")
    return "\n".join(lines)


def _losses(worse: Mapping[str, Any]) -> list[Figure]:
    """How much of the mean Dice is lost on worse copies of the same planes; intervals by bootstrap over questions."""
    good = np.array([t.dice for t in _trials(worse["none"]) if t.dice is not None], float)
    rng, found = np.random.default_rng(0), []
    for name, own in worse.items():
        bad = np.array([t.dice for t in _trials(own) if t.dice is not None], float)
        if name == "none" or not len(bad):
            continue
        drawn = rng.integers(len(bad), size=(300, len(bad)))
        low, high = (float(v) for v in np.quantile(1 - bad[drawn].mean(1) / good[drawn].mean(1), (0.025, 0.975)))
        value = float(1 - bad.mean() / good.mean())
        found.append(Figure(f"Dice lost by {name}", value, low, high, len(bad), "at most 0.1", value <= 0.1))
    return found


def _trials(rows: Sequence[Mapping[str, Any]]) -> list[Trial]:
    return [Trial(**row) for row in rows]


def _at(trials: Sequence[Trial], site: str) -> list[Trial]:
    return [trial for trial in trials if trial.site == site]


def _named(trials: Sequence[Trial], names: Sequence[str]) -> list[Trial]:
    return [trial for trial in trials if trial.name in names]


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan
