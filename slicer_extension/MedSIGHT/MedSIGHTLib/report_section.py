"""The panel's report section: findings to read, follow, write over, take out and export.

Written for PythonQt. The report is kept in the scene (`report_store`) with every change; here is only which finding is
chosen.
"""

from __future__ import annotations

from typing import Any, Callable

import qt

from medsight_core.errors import MedSightError
from MedSIGHTLib.conversation_store import load_conversation
from MedSIGHTLib.findings import Report
from MedSIGHTLib.pointing import Pointer
from MedSIGHTLib.report_page import CHOSEN, TITLE, as_rich_text, parse_link
from MedSIGHTLib.report_store import load_report, save_report
from MedSIGHTLib.reporting import collect_findings, export_report
from MedSIGHTLib.style import Colors
from MedSIGHTLib.translating import _

_KINDS = _("Web page with pictures (*.html);;Plain text (*.txt);;JSON (*.json)")


class ReportSection:
    """The report about the volume that the panel shows."""

    def __init__(self, ui: Any, pointer: Pointer, colors: Colors, say: Callable[..., None]):
        """``pointer`` leads to segments; ``say`` shows a sentence, a problem with "problem" behind it."""
        self.ui = ui
        self._pointer, self._colors, self._say = pointer, colors, say
        self._volume: Any = None
        self._report = Report()
        self._chosen: int | None = None  # a finding, from 0
        self._place: int | None = None  # one of its structures, from 0
        self._shown, self._updating = "", False
        ui.reportBrowser.connect("anchorClicked(QUrl)", self.follow)
        ui.reportBrowser.connect("highlighted(QUrl)", self.point_at)
        ui.findingEdit.connect("textChanged()", self._write)
        ui.collectButton.connect("clicked()", self.collect)
        ui.noteButton.connect("clicked()", self.add_note)
        ui.removeButton.connect("clicked()", self.remove)
        ui.exportButton.connect("clicked()", self.export)

    def show(self, volume: Any) -> None:
        """Bring the section in line with the scene."""
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
        news = (
            _("1 finding was added to the report, and its outlines were measured anew.")
            if new == 1
            else _("{count} findings were added to the report, and its outlines were measured anew.").format(
                count=new or _("No")
            )
        )
        self._say(news)
        self.show(self._volume)

    def add_note(self) -> None:
        """An empty finding, to be written now."""
        self._save(self._report.with_note())
        self._choose(len(self._report.findings) - 1)
        self._refresh()
        self.ui.findingEdit.setFocus()

    def remove(self) -> None:
        """Take the chosen structure out of its finding, or the chosen finding out of the report."""
        if self._chosen is None:
            return
        chosen, place = self._chosen, self._place
        self._choose(chosen if place is not None else None)
        self._save(self._report.without(chosen, place))
        self._refresh()

    def export(self) -> None:
        """Ask where to, and write a file."""
        path = qt.QFileDialog.getSaveFileName(self.ui.reportSection, _("Export report"), f"{TITLE}.html", _KINDS)
        if not path:
            return
        try:
            path = export_report(self._volume, path)
        except MedSightError as error:
            self._say(str(error), "problem")
            return
        self._say(_("The report was written to {name}.").format(name=path.name))
        self.show(self._volume)

    def follow(self, url: Any) -> None:
        """Choose the finding that a link means, and go to the segment if it means one."""
        link = parse_link(url.toString())
        if link is None:
            return
        self._choose(*link)
        self._refresh()
        segment_id = self._segment_id(link)
        if segment_id is None:
            self.ui.findingEdit.setFocus()
        else:
            self._pointer.go_to(self._volume, segment_id)

    def point_at(self, url: Any) -> None:
        """Dim all segments but the one that a link means; none for any other link."""
        link = parse_link(url.toString())
        self._pointer.point_at(self._volume, self._segment_id(link) if link is not None else None)

    def _segment_id(self, link: tuple[int, int | None]) -> str | None:
        finding, place = link
        return None if place is None else self._report.findings[finding].structures[place].segment_id

    def _choose(self, number: int | None, place: int | None = None) -> None:
        self._chosen, self._place = number, place

    def _write(self) -> None:
        """The chosen finding was written over."""
        if not self._updating and self._chosen is not None:
            self._save(self._report.with_text(self._chosen, self.ui.findingEdit.plainText))
            self._refresh()

    def _save(self, report: Report) -> None:
        self._report = report
        save_report(self._volume, report)

    def _refresh(self) -> None:
        ui, findings = self.ui, self._report.findings
        said = self._volume is not None and bool(load_conversation(self._volume).turns)
        ui.collectButton.enabled = said or bool(findings)
        ui.noteButton.enabled = self._volume is not None
        ui.exportButton.enabled = bool(findings)
        ui.removeButton.enabled = ui.findingEdit.enabled = self._chosen is not None
        ui.removeButton.text = _("Remove finding") if self._place is None else _("Remove structure")
        text = findings[self._chosen].text if self._chosen is not None else ""
        if text != ui.findingEdit.plainText:
            self._updating = True
            ui.findingEdit.plainText = text
            self._updating = False
        page = as_rich_text(self._report, self._chosen, self._colors.text, self._colors.muted) if findings else ""
        if page != self._shown:
            self._shown = page
            ui.reportBrowser.setHtml(page)
            ui.reportBrowser.scrollToAnchor(CHOSEN)
