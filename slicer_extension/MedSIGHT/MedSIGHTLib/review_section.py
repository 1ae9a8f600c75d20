"""The panel's review of a label that somebody handed in: approve or flag it, say how hard it was, and comment.

Written for PythonQt. A review is of the version that was looked at, and of nothing else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Callable

from medsight_core.client import Annotator, Worklist
from MedSIGHTLib.case_segments import has_work
from MedSIGHTLib.case_store import case_of, set_case
from MedSIGHTLib.open_case import OpenCase
from MedSIGHTLib.submitting import send_review
from MedSIGHTLib.translating import _

_LEVELS = ("", "easy", "medium", "hard")
_LEVEL_WORDS = (_("not said"), _("easy"), _("medium"), _("hard"))


class ReviewSection:
    """The part of the worklist's section that is there while a labelled case is open for review."""

    def __init__(
        self, ui: Any, run: Callable[..., None], say: Callable[..., None], reviewed: Callable[[str, Worklist], None]
    ):
        """``run`` works with the server, ``say`` shows a sentence, ``reviewed`` hears what was said of a label."""
        self.ui = ui
        self._run, self._say, self._reviewed = run, say, reviewed
        self._shown: tuple[str, int] = ("", 0)
        self._volume: Any = None
        for words in _LEVEL_WORDS:
            ui.levelSelector.addItem(words)
        ui.approveButton.connect("clicked()", self.approve)
        ui.flagButton.connect("clicked()", self.flag)

    def show(self, volume: Any, busy: bool) -> None:
        """Bring the part in line with the volume whose case is reviewed; None for none."""
        self._volume, case = volume, case_of(volume)
        ui, there = self.ui, case is not None and bool(case.base_version)
        ui.reviewFrame.visible = there
        for name in ("levelSelector", "commentEdit", "approveButton", "flagButton"):
            getattr(ui, name).enabled = there and not busy
        shown = (case.id, case.base_version) if there else ("", 0)
        if shown != self._shown:
            self._shown = shown
            ui.levelSelector.currentIndex = _LEVELS.index(case.level) if there and case.level in _LEVELS else 0
            ui.commentEdit.text = case.comment if there else ""

    def approve(self) -> None:
        """The label may be learned from."""
        self._say_of_it("approved", _("Approved."))

    def flag(self) -> None:
        """The label has to be corrected."""
        if not self.ui.commentEdit.text.strip():
            self._say(_("Say in the comment what is wrong, so that somebody can correct it, then flag."), "problem")
            return
        self._say_of_it("flagged", _("Flagged: it comes to whoever corrects what was flagged."))

    def _say_of_it(self, status: str, words: str) -> None:
        volume = self._volume
        case = case_of(volume)
        if case is None:
            return
        if has_work(volume, case):
            self._say(
                _(
                    "You have changed this label since version {base_version}: submit your version first, or "
                    "undo the change, because a review is of what the server keeps."
                ).format(base_version=case.base_version),
                "problem",
            )
            return
        level, comment = _LEVELS[self.ui.levelSelector.currentIndex], self.ui.commentEdit.text.strip()

        def send(annotator: Annotator) -> tuple[Worklist, str]:
            send_review(case, annotator, status, level, comment)
            return annotator.worklist(), annotator.name

        self._run(
            _("Sending the review …"),
            send,
            lambda sent: self._sent(volume, replace(case, status=status, level=level, comment=comment), words, *sent),
        )

    def _sent(self, volume: Any, case: OpenCase, words: str, worklist: Worklist, reviewer: str) -> None:
        if volume.GetScene() is not None:
            set_case(volume, replace(case, reviewer=reviewer, submitted=True))
        self._reviewed(words, worklist)
