"""The page's report: findings to read, follow, write over, take out and export.

What a report is while somebody works on it is `MedSIGHTLib.report_editing`. Belongs to the event loop.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Callable

from MedSIGHTLib.pointing import Pointer
from MedSIGHTLib.report_editing import ReportEditor
from MedSIGHTLib.report_page import as_rich_text
from MedSIGHTLib.reporting import export_report
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
        self._editor = ReportEditor()
        self.show(None)

    def show(self, volume: Any) -> None:
        """Bring the report in line with the scene."""
        self._editor.show(volume)
        self._refresh()

    def collect(self) -> None:
        """Take the conversation's new answers in, and measure everything anew."""
        try:
            self._say(self._editor.collect())
        except MedSightError as error:
            self._say(str(error), "problem")
        self._refresh()

    def add_note(self) -> None:
        """An empty finding, to be written now."""
        self._editor.add_note()
        self._refresh()

    def remove(self) -> None:
        """Take the chosen structure out of its finding, or the chosen finding out of the report."""
        self._editor.remove()
        self._refresh()

    def write(self, text: str) -> None:
        """The chosen finding was written over."""
        self._editor.write(text)
        self._refresh()

    def follow(self, link: str) -> None:
        """Choose the finding that a link means, and go to the segment if it means one."""
        if not self._editor.follow(link):
            return
        self._refresh()
        if segment_id := self._editor.segment_of(link):
            self._pointer.go_to(self._editor.volume, segment_id)

    def export(self, kind: str) -> str:
        """The report as a file of this kind, measured anew; empty when there is none, and then it is said why."""
        if kind not in KINDS:
            return ""
        try:
            with tempfile.TemporaryDirectory(prefix="medsight-report-") as folder:
                path = export_report(self._editor.volume, Path(folder) / f"report.{kind}")
                return path.read_text(encoding="utf-8")
        except Exception as error:
            self._say(sentence(error), "problem")
            return ""
        finally:
            self.show(self._editor.volume)

    def _refresh(self) -> None:
        editor = self._editor
        findings = editor.report.findings
        self._state.update(
            {
                "report": as_rich_text(editor.report, editor.chosen, TEXT, MUTED) if findings else "",
                "can_collect": editor.can_collect,
                "can_note": editor.volume is not None,
                "can_export": bool(findings),
                "finding_chosen": editor.chosen is not None,
                "finding": editor.text,
                "remove_title": editor.remove_title,
            }
        )
        self._state.flush()
