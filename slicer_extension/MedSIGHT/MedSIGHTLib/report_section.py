"""The panel's report section: findings to read, follow, write over, take out and export.

Written for PythonQt; what a report is while somebody works on it is `report_editing`.
"""

from __future__ import annotations

from typing import Any, Callable

import qt

from medsight_core.errors import MedSightError
from MedSIGHTLib.pointing import Pointer
from MedSIGHTLib.report_editing import ReportEditor
from MedSIGHTLib.report_page import CHOSEN, TITLE, as_rich_text
from MedSIGHTLib.reporting import export_report
from MedSIGHTLib.style import Colors
from MedSIGHTLib.translating import _

_KINDS = _("Web page with pictures (*.html);;Plain text (*.txt);;JSON (*.json)")


class ReportSection:
    """The report about the volume that the panel shows."""

    def __init__(self, ui: Any, pointer: Pointer, colors: Colors, say: Callable[..., None]):
        """``pointer`` leads to segments; ``say`` shows a sentence, a problem with "problem" behind it."""
        self.ui = ui
        self._pointer, self._colors, self._say = pointer, colors, say
        self._editor = ReportEditor()
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
        self.ui.findingEdit.setFocus()

    def remove(self) -> None:
        """Take the chosen structure out of its finding, or the chosen finding out of the report."""
        self._editor.remove()
        self._refresh()

    def export(self) -> None:
        """Ask where to, and write a file."""
        path = qt.QFileDialog.getSaveFileName(self.ui.reportSection, _("Export report"), f"{TITLE}.html", _KINDS)
        if not path:
            return
        try:
            path = export_report(self._editor.volume, path)
        except MedSightError as error:
            self._say(str(error), "problem")
            return
        self._say(_("The report was written to {name}.").format(name=path.name))
        self.show(self._editor.volume)

    def follow(self, url: Any) -> None:
        """Choose the finding that a link means, and go to the segment if it means one."""
        link = url.toString()
        if not self._editor.follow(link):
            return
        self._refresh()
        segment_id = self._editor.segment_of(link)
        if segment_id is None:
            self.ui.findingEdit.setFocus()
        else:
            self._pointer.go_to(self._editor.volume, segment_id)

    def point_at(self, url: Any) -> None:
        """Dim all segments but the one that a link means; none for any other link."""
        self._pointer.point_at(self._editor.volume, self._editor.segment_of(url.toString()))

    def _write(self) -> None:
        """The chosen finding was written over."""
        if not self._updating:
            self._editor.write(self.ui.findingEdit.plainText)
            self._refresh()

    def _refresh(self) -> None:
        ui, editor = self.ui, self._editor
        report, findings = editor.report, editor.report.findings
        ui.collectButton.enabled = editor.can_collect
        ui.noteButton.enabled = editor.volume is not None
        ui.exportButton.enabled = bool(findings)
        ui.removeButton.enabled = ui.findingEdit.enabled = editor.chosen is not None
        ui.removeButton.text = editor.remove_title
        if editor.text != ui.findingEdit.plainText:
            self._updating = True
            ui.findingEdit.plainText = editor.text
            self._updating = False
        page = as_rich_text(report, editor.chosen, self._colors.text, self._colors.muted) if findings else ""
        if page != self._shown:
            self._shown = page
            ui.reportBrowser.setHtml(page)
            ui.reportBrowser.scrollToAnchor(CHOSEN)
