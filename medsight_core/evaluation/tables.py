"""An evaluation's numbers as lines of text, for every kind of report: ours beside the authors' beside the paper's.

Knows how numbers are written; knows no markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from medsight_core.evaluation.cases import modality_order
from medsight_core.evaluation.paper import PAPER
from medsight_core.evaluation.summary import METRICS, Cell, Row

SCORERS = {"official": "authors", "paper": "paper", "ours": "ours"}


@dataclass(frozen=True)
class Line:
    """One line of a table. scorer: a key of `SCORERS`. cells: as many as the table has columns, "" where nothing is."""

    scorer: str
    label: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Lines under columns; the last two columns are "mean" (of the groups) and "all cases"."""

    columns: tuple[str, ...]
    lines: tuple[Line, ...]


def table(rows: Sequence[Row], benchmark: str) -> Table:
    """The rows of a benchmark; the paper's value follows the metric that it is of."""
    groups = sorted({name for row in rows for name in row.groups}, key=modality_order)
    shown = groups if len(groups) > 1 else []
    lines = []
    for row in rows:
        scorer, label = row.metric.partition(".")[0], METRICS[row.metric]
        cells = [_cell(row.groups.get(name)) for name in shown]
        lines.append(Line(scorer, label, (*cells, *([_cell(row.macro, "of {}")] if shown else []), _cell(row.all))))
        if printed := PAPER.get(benchmark, {}).get(row.metric):
            places = [*shown, *(["macro"] if shown else []), "all"]
            lines.append(Line("paper", label, tuple(_printed(printed.get(place)) for place in places)))
    return Table((*shown, *(["mean"] if shown else []), "all cases"), tuple(lines))


def _cell(cell: Cell | None, count: str = "n = {}") -> str:
    """ "54.6 (48.1 to 60.9), n = 336" """
    if cell is None:
        return ""
    interval = f" ({100 * cell.interval[0]:.1f} to {100 * cell.interval[1]:.1f})" if cell.interval else ""
    return f"{100 * cell.mean:.1f}{interval}, {count.format(cell.n)}"


def _printed(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
