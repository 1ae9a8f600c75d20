"""The files that an evaluation leaves: results.json, results.md, scores.jsonl and report.html.

Knows what stands in each; numbers come from `tables`, the page from `page`. The same evaluation gives the same bytes.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medsight_core.answer import NOTICE
from medsight_core.evaluation.facts import facts
from medsight_core.evaluation.page import write_page
from medsight_core.evaluation.paper import PAPER
from medsight_core.evaluation.run import Evaluation
from medsight_core.evaluation.summary import METRICS, Row
from medsight_core.evaluation.tables import SCORERS, Table, table


def write_report(evaluation: Evaluation, out: Path) -> list[Path]:
    """Write all files to a folder, replacing those of an earlier run; returns them."""
    written = [out / name for name in ("results.json", "results.md", "scores.jsonl", "report.html")]
    written[0].write_text(json.dumps(_as_json(evaluation), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    written[1].write_text(_as_markdown(evaluation), encoding="utf-8")
    with written[2].open("w", encoding="utf-8") as file:
        for each in evaluation.scored:
            line = {"id": each.case.id, evaluation.benchmark.group: each.case.modality, **each.scores}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    write_page(evaluation, written[3])
    return written


def _as_json(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "notice": NOTICE,
        "benchmark": evaluation.name,
        **evaluation.about,
        "cases": len(evaluation.scored),
        "bad": evaluation.bad,
        "grouped_by": evaluation.benchmark.group,
        "sets": {name: [_row(row) for row in rows] for name, rows in evaluation.sets.items()},
        "paper_percent": PAPER.get(evaluation.name, {}),
        "facts": facts(evaluation),
    }


def _row(row: Row) -> dict[str, Any]:
    return {"label": METRICS[row.metric], **asdict(row)}


def _as_markdown(evaluation: Evaluation) -> str:
    parts = [f"# {evaluation.benchmark.title}\n"]
    for name, rows in evaluation.sets.items():
        parts.append(f"## {name[0].upper()}{name[1:]}\n")
        parts.append(_markdown_table(table(rows, evaluation.name)))
    parts.append("\n".join(f"- {fact}" for fact in facts(evaluation)) + "\n")
    if evaluation.bad:
        parts.append("## Left out\n")
        parts.append("\n".join(f"- {reason}" for reason in evaluation.bad) + "\n")
    return "\n".join([*parts, f"{NOTICE}\n"])


def _markdown_table(shown: Table) -> str:
    lines = [["", "", *shown.columns], ["---"] * (2 + len(shown.columns))]
    lines += [[SCORERS[line.scorer], line.label, *line.cells] for line in shown.lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
