"""The HTML page of an evaluation: the tables, then its worst and best cases as pictures. One file, no scripts.

Knows markup; numbers come from `tables`, pictures from `case_picture`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from medsight_core.answer import NOTICE
from medsight_core.evaluation.case_picture import FOUND, REFERENCE, draw
from medsight_core.evaluation.facts import facts
from medsight_core.evaluation.run import Evaluation
from medsight_core.evaluation.summary import METRICS, Scored
from medsight_core.evaluation.tables import SCORERS, Table, table
from medsight_core.imaging.visible_box import VisibleBox

_SHOWN = 12  # cases at either end

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 84rem; padding: 0 1.5rem; color: #1d2126; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; } th, td { padding: .35rem .7rem; text-align: left; white-space: nowrap; }
thead th { border-bottom: 2px solid #9aa3ad; } tbody tr { border-bottom: 1px solid #dfe3e8; }
tr.ours { background: #eef6ee; } tr.paper { color: #5c6670; font-style: italic; }
td { font-variant-numeric: tabular-nums; }
.cases { display: grid; grid-template-columns: repeat(auto-fill, minmax(22rem, 1fr)); gap: 1.2rem; }
.case { border: 1px solid #d5dae0; border-radius: 6px; padding: .8rem; overflow-wrap: anywhere; }
.case img { display: block; max-width: 100%; margin: 0 auto .6rem; background: #000; }
.case p { margin: .25rem 0; white-space: pre-wrap; } .case b { color: #5c6670; font-weight: 600; }
.case .id { color: #5c6670; font-size: 13px; }
.key { display: inline-block; width: 1.6rem; height: 0; margin: 0 .35rem .25rem 1rem; border-top: 3px solid; }
.notice { margin-top: 2.5rem; font-weight: 600; color: #8a4b00; }
"""


def write_page(evaluation: Evaluation, path: Path) -> None:
    """Write the page to a file."""
    parts = [f"<h1>{escape(evaluation.benchmark.title)}</h1>"]
    for name, rows in evaluation.sets.items():
        parts += [f"<h2>{escape(name[0].upper() + name[1:])}</h2>", _html_table(table(rows, evaluation.name))]
    parts.append("<ul>" + "".join(f"<li>{escape(fact)}</li>" for fact in facts(evaluation)) + "</ul>")
    ranked = sorted(evaluation.scored, key=lambda each: (_rank(each), each.case.id))
    count = min(_SHOWN, -(-len(ranked) // 2))
    legend = _legend() if any(each.case.masks for each in ranked) else ""
    for title, cases in (("Worst cases", ranked[:count]), ("Best cases", ranked[::-1][: len(ranked) - count][:_SHOWN])):
        if cases:
            shown = "".join(_case(evaluation, each) for each in cases)
            parts.append(f'<h2>{title}</h2>{legend}<div class="cases">{shown}</div>')
    if evaluation.bad:
        parts.append("<h2>Left out</h2><ul>" + "".join(f"<li>{escape(why)}</li>" for why in evaluation.bad) + "</ul>")
    path.write_text(
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(evaluation.benchmark.title)}</title><style>{_STYLE}</style></head>\n"
        f'<body>\n{"".join(parts)}\n<p class="notice">{NOTICE}</p></body></html>\n',
        encoding="utf-8",
    )


def _rank(each: Scored) -> float:
    """Our score of a case by which cases are ordered."""
    if "ours.false_positive" in each.scores:
        return 1 - each.scores["ours.false_positive"]
    return next((each.scores[m] for m in ("ours.dice", "ours.all", "ours.choice") if m in each.scores), 0.0)


def _case(evaluation: Evaluation, each: Scored) -> str:
    case = each.case
    images = []
    for picture in case.pictures():
        found = reference = None
        if case.masks:
            found, reference = evaluation.outlines(case)
        visible = VisibleBox.of(picture.height, picture.width, evaluation.side).box
        data = base64.b64encode(draw(picture, found, reference, visible)).decode()
        images.append(f'<img alt="" src="data:image/jpeg;base64,{data}">')
    lines = [("Asked", case.prompt), ("Reference", case.answer), ("Reply", each.reply)]
    words = "".join(f"<p><b>{label}:</b> {escape(text)}</p>" for label, text in lines if text or label == "Reply")
    words += "".join(f"<p><b>{title}:</b> {escape(text)}</p>" for title, text in _scores(each))
    return (
        f'<div class="case">{"".join(images)}{words}<p class="id">{escape(case.id)}, {escape(case.modality)}</p></div>'
    )


def _scores(each: Scored) -> Iterator[tuple[str, str]]:
    """The scores that differ from case to case for a reason one can see, by scorer."""
    for scorer, title in (("official", "The authors' scorer"), ("ours", "Our scorer")):
        shown = [f"{METRICS[name]} {100 * value:.1f}" for name, value in each.scores.items() if _shown(name, scorer)]
        if shown:
            yield title, "; ".join(shown)


def _shown(metric: str, scorer: str) -> bool:
    return metric.startswith(f"{scorer}.") and not metric.endswith((".all", ".precision", ".f1", ".exact"))


def _legend() -> str:
    keys = (("dashed", REFERENCE, "reference"), ("solid", FOUND, "outlined by the model, as a user gets it"))
    lines = "".join(
        f'<span class="key" style="border-top-style:{style};border-color:rgb{color}"></span>{text}'
        for style, color, text in keys
    )
    return f"<p>{lines}; darkened: not seen by the model</p>"


def _html_table(shown: Table) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in ("", "", *shown.columns))
    body = "".join(
        f'<tr class="{line.scorer}"><td>{SCORERS[line.scorer]}</td><td>{escape(line.label)}</td>'
        f"{_cells(line.cells)}</tr>"
        for line in shown.lines
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cells(cells: Sequence[str]) -> str:
    return "".join(f"<td>{escape(cell)}</td>" for cell in cells)
