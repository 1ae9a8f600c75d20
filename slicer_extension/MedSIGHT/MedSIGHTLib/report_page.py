"""A report as it is read: plain text, a web page in one file, and the rich text that the panel shows.

Everything that a person, a model or a scene has written is escaped. Knows neither Slicer nor Qt.
"""

from __future__ import annotations

import base64
import html
import re
from dataclasses import dataclass
from typing import Mapping

from medsight_core.answer import NOTICE, ModelInfo
from MedSIGHTLib.findings import Finding, Report, Structure
from MedSIGHTLib.translating import _

TITLE = "MedSIGHT report"
CHOSEN = "chosen"  # name of the anchor at the finding that is chosen in the panel
_EMPTY = _("Nothing is written here yet.")
_GONE = _("no longer outlined in the scene")
_ABOUT = _(
    "Volumes, diameters and means were measured in the outlines as they were when the report was written. "
    "Largest diameter: between any two points of an outline's surface. "
    "Mean: of the volume's values inside the outline; HU only where the volume says that it is CT. "
    "Confidence: the model's own, in what nobody has changed."
)
_LEFT = {"axial": "R", "coronal": "R", "sagittal": "A"}  # which side of the patient is on the left of a picture
_STYLE = """
:root { color-scheme: light; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1c2330; background: #fff; max-width: 52rem; margin: 2rem auto;
  padding: 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; }
.notice { border: 1px solid #b3261e; border-radius: 6px; color: #8c1d18; font-weight: 600; padding: .4rem .8rem; }
section { border-top: 1px solid #d8dce3; margin-top: 1.5rem; padding-top: .5rem; }
.asked, footer, figcaption { color: #5a6372; font-size: .9rem; }
.asked { margin: .5rem 0 0; }
.text { font-size: 1.1rem; margin: .2rem 0 .8rem; white-space: pre-wrap; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid #e6e9ee; padding: .3rem .5rem; text-align: right; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
th { color: #5a6372; font-size: .85rem; font-weight: 600; }
.dot { border: 1px solid #0005; border-radius: 50%; display: inline-block; height: .7em; margin-right: .5em;
  width: .7em; }
.hand { color: #5a6372; }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem; margin-top: 1rem; }
figure { margin: 0; width: 16rem; break-inside: avoid; }
.frame { background: #000; border-radius: 6px; height: 16rem; overflow: hidden; position: relative; }
.frame img { height: 100%; object-fit: contain; width: 100%; }
.frame span { color: #fff; left: .5rem; position: absolute; text-shadow: 0 0 4px #000; top: calc(50% - .75em); }
footer { border-top: 1px solid #d8dce3; margin-top: 2rem; padding-top: .5rem; }
"""


@dataclass(frozen=True)
class KeyImage:
    """A picture of an outline: a PNG file's bytes, and the orientation ("axial") of the plane that it shows."""

    png: bytes
    orientation: str


def as_text(report: Report) -> str:
    """The report for any editor; ends with a line break."""
    lines = [TITLE, NOTICE, ""]
    for number, finding in enumerate(report.findings, 1):
        first, *rest = (finding.text or _EMPTY).splitlines() or [_EMPTY]
        lines += [f"{number}. {first}", *(f"   {line}".rstrip() for line in rest)]
        if finding.question:
            lines.append("   " + _("Asked: {question}").format(question=" ".join(_asked(finding).split())))
        lines += [f"   - {_one_line(structure)}" for structure in finding.structures]
        lines.append("")
    lines += [_model(model) for model in report.models]
    return "\n".join([*lines, _ABOUT, ""])


def as_html(report: Report, pictures: Mapping[str, KeyImage]) -> str:
    """The report as a web page that needs no other file and runs nothing; ``pictures`` by segment id."""
    left = dict(pictures)  # each is shown once, where its structure is named first
    sections = "".join(_section(number, finding, left) for number, finding in enumerate(report.findings, 1))
    models = "".join(f"<p>{html.escape(_model(model))}</p>" for model in report.models)
    return (
        "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'>"
        # The browser, too, is told that nothing here may run or be fetched.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
        "<meta name='viewport' content='width=device-width'>"
        f"<title>{TITLE}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{TITLE}</h1><p class='notice'>{NOTICE}</p>{sections}"
        f"<footer>{models}<p>{_ABOUT}</p></footer></body></html>\n"
    )


def as_rich_text(report: Report, chosen: int | None, text: str, muted: str) -> str:
    """The report as Qt's text browser shows it; what its links mean tells `parse_link`.

    chosen: the finding (from 0) that stands out. ``text`` and ``muted`` are the panel's own colours.
    """
    parts = []
    for number, finding in enumerate(report.findings):
        if number == chosen:
            parts.append(f"<a name='{CHOSEN}'></a>")
        weight = 600 if number == chosen else 400
        words = html.escape(finding.text or _EMPTY).replace("\n", "<br>")
        parts.append(
            f"<p style='margin:{10 if number else 2}px 0 2px 0; line-height:130%'>"
            f"<a href='finding:{number}' style='text-decoration:none; color:{text}; font-weight:{weight}'>"
            f"{number + 1}. {words}</a></p>"
        )
        if finding.question:
            parts.append(f"<p style='margin:0 0 2px 0; color:{muted}'>{html.escape(_asked(finding))}</p>")
        rows = (_row(f"finding:{number}:{n}", each, text, muted) for n, each in enumerate(finding.structures))
        if finding.structures:
            parts.append(f"<table cellspacing='0' cellpadding='2'>{''.join(rows)}</table>")
    return f"<body style='color:{text}'>{''.join(parts)}</body>"


def parse_link(text: str) -> tuple[int, int | None] | None:
    """Of ``finding:1`` or ``finding:1:0``: which finding, and which of its structures if one; None of other text."""
    match = re.fullmatch(r"finding:(\d+)(?::(\d+))?", text, re.ASCII)
    return None if match is None else (int(match[1]), None if match[2] is None else int(match[2]))


def _color(structure: Structure) -> str:
    """``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*(round(255 * min(max(channel, 0.0), 1.0)) for channel in structure.color))


def _asked(finding: Finding) -> str:
    return finding.question + (f" ({finding.looked_at})" if finding.looked_at else "")


def _model(model: ModelInfo) -> str:
    name, licence = f"{model.id} {model.version}".strip(), model.licence or _("not stated by the server")
    return _("Model: {name}, licence: {licence}").format(name=name, licence=licence)


def _numbers(structure: Structure) -> tuple[str, str, str, str] | None:
    """Volume, largest diameter and mean with their units, and confidence; None when there is nothing to measure."""
    measured = structure.measured
    if measured is None:
        return None
    mean = "" if measured.mean is None else f"{_number(measured.mean)} {structure.unit}".strip()
    sure = "" if structure.by_hand or structure.confidence is None else f"{structure.confidence:.0%}"
    return f"{_number(measured.volume_ml)} ml", f"{_number(measured.diameter_mm)} mm", mean, sure


def _number(value: float) -> str:
    """One digit behind the point; three that say something of what is smaller than one."""
    return f"{value:,.1f}" if abs(value) >= 1 else f"{value:.3g}"


def _name(structure: Structure) -> str:
    return structure.name + (" " + _("(changed by hand)") if structure.by_hand else "")


def _one_line(structure: Structure) -> str:
    numbers = _numbers(structure)
    if numbers is None:
        return f"{structure.name}: {_GONE}"
    volume, diameter, mean, confidence = numbers
    words = [volume, _("largest diameter {length}").format(length=diameter)]
    words += [_("mean {value}").format(value=mean)] if mean else []
    words += [_("confidence {value}").format(value=confidence)] if confidence else []
    return f"{_name(structure)}: {', '.join(words)}"


def _section(number: int, finding: Finding, pictures: dict[str, KeyImage]) -> str:
    asked = f"<p class='asked'>{html.escape(_asked(finding))}</p>" if finding.question else ""
    body = f"{asked}<p class='text'>{number}. {html.escape(finding.text or _EMPTY)}</p>"
    if finding.structures:
        rows = "".join(_table_row(structure) for structure in finding.structures)
        titles = _("Structure"), _("Volume"), _("Largest diameter"), _("Mean"), _("Confidence")
        heads = "".join(f"<th>{html.escape(title)}</th>" for title in titles)
        body += f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    figures = "".join(
        _figure(structure, pictures.pop(structure.segment_id))
        for structure in finding.structures
        if structure.segment_id in pictures
    )
    return f"<section>{body}" + (f"<div class='pictures'>{figures}</div>" if figures else "") + "</section>"


def _table_row(structure: Structure) -> str:
    numbers = _numbers(structure)
    name = f"<span class='dot' style='background:{_color(structure)}'></span>{html.escape(structure.name)}"
    if numbers is None:
        return f"<tr><td>{name}</td><td colspan='4'>{_GONE}</td></tr>"
    hand = f" <span class='hand'>{_('(changed by hand)')}</span>" if structure.by_hand else ""
    return f"<tr><td>{name}{hand}</td>" + "".join(f"<td>{html.escape(words)}</td>" for words in numbers) + "</tr>"


def _figure(structure: Structure, picture: KeyImage) -> str:
    name, data = html.escape(structure.name), base64.b64encode(picture.png).decode()
    caption = f"{name}, {html.escape(picture.orientation)}"
    return (
        f"<figure><div class='frame'><img alt='{caption}' src='data:image/png;base64,{data}'>"
        f"<span>{_LEFT[picture.orientation]}</span></div><figcaption>{caption}</figcaption></figure>"
    )


def _row(link: str, structure: Structure, text: str, muted: str) -> str:
    *numbers, confidence = _numbers(structure) or ("",)
    if confidence:
        numbers.append(_("confidence {value}").format(value=confidence))
    measured = " · ".join(filter(None, numbers)) or _GONE
    return (
        f"<tr><td><a href='{link}' style='text-decoration:none'>"
        f"<span style='color:{_color(structure)}'>\N{BLACK CIRCLE}</span>&nbsp;"
        f"<span style='color:{text}'>{html.escape(_name(structure))}</span></a></td>"
        f"<td style='padding-left:12px; color:{muted}'>{html.escape(measured)}</td></tr>"
    )
