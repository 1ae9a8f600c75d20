"""What the panel says of a worklist and of an open case. Knows HTML as far as Qt's labels do; knows no Qt.

Every text of the server or a user is escaped.
"""

from __future__ import annotations

import html
from typing import Sequence

from medsight_core.client import Worklist
from MedSIGHTLib.open_case import OpenCase
from MedSIGHTLib.translating import _

STRATEGIES = {
    "hybrid": _("Doubt and difference together"),
    "uncertainty": _("Where the model is in doubt"),
    "diversity": _("Unlike what is labelled"),
    "random": _("By chance"),
}
NOBODY_LEFT = {
    "label": _("All {total} cases are labelled: choose another task, or add images to the server's studies."),
    "redo": _("No reviewer has flagged a label that is still to be corrected."),
    "review": _("No label waits for a review."),
}
NO_IMAGES = _("The server has no images yet: put some into its studies folder.")


def strategy_words(name: str) -> str:
    """What a strategy of the server is called; its own name when it is a new one."""
    return STRATEGIES.get(name, name)


def nobody_left(task: str, worklist: Worklist) -> str:
    """Why there is no next case."""
    return NOBODY_LEFT[task].format(total=len(worklist.cases)) if worklist.cases else NO_IMAGES


def worklist_html(worklist: Worklist, muted: str) -> str:
    """What is left to do, and how much of the model's work was left as it was."""
    waiting = sum(case.awaits_review for case in worklist.cases)
    flagged = sum(case.awaits_redoing for case in worklist.cases)
    approved = sum(case.status == "approved" for case in worklist.cases)
    text = _("{waiting} to review · {flagged} flagged · {approved} approved").format(
        waiting=waiting, flagged=flagged, approved=approved
    )
    if worklist.preannotated:
        text += _(" · {count} pre-annotated").format(count=worklist.preannotated)
    makers = worklist.makers
    total = makers["model"] + makers["edited"] + makers["drawn"]
    if total:
        words = _("Of {total} outlines handed in, {model} as the model made them, {edited} corrected, {drawn} drawn")
        counts = {maker: makers[maker] for maker in ("model", "edited", "drawn")}
        text += "<br>" + words.format(total=total, **counts)
    return f"<span style='color:{muted}'>{text}</span>"


def case_html(case: OpenCase, muted: str) -> str:
    """Which case it is, whose label it begins with, why it came, and what was said of it."""
    parts = [f"<b>{html.escape(case.id)}</b>"]
    if case.base_version:
        who = _(" by {name}").format(name=html.escape(case.base_annotator)) if case.base_annotator else ""
        about = _("version {number}").format(number=case.base_version) + who
        about += "".join(f", {html.escape(word)}" for word in (case.status, case.level) if word)
    else:
        about = _("no label yet")
    parts[0] += f" <span style='color:{muted}'>· {about}</span>"
    if case.reason:
        parts.append(f"<span style='color:{muted}'>{html.escape(case.reason)}</span>")
    if case.comment:
        who = f"{html.escape(case.reviewer)}: " if case.reviewer else ""
        parts.append(f"{who}{html.escape(case.comment)}")
    return "<br>".join(parts)


def kept_words(version: int, notices: Sequence[str]) -> str:
    """That a label was handed in, and what its annotator should know of it."""
    return " ".join((_("Version {number} is kept.").format(number=version), *notices))
