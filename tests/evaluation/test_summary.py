"""Means by modality, over modalities and over cases, and how they are written."""

from __future__ import annotations

import pytest

from medsight_core.evaluation.cases import Case
from medsight_core.evaluation.paper import PAPER
from medsight_core.evaluation.summary import METRICS, Scored, summarise
from medsight_core.evaluation.tables import table


def scored(*values: tuple[str, str, float]) -> list[Scored]:
    return [
        Scored(Case(str(number), (), "?", "", "open", modality=modality), "", {metric: value})
        for number, (modality, metric, value) in enumerate(values)
    ]


MIXED = scored(
    ("MRI", "ours.dice", 0.2),
    ("CT", "ours.dice", 0.5), ("CT", "ours.dice", 0.7), ("CT", "ours.dice", 0.9),
    ("CT", "ours.false_positive", 1.0),
)  # fmt: skip


def test_means():
    row, apart = summarise(MIXED, seed=0)
    assert list(row.groups) == ["CT", "MRI"]
    assert row.groups["CT"].mean == pytest.approx(0.7)  # (0.5 + 0.7 + 0.9) / 3
    assert (row.groups["CT"].n, row.groups["MRI"].n, row.all.n, row.macro.n) == (3, 1, 4, 2)
    assert row.macro.mean == pytest.approx(0.45)  # (0.7 + 0.2) / 2
    assert row.all.mean == pytest.approx(0.575)  # 2.3 / 4
    low, high = row.all.interval
    assert 0.2 <= low < 0.575 < high <= 0.9
    assert row.groups["MRI"].interval is None
    assert (apart.metric, apart.all.n) == ("ours.false_positive", 1)


def test_the_same_seed_gives_the_same_rows():
    assert summarise(MIXED, 1) == summarise(MIXED, 1)
    assert summarise(MIXED, 1) != summarise(MIXED, 2)


def test_the_papers_line_follows_its_metric():
    rows = summarise(
        scored(("CT", "official.dice", 0.6), ("OCT", "official.dice", 0.4), ("CT", "ours.dice", 0.5)), seed=0
    )
    shown = table(rows, "diagseg")
    assert shown.columns == ("CT", "OCT", "mean", "all cases")
    lines = [(line.scorer, line.cells) for line in shown.lines]
    assert lines[0] == ("official", ("60.0, n = 1", "40.0, n = 1", "50.0, of 2", lines[0][1][3]))
    assert lines[1] == ("paper", ("65.8", "55.6", "69.9", ""))
    assert lines[2] == ("ours", ("50.0, n = 1", "", "50.0, of 1", "50.0, n = 1"))


def test_one_group_needs_no_columns_of_its_own():
    shown = table(summarise(scored(("all", "official.closed", 1.0)), 0), "pathvqa")
    assert shown.columns == ("all cases",)
    assert [line.cells for line in shown.lines] == [("100.0, n = 1",), ("66.3",)]


def test_the_papers_metrics_are_metrics():
    assert {metric for rows in PAPER.values() for metric in rows} <= set(METRICS)
    diagseg = PAPER["diagseg"]["official.dice"]
    printed = [value for column, value in diagseg.items() if column != "macro"]
    assert sum(printed) / len(printed) == pytest.approx(67.2, abs=0.05)  # not the printed average, model-spec 8.4
