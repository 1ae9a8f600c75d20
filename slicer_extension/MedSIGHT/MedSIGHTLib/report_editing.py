"""A report while somebody works on it: which finding is chosen, and what can be done to it. Free of Qt.

The report is kept in the scene (`report_store`) with every change. The panel's section and the page draw this.
"""

from __future__ import annotations

from typing import Any

from MedSIGHTLib.conversation_store import load_conversation
from MedSIGHTLib.findings import Report
from MedSIGHTLib.report_page import parse_link
from MedSIGHTLib.report_store import load_report, save_report
from MedSIGHTLib.reporting import collect_findings
from MedSIGHTLib.translating import _


class ReportEditor:
    """The report about one volume.

    volume: the volume node, None without one. report: as in the scene. chosen: a finding, from 0. place: one of its
    structures, from 0; None means the finding itself.
    """

    def __init__(self) -> None:
        self.volume: Any = None
        self.report = Report()
        self.chosen: int | None = None
        self.place: int | None = None

    @property
    def can_collect(self) -> bool:
        """Whether there are answers to take in, or findings to measure anew."""
        return bool(self.report.findings) or (self.volume is not None and bool(load_conversation(self.volume).turns))

    @property
    def text(self) -> str:
        """The chosen finding's words; empty when none is chosen."""
        return self.report.findings[self.chosen].text if self.chosen is not None else ""

    @property
    def remove_title(self) -> str:
        """What `remove` would do."""
        return _("Remove finding") if self.place is None else _("Remove structure")

    def show(self, volume: Any) -> None:
        """Take the volume's report from the scene."""
        self.report = load_report(volume) if volume is not None else Report()
        if volume is not self.volume or (self.chosen is not None and self.chosen >= len(self.report.findings)):
            self.choose(None)
        self.volume = volume

    def collect(self) -> str:
        """Take the conversation's new answers in, and measure everything anew; what came of it, as a sentence.

        Raises VolumeError when the volume has no voxels to measure.
        """
        known = len(self.report.findings)
        self.report = collect_findings(self.volume)
        new = len(self.report.findings) - known
        if new == 1:
            return _("1 finding was added to the report, and its outlines were measured anew.")
        return _("{count} findings were added to the report, and its outlines were measured anew.").format(
            count=new or _("No")
        )

    def add_note(self) -> None:
        """An empty finding, chosen to be written."""
        self._save(self.report.with_note())
        self.choose(len(self.report.findings) - 1)

    def remove(self) -> None:
        """Take the chosen structure out of its finding, or the chosen finding out of the report."""
        if self.chosen is None:
            return
        chosen, place = self.chosen, self.place
        self.choose(chosen if place is not None else None)
        self._save(self.report.without(chosen, place))

    def write(self, text: str) -> None:
        """Other words for the chosen finding."""
        if self.chosen is not None and text != self.text:
            self._save(self.report.with_text(self.chosen, text))

    def follow(self, link: str) -> bool:
        """Choose what a link of the report means; False for any other link."""
        found = self._meant(link)
        if found is not None:
            self.choose(*found)
        return found is not None

    def segment_of(self, link: str) -> str | None:
        """Id of the segment that a link means, None when it means none."""
        finding, place = self._meant(link) or (0, None)
        return None if place is None else self.report.findings[finding].structures[place].segment_id

    def choose(self, finding: int | None, place: int | None = None) -> None:
        """Choose a finding, or one of its structures."""
        self.chosen, self.place = finding, place

    def _meant(self, link: str) -> tuple[int, int | None] | None:
        """The finding and the structure that a link means, None when the report has no such."""
        found = parse_link(link)
        if found is None or found[0] >= len(self.report.findings):
            return None
        count = len(self.report.findings[found[0]].structures)
        return found if found[1] is None or found[1] < count else None

    def _save(self, report: Report) -> None:
        self.report = report
        save_report(self.volume, report)
