"""What the rows of an examination say: the figures that the model is judged by, and tables of them in Markdown.

Figures have short names, by which whoever tells of them (`sample_data.card`) finds each.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from benchmarks.demo.degrade import WORSE
from benchmarks.demo.figures import (
    Figure,
    at_chance,
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
Figures = dict[str, Figure]
_LUNGS = ("right lung", "left lung")


def goals(rows: Rows) -> Figures:
    """The figures with what they should reach."""
    outlines, volumes = outline_trials_of(rows), _trials(rows["volumes"])
    present, absent = [t for t in outlines if t.present], [t for t in outlines if not t.present]
    outlined = [t for t in present if t.accepted]
    several, wording = _trials(rows["several"]), rows["wording"]
    understood = [row["understood"] for row in wording]
    return {
        "brain dice": macro_dice("Dice, generated brain MR of unseen subjects", _at(present, "brain"), 0.70),
        "chest dice": macro_dice("Dice, lungs in unseen chest phantoms", _named(_at(present, "chest"), _LUNGS), 0.85),
        "fetal dice": macro_dice("Dice, fetal head in HC18, unseen fetuses", _at(present, "fetal"), 0.90),
        "real brain dice": macro_dice(
            "Dice, 12 deep structures of two real brains, whole volume", _named(volumes, DEEP_NAMES), 0.65, 1
        ),
        "real chest dice": macro_dice("Dice, lungs in a real chest CT, whole volume", _named(volumes, _LUNGS), 0.85, 1),
        "swapped": rate("left and right swapped", [t.swapped for t in (*outlined, *volumes)], most=0.0),
        "misnamed": rate("wrong name on a right mask", [t.misnamed for t in outlined], most=0.01),
        "false masks": rate("absent requests: false masks", [t.accepted for t in absent], most=0.05),
        "accepted": rate("present requests: accepted", [t.accepted for t in present], least=0.90),
        "checks": balanced("yes-or-no questions right", _trials(rows["checks"]), least=0.90),
        "blank": at_chance("the same about blank images", _trials(rows["blank"])),
        "wording": rate("free wording and typos understood", understood, least=0.90),
        "several": rate("several at once: names and number exact", [bool(t.exact) for t in several], least=0.90),
        **{f"loss by {name}": _loss(rows["worse"], name) for name in WORSE},
        "calibration": calibration_error("expected calibration error of presence", outlines, most=0.05),
        "rank": rank_correlation("rank correlation of confidence with Dice", present, least=0.5),
        "first answer": median_seconds("first answer on a plane, seconds", rows["seconds"]["first"], 6),
        "second answer": median_seconds("second answer on the same plane, seconds", rows["seconds"]["second"], 2),
    }


def by_site(rows: Rows) -> dict[str, Figures]:
    """Dice, accepted and falsely outlined by region of the body."""
    trials = outline_trials_of(rows)
    found = {}
    for site in dict.fromkeys(t.site for t in trials):
        own = _at(trials, site)
        found[site] = {
            "dice": macro_dice("Dice", [t for t in own if t.present]),
            "accepted": rate("accepted", [t.accepted for t in own if t.present]),
            "false masks": rate("false masks", [t.accepted for t in own if not t.present]),
        }
    return found


def by_name(rows: Rows) -> dict[str, dict[str, float | None]]:
    """Of each name: mean Dice and n of present ones, share falsely outlined and n of absent ones."""
    groups: dict[str, list[Trial]] = defaultdict(list)
    for trial in outline_trials_of(rows):
        groups[trial.name].append(trial)
    table = {}
    for name, trials in sorted(groups.items()):
        overlaps = [t.dice for t in trials if t.dice is not None]
        wrong = [t.accepted for t in trials if not t.present]
        table[name] = {"dice": _mean(overlaps), "present": len(overlaps), "false": _mean(wrong), "absent": len(wrong)}
    return table


def controls(rows: Rows) -> dict[str, Figures]:
    """What is left without codes and without the presence check, and what comes of another modality's names."""
    found = {}
    for name, own in rows["controls"].items():
        trials = _trials(own)
        present, absent = [t for t in trials if t.present], [t for t in trials if not t.present]
        found[name] = {"dice": macro_dice("Dice", present, fewest=1)} if present else {}
        found[name]["false masks"] = rate("false masks", [t.accepted for t in absent])
    return found


def wording_by_form(rows: Rows) -> Figures:
    """Understood questions by their form."""
    forms = Counter(row["form"] for row in rows["wording"])
    return {
        form: rate(form, [row["understood"] for row in rows["wording"] if row["form"] == form])
        for form in sorted(forms)
    }


def to_json(rows: Rows) -> dict[str, Any]:
    """All figures as plain JSON."""
    return {
        "goals": _json(goals(rows)),
        "sites": {site: _json(figures) for site, figures in by_site(rows).items()},
        "names": by_name(rows),
        "wording": _json(wording_by_form(rows)),
        "controls": {name: _json(figures) for name, figures in controls(rows).items()},
    }


def to_markdown(rows: Rows) -> str:
    """All figures as tables."""
    names = "\n".join(
        f"| {name} | {_number(row['dice'])} | {row['present']} | {_number(row['false'])} | {row['absent']} |"
        for name, row in by_name(rows).items()
    )
    return "\n\n".join(
        [
            table(goals(rows).values()),
            "## By region of the body",
            table(_flat(by_site(rows))),
            "## By name",
            f"| name | Dice | n | falsely outlined | n |\n|---|---|---|---|---|\n{names}",
            "## Free wording by form",
            table(wording_by_form(rows).values()),
            "## Controls",
            table(_flat(controls(rows))),
        ]
    )


def table(figures: Iterable[Figure]) -> str:
    """Markdown rows: figure, interval, n, goal, and whether it is met."""
    lines = ["| figure | measured | 95 % | n | goal | |", "|---|---|---|---|---|---|"]
    for figure in figures:
        met = "" if figure.met is None else "met" if figure.met else "**not met**"
        span = "" if math.isnan(figure.low) else f"{figure.low:.3g} to {figure.high:.3g}"
        lines.append(f"| {figure.title} | {figure.value:.3g} | {span} | {figure.n} | {figure.goal} | {met} |")
    return "\n".join(lines)


def outline_trials_of(rows: Rows) -> list[Trial]:
    """The outlines of all planes."""
    return _trials(list(chain(*rows["outlines"])))


def _loss(worse: Mapping[str, Any], name: str) -> Figure:
    """How much of the mean Dice is lost on worse copies of the same planes; interval by bootstrap over questions."""
    good, bad = (
        np.array([t.dice for t in _trials(worse.get(copies, ())) if t.dice is not None], float)
        for copies in ("none", name)
    )
    title, goal = f"Dice lost by {name}", "at most 0.1"
    if not len(bad) or not good.mean() > 0:
        return Figure(title, math.nan, math.nan, math.nan, len(bad), goal)
    drawn = np.random.default_rng(0).integers(len(bad), size=(300, len(bad)))
    with np.errstate(invalid="ignore", divide="ignore"):
        losses = 1 - bad[drawn].mean(1) / good[drawn].mean(1)
    low, high = (float(v) for v in np.nanquantile(losses, (0.025, 0.975)))
    value = float(1 - bad.mean() / good.mean())
    return Figure(title, value, low, high, len(bad), goal, value <= 0.1)


def _json(figures: Figures) -> dict[str, Any]:
    return {name: figure.to_json() for name, figure in figures.items()}


def _flat(groups: Mapping[str, Figures]) -> list[Figure]:
    """Figures of several groups, the group's name before each title."""
    return [
        Figure(f"{name}: {figure.title}", figure.value, figure.low, figure.high, figure.n)
        for name, figures in groups.items()
        for figure in figures.values()
    ]


def _trials(rows: Sequence[Mapping[str, Any]]) -> list[Trial]:
    return [Trial(**row) for row in rows]


def _at(trials: Sequence[Trial], site: str) -> list[Trial]:
    return [trial for trial in trials if trial.site == site]


def _named(trials: Sequence[Trial], names: Sequence[str]) -> list[Trial]:
    return [trial for trial in trials if trial.name in names]


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
