"""The page's report: findings to read, follow, write over, take out and export.

The report is kept in the scene (`report_store`) with every change; here is only which finding is chosen. Belongs to the
event loop.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Callable

from MedSIGHTLib.conversation_store import load_conversation
from MedSIGHTLib.findings import Report
from MedSIGHTLib.pointing import Pointer
from MedSIGHTLib.report_page import as_rich_text, parse_link
from MedSIGHTLib.report_store import load_report, save_report
from MedSIGHTLib.reporting import collect_findings, export_report
from MedSIGHTLib.style import sentence

from medsight_core.errors import MedSightError

KINDS = ("html", "txt", "json")

# Colours of page.css.
TEXT, MUTED = "var(--text)", "var(--muted)"


class ReportPanel:
    """The report about the volume that the page shows."""

    def __init__(self, state: Any, pointer: Pointer, say: Callable[..., None]):
        """``pointer`` leads to segments; ``say`` shows a sentence, a problem with "problem" behind it."""
        self._state, self._pointer, self._say = state, pointer, say
        self._volume: Any = None
        self._report = Report()
        self._chosen: int | None = None  # a finding, from 0
        self._place: int | None = None  # one of its structures, from 0
        self.show(None)

    def show(self, volume: Any) -> None:
        """Bring the report in line with the scene."""
        if volume is not self._volume:
            self._volume = volume
            self._choose(None)
        self._report = load_report(volume) if volume is not None else Report()
        if self._chosen is not None and self._chosen >= len(self._report.findings):
            self._choose(None)
        self._refresh()

    def collect(self) -> None:
        """Take the conversation's new answers in, and measure everything anew."""
        known = len(self._report.findings)
        try:
            new = len(collect_findings(self._volume).findings) - known
        except MedSightError as error:
            self._say(str(error), "problem")
            return
        news = "1 finding was" if new == 1 else f"{new or 'No'} findings were"
        self._say(f"{news} added to the report, and its outlines were measured anew.")
        self.show(self._volume)

    def add_note(self) -> None:
        """An empty finding, to be written now."""
        self._save(self._report.with_note())
        self._choose(len(self._report.findings) - 1)
        self._refresh()

    def remove(self) -> None:
        """Take the chosen structure out of its finding, or the chosen finding out of the report."""
        if self._chosen is None:
            return
        chosen, place = self._chosen, self._place
        self._choose(chosen if place is not None else None)
        self._save(self._report.without(chosen, place))
        self._refresh()

    def write(self, text: str) -> None:
        """The chosen finding was written over."""
        if self._chosen is not None and text != self._report.findings[self._chosen].text:
            self._save(self._report.with_text(self._chosen, text))
            self._refresh()

    def follow(self, text: str) -> None:
        """Choose the finding that a link means, and go to the segment if it means one."""
        link = parse_link(text)
        if link is None or link[0] >= len(self._report.findings):
            return
        self._choose(*link)
        self._refresh()
        if link[1] is not None:
            self._pointer.go_to(self._volume, self._report.findings[link[0]].structures[link[1]].segment_id)

    def export(self, kind: str) -> str:
        """The report as a file of this kind, measured anew; empty when there is none, and then it is said why."""
        if kind not in KINDS:
            return ""
        try:
            with tempfile.TemporaryDirectory(prefix="medsight-report-") as folder:
                return export_report(self._volume, Path(folder) / f"report.{kind}").read_text(encoding="utf-8")
        except Exception as error:
            self._say(sentence(error), "problem")
            return ""
        finally:
            self.show(self._volume)

    def _choose(self, number: int | None, place: int | None = None) -> None:
        self._chosen, self._place = number, place

    def _save(self, report: Report) -> None:
        self._report = report
        save_report(self._volume, report)

    def _refresh(self) -> None:
        findings, chosen = self._report.findings, self._chosen
        said = self._volume is not None and bool(load_conversation(self._volume).turns)
        self._state.update(
            {
                "report": as_rich_text(self._report, chosen, TEXT, MUTED) if findings else "",
                "can_collect": said or bool(findings),
                "can_note": self._volume is not None,
                "can_export": bool(findings),
                "finding_chosen": chosen is not None,
                "finding": findings[chosen].text if chosen is not None else "",
                "remove_title": "Remove finding" if self._place is None else "Remove structure",
            }
        )
        self._state.flush()
