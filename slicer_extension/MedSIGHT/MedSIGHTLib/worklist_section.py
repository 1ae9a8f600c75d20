"""The panel's worklist: take a case, correct it, hand it in, go on; and the worklist's state in figures.

Written for PythonQt. Which case is open is kept with its volume in the scene (`case_store`); here is only which work
with the server runs. Reviewing what others handed in is `review_section`.
"""

from __future__ import annotations

import html
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import slicer

from medsight_core.client import Annotator, Submitted, Worklist
from medsight_core.errors import MedSightError, NotFoundError
from medsight_core.protocol import CAPABILITY_UNCHANGED
from MedSIGHTLib.background import Background
from MedSIGHTLib.case_store import case_of, close_case, open_images, ready_to_edit
from MedSIGHTLib.connection_section import ConnectionSection
from MedSIGHTLib.fetching import LABEL, REVIEW, TASKS, Fetched, fetch_next, open_case
from MedSIGHTLib.kept_label import KeptLabel, place_beside
from MedSIGHTLib.open_case import OpenCase
from MedSIGHTLib.parameters import AnnotatorSettings
from MedSIGHTLib.review_section import ReviewSection
from MedSIGHTLib.style import Colors, sentence
from MedSIGHTLib.submitting import Prepared, finish_submission, prepare_submission, send_submission
from MedSIGHTLib.translating import _
from MedSIGHTLib.worklist_words import case_html, kept_words, nobody_left, strategy_words, worklist_html

_TASK_WORDS = (_("Label new cases"), _("Correct what was flagged"), _("Review labels"))
_NOBODY = "unnamed"  # for looking only: whoever labels or reviews needs a name


@dataclass(frozen=True)
class Surroundings:
    """What the section needs of the panel around it.

    volume: the chosen one. choose: another. ask: a question about the whole chosen volume, as soon as no other is on
    its way. answering: whether one about that volume is. labelled: hears that a label was handed in or reviewed.
    """

    volume: Callable[[], Any]
    choose: Callable[[Any], None]
    ask: Callable[[str], None]
    answering: Callable[[Any], bool]
    labelled: Callable[[], None]


class WorklistSection:
    """The section's widgets; one piece of work with the server at a time, beside questions."""

    def __init__(
        self, ui: Any, connection: ConnectionSection, settings: AnnotatorSettings, colors: Colors, panel: Surroundings
    ):
        """``ui``: the widgets of ``Worklist.ui``."""
        self.ui, self.settings = ui, settings
        self.background = Background()
        self._connection, self._colors, self._panel = connection, colors, panel
        self._worklist: Worklist | None = None
        self._strategies: tuple[str, ...] = ()
        self._skipped: list[str] = []
        self._folder: Path | None = None
        self._problem = False
        self._shown_case: tuple[str, int] = ("", 0)
        self._fill()
        self.review = ReviewSection(ui, self.run, self.say, self._reviewed)
        self._connect_signals()
        self.say("")
        self.show()

    # -- what the user does

    def look(self) -> None:
        """Ask the server how its worklist is, unless nobody wants to know."""
        if self.ui.worklistSection.collapsed or self.background.busy:
            return
        self.run("", lambda annotator: (annotator.strategies(), annotator.worklist()), self._looked, look_only=True)

    def next(self) -> None:
        """Take the next case; the present one is left only when the next is here."""
        former, task = self._panel.volume(), self.settings.task
        here, skipped = open_images(slicer.mrmlScene), tuple(self._skipped)
        folder = self._new_folder()
        self.run(
            _("Fetching the next case …"),
            lambda annotator: fetch_next(annotator, task, self.settings.strategy, folder, skipped, here),
            lambda fetched: self._fetched(fetched, former, task),
        )

    def skip(self) -> None:
        """Take another case instead of the present one."""
        case = case_of(self._panel.volume())
        if case is not None and not self.background.busy:
            self._skipped = [*(name for name in self._skipped if name != case.id), case.id]
        self.next()

    def submit(self) -> None:
        """Hand the present case's segments in."""
        volume = self._panel.volume()
        if self.background.busy:
            return
        if self._panel.answering(volume):
            self.say(_("The model still answers about this case: wait for it, or cancel, then submit."), "problem")
            return
        try:
            prepared = prepare_submission(volume, self.ui.nothingBox.checked)
        except MedSightError as error:
            self.say(str(error), "problem")
            return
        info = self._connection.info
        only_changed = info is not None and CAPABILITY_UNCHANGED in info.capabilities
        self.run(
            _("Handing in the segments …"),
            lambda annotator: (send_submission(prepared, annotator, only_changed), annotator.worklist()),
            lambda outcome: self._submitted(prepared, *outcome),
        )

    def edit(self) -> None:
        """Go to Slicer's Segment Editor."""
        volume = self._panel.volume()
        if case_of(volume) is None:
            return
        ready_to_edit(volume)
        slicer.util.selectModule("SegmentEditor")

    def show_version(self) -> None:
        """Show one of the versions that the server keeps beside the present segments."""
        volume = self._panel.volume()
        case, index = case_of(volume), self.ui.versionSelector.currentIndex
        if case is None or index < 0:
            return
        number, folder = case.base_version - index, self._new_folder()

        def fetch(annotator: Annotator) -> KeptLabel:
            versions = annotator.versions(case.id).versions
            version = next((version for version in versions if version.version == number), None)
            if version is None:
                raise NotFoundError(
                    _("The server has no version {number} of this label any more.").format(number=number)
                )
            return KeptLabel.read(annotator.download_version(case.id, version, folder), version)

        self.run(
            _("Fetching version {number} …").format(number=number), fetch, lambda kept: self._compare(kept, volume)
        )

    # -- what becomes of it

    def _looked(self, found: tuple[tuple[str, ...], Worklist]) -> None:
        strategies, self._worklist = found
        self._offer_strategies(strategies)
        self.show()

    def _fetched(self, fetched: Fetched, former: Any, task: str) -> None:
        self._worklist = fetched.worklist
        if fetched.case is None:
            self.say(nobody_left(task, fetched.worklist))
            return
        try:
            opened = open_case(fetched)
        except MedSightError as error:
            self._skipped.append(fetched.case.id)
            self.say(str(error), "problem")
            return
        same, left = opened.volume is former, ""
        if not same and former is not None and former.GetScene() is not None:
            case = case_of(former)
            if case is not None and not close_case(former):
                left = _(
                    "Your work on {id} was not submitted and stays: choose it under Volume to go on with it."
                ).format(id=case.id)
        self._panel.choose(opened.volume)
        if opened.problem:
            self.say(opened.problem, "problem")
        elif opened.resumed and not same:
            self.say(_("You have worked on this case before: your segments are as you left them."))
        elif same:
            self.say(_("No other case is left for this task: this is the same one again."))
        else:
            self.say(left)
        if (
            self.settings.ask_first
            and task == LABEL
            and not opened.case.base_version
            and not opened.resumed
            and not same
        ):
            self._panel.ask(self.settings.question)

    def _submitted(self, prepared: Prepared, submitted: Submitted, worklist: Worklist) -> None:
        self._worklist = worklist
        finish_submission(prepared, submitted, self.settings.name)
        self.ui.nothingBox.checked = False
        self._panel.labelled()
        self.say(kept_words(submitted.version, submitted.notices), "busy" if submitted.notices else "good")
        if self.settings.go_on and not submitted.notices:  # those are to be read first
            self.next()

    def _reviewed(self, words: str, worklist: Worklist) -> None:
        self._worklist = worklist
        self._panel.labelled()
        self.say(words, "good")
        if self.settings.go_on:
            self.next()

    def _compare(self, kept: KeptLabel, volume: Any) -> None:
        if volume.GetScene() is None:
            self.say(_("The case was closed while its version was on its way, so nothing was added."))
            return
        try:
            node = place_beside(kept, volume)
        except MedSightError as error:
            self.say(str(error), "problem")
            return
        self.say(
            _("Version {version} is shown as {name}: remove that in Data when you are done.").format(
                version=kept.version.version, name=node.GetName()
            )
        )

    def run(
        self, words: str, work: Callable[[Annotator], Any], done: Callable[[Any], None], look_only: bool = False
    ) -> None:
        """Work with the server beside the event loop; a problem becomes a sentence in the section.

        Nothing when other work still runs, or the address cannot be used, which the server section then says.
        """
        if self.background.busy:
            return
        if not self._connection.use():
            self._drop_folder()
            return
        server = self._connection.settings
        try:
            name = self.settings.name or (_NOBODY if look_only else "")
            annotator = Annotator(name, server.address, server.token or None)
        except MedSightError as error:
            self._failed(error)
            return

        def with_server(tell: Callable[[Any], None]) -> Any:
            with annotator:
                return work(annotator)

        def finished(outcome: Any) -> None:
            done(outcome)
            if not self.background.busy:
                self._drop_folder()
            self.show()

        self.background.run(with_server, finished, self._failed)
        if words:
            self.say(words)
        self.show()

    def say(self, text: str, state: str = "idle") -> None:
        """Show a sentence in the section."""
        color = self._colors.state(state)
        self.ui.caseStatusLabel.text = f"<span style='color:{color}'>{html.escape(text)}</span>" if text else ""
        self.ui.caseStatusLabel.visible = bool(text)

    def close(self) -> None:
        """Await nothing any more, and leave no file behind."""
        self.background.forget()
        self._drop_folder()

    def _failed(self, error: Exception) -> None:
        self._drop_folder()
        self.say(sentence(error), "problem")
        self.show()

    def _new_folder(self) -> Path:
        """For what comes from the server, until it is in the scene."""
        if self.background.busy:
            return self._folder or Path()
        self._drop_folder()
        self._folder = Path(tempfile.mkdtemp(prefix="medsight-"))
        return self._folder

    def _drop_folder(self) -> None:
        folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    # -- what is shown

    def show(self) -> None:
        """Bring the section in line with the scene and with what the server said."""
        ui, busy = self.ui, self.background.busy
        volume = self._panel.volume()
        case = case_of(volume)
        open_here = case is not None
        todo = open_here and not case.submitted
        self._show_worklist()
        ui.caseFrame.visible = open_here
        for name in ("editButton", "versionSelector", "showVersionButton", "nothingBox"):
            getattr(ui, name).enabled = not busy
        ui.nextButton.enabled = not busy and not todo
        ui.nextButton.toolTip = _("Submit or skip this case first") if todo else _("Take a case from the server")
        ui.skipButton.enabled = not busy and todo
        ui.submitButton.enabled = not busy and open_here
        ui.submitButton.toolTip = (
            _("Hand in this case's segments; the server keeps every version") if open_here else _("Take a case first")
        )
        for name in ("strategyLabel", "strategySelector", "askFirstBox", "firstQuestionEdit"):
            getattr(ui, name).visible = self.settings.task == LABEL
        ui.firstQuestionEdit.enabled = self.settings.ask_first
        self.review.show(volume if self.settings.task == REVIEW else None, busy)
        if open_here:
            ui.caseLabel.text = case_html(case, self._colors.muted)
            self._offer_versions(case)

    def _show_worklist(self) -> None:
        bar, worklist = self.ui.worklistBar, self._worklist
        known = worklist is not None and bool(worklist.cases)
        bar.visible = self.ui.worklistLabel.visible = known
        if known:
            bar.maximum, bar.value = len(worklist.cases), worklist.labelled
            bar.format = f"{worklist.labelled} of {len(worklist.cases)} labelled"
            self.ui.worklistLabel.text = worklist_html(worklist, self._colors.muted)

    def _offer_versions(self, case: OpenCase) -> None:
        """The newest first."""
        selector, shown = self.ui.versionSelector, (case.id, case.base_version)
        selector.visible = self.ui.showVersionButton.visible = bool(case.base_version)
        if shown != self._shown_case:
            self._shown_case = shown
            selector.clear()
            for number in range(case.base_version, 0, -1):
                selector.addItem(_("Version {number}").format(number=number))

    def _offer_strategies(self, strategies: tuple[str, ...]) -> None:
        if strategies == self._strategies:
            return
        chosen, selector = self.settings.strategy, self.ui.strategySelector
        self._strategies = ()  # until it is filled, so that filling chooses nothing
        selector.clear()
        for name in strategies:
            selector.addItem(strategy_words(name))
        self._strategies = strategies
        selector.currentIndex = strategies.index(chosen) if chosen in strategies else 0
        self._choose_strategy()

    def _fill(self) -> None:
        ui, settings = self.ui, self.settings
        ui.annotatorEdit.text = settings.name
        for words in _TASK_WORDS:
            ui.taskSelector.addItem(words)
        ui.taskSelector.currentIndex = TASKS.index(settings.task) if settings.task in TASKS else 0
        settings.task = TASKS[ui.taskSelector.currentIndex]
        ui.askFirstBox.checked = settings.ask_first
        ui.firstQuestionEdit.text = settings.question
        ui.goOnBox.checked = settings.go_on
        self._offer_strategies((settings.strategy,))

    def _connect_signals(self) -> None:
        ui = self.ui
        ui.worklistSection.connect("contentsCollapsed(bool)", self.look)
        ui.annotatorEdit.connect("textChanged(QString)", self._store)
        ui.taskSelector.connect("currentIndexChanged(int)", self._choose_task)
        ui.strategySelector.connect("currentIndexChanged(int)", self._choose_strategy)
        ui.askFirstBox.connect("toggled(bool)", self._store)
        ui.firstQuestionEdit.connect("textChanged(QString)", self._store)
        ui.goOnBox.connect("toggled(bool)", self._store)
        ui.nextButton.connect("clicked()", self.next)
        ui.skipButton.connect("clicked()", self.skip)
        ui.submitButton.connect("clicked()", self.submit)
        ui.editButton.connect("clicked()", self.edit)
        ui.showVersionButton.connect("clicked()", self.show_version)

    def _store(self) -> None:
        """The panel changed: keep it for next time."""
        ui, settings = self.ui, self.settings
        settings.name = ui.annotatorEdit.text
        settings.ask_first = ui.askFirstBox.checked
        settings.question = ui.firstQuestionEdit.text
        settings.go_on = ui.goOnBox.checked
        self.show()

    def _choose_task(self) -> None:
        self.settings.task = TASKS[self.ui.taskSelector.currentIndex]
        self._skipped = []
        self.show()

    def _choose_strategy(self) -> None:
        index = self.ui.strategySelector.currentIndex
        if 0 <= index < len(self._strategies):
            self.settings.strategy = self._strategies[index]
