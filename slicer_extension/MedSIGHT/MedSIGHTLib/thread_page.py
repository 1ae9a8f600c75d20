"""A conversation as the rich text that the panel shows. Knows HTML as far as Qt's text browser does; knows no Qt.

Every text of the server or the user is escaped. A region is a `Link` behind a dot of its colour, so that the colour is
never the only sign and any colour stays readable on any background.
"""

from __future__ import annotations

import html
from typing import Sequence

from medsight_core.answer import Answer, Region
from MedSIGHTLib.conversation import Link, Turn
from MedSIGHTLib.translating import _
from MedSIGHTLib.waiting import Waiting

LATEST = "latest"  # name of the anchor before the newest turn


def conversation_html(turns: Sequence[Turn], text: str, muted: str, waiting: Waiting | None = None) -> str:
    """All turns, newest last, and the one that is waited for; ``text`` and ``muted`` are the panel's own colours."""
    parts = [_turn_html(number, turn, text, muted) for number, turn in enumerate(turns)]
    if waiting is not None:
        parts.append(_waiting_html(len(turns), waiting, muted))
    body = "".join([*parts[:-1], f"<a name='{LATEST}'></a>", *parts[-1:]])
    return f"<body style='color:{text}'>{body}</body>"


def _waiting_html(number: int, waiting: Waiting, muted: str) -> str:
    """What the model says so far is not what holds: the answer takes its place."""
    said = html.escape(waiting.text).replace("\n", "<br>") + " \N{HORIZONTAL ELLIPSIS}"
    return (
        _question_html(number, waiting.prompt, waiting.looked_at, muted)
        + f"<p style='margin:0 0 6px 0; line-height:135%; color:{muted}'><i>{said}</i></p>"
    )


def _question_html(number: int, prompt: str, looked_at: str, muted: str) -> str:
    about = f" &nbsp;·&nbsp; {html.escape(looked_at)}" if looked_at else ""
    return f"<p style='margin:{14 if number else 2}px 0 4px 0; color:{muted}'>{html.escape(prompt)}{about}</p>"


def _turn_html(number: int, turn: Turn, text: str, muted: str) -> str:
    parts = [
        _question_html(number, turn.prompt, turn.looked_at, muted),
        f"<p style='margin:0 0 6px 0; line-height:135%'>{_answer_html(number, turn.answer, text)}</p>",
    ]
    if turn.answer.regions:
        rows = "".join(_row_html(number, region, text, muted) for region in turn.answer.regions)
        parts.append(f"<table cellspacing='0' cellpadding='2' style='margin:0 0 4px 0'>{rows}</table>")
    if turn.answer.absent:
        not_seen = html.escape(_("Not seen: {names}").format(names=", ".join(turn.answer.absent)))
        parts.append(f"<p style='margin:0 0 4px 0; color:{muted}'>{not_seen}</p>")
    if turn.kept:
        words = _("You changed {names}, so that was kept; the new outline has a number behind its name.")
        kept = html.escape(words.format(names=", ".join(turn.kept)))
        parts.append(f"<p style='margin:0 0 4px 0; color:{muted}'>{kept}</p>")
    return "".join(parts)


def _answer_html(number: int, answer: Answer, text: str) -> str:
    """The sentence with each region's name as a link; its "[1]" gives way to the dot."""
    pieces, end = [], 0
    for region in sorted(answer.regions, key=lambda region: region.span):
        start, stop = region.span
        if not end <= start < stop <= len(answer.text):
            continue  # a span that fits nothing leaves the sentence as it is
        pieces.append(html.escape(answer.text[end:start]))
        pieces.append(_link_html(number, region, answer.text[start:stop], text))
        end = stop
        marker = f" [{region.label}]"
        if answer.text.startswith(marker, end):
            end += len(marker)
    pieces.append(html.escape(answer.text[end:]))
    return "".join(pieces)


def _row_html(number: int, region: Region, text: str, muted: str) -> str:
    volume = _("{volume} ml").format(volume=f"{region.volume_ml:,.1f}") if region.volume_ml else ""
    confidence = _("{confidence} confidence").format(confidence=f"{region.confidence:.0%}")
    return (
        f"<tr><td>{_link_html(number, region, region.name, text)}</td>"
        f"<td align='right' style='padding-left:18px; color:{muted}'>{volume}</td>"
        f"<td align='right' style='padding-left:18px; color:{muted}'>{confidence}</td></tr>"
    )


def _link_html(number: int, region: Region, words: str, text: str) -> str:
    color = "#{:02x}{:02x}{:02x}".format(*(round(255 * min(max(c, 0.0), 1.0)) for c in region.color))
    return (
        f"<a href='{Link(number, region.label)}' style='text-decoration:none'>"
        f"<span style='color:{color}'>\N{BLACK CIRCLE}</span>&nbsp;"
        f"<span style='color:{text}; font-weight:600'>{html.escape(words)}</span></a>"
    )
