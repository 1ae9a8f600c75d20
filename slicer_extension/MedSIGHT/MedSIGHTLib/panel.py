"""The panel: from clicks to `Asker`, and from its outcomes to what is shown.

Written for PythonQt: Qt properties are attributes, signals are connected by name. Nothing here waits: what is slow runs
in `Background`, and only one question at a time. Holds no knowledge of MRML beyond which node is chosen.
"""

from __future__ import annotations

import html
import time
from typing import Any

import qt
import slicer
import vtk
from slicer.util import VTKObservationMixin

from medsight_core.answer import NOTICE
from medsight_core.client import ServerInfo
from medsight_core.errors import CancelledError, MedSightError
from medsight_core.protocol import SCOPE_VOLUME
from MedSIGHTLib.asking import Asker, Prepared, Received
from MedSIGHTLib.background import Background, later
from MedSIGHTLib.connection_section import ConnectionSection
from MedSIGHTLib.panel_words import notice_html, suggestions_html
from MedSIGHTLib.parameters import AnnotatorSettings, Parameters, ServerSettings
from MedSIGHTLib.pointing import Pointer
from MedSIGHTLib.prompt_box import KEYS, PromptBox
from MedSIGHTLib.report_section import ReportSection
from MedSIGHTLib.scope_section import ScopeSection
from MedSIGHTLib.segment_section import SegmentSection
from MedSIGHTLib.segments import segmentation_of
from MedSIGHTLib.style import Colors, sentence
from MedSIGHTLib.suggestions import suggestions_for
from MedSIGHTLib.thread_view import ThreadView
from MedSIGHTLib.training_section import TrainingSection
from MedSIGHTLib.translating import _
from MedSIGHTLib.waiting import Waiting
from MedSIGHTLib.worklist_section import Surroundings, WorklistSection

_WORKLIST_PLACE = 2  # in the panel's layout: below the server
_CLOCK_MILLISECONDS = 100
_CANCEL_MILLISECONDS = 900  # what has not ended by then is left to itself, so that all is over within a second
_SCENE_CLOSED = _(
    "The scene was closed while the server answered, so nothing was added: load the volume again and ask."
)
_VOLUME_REMOVED = _("The volume was removed while the server answered, so nothing was added: load it again and ask.")


class Panel(VTKObservationMixin):
    """The module's widgets, wired to one `Asker`."""

    def __init__(self, widget: Any, worklist: Any, training: Any, asker: Asker):
        """``widget``: the loaded ``MedSIGHT.ui``; ``worklist``, ``training``: theirs, placed above the volume."""
        VTKObservationMixin.__init__(self)
        self.ui = slicer.util.childWidgetVariables(widget)
        self.asker = asker
        self.background = Background()
        self._colors = Colors.of(widget.palette)
        self._updating = False
        self._message = ("", "idle")
        self._question: Prepared | None = None
        self._waiting: Waiting | None = None
        self._why_cancelled = ""
        self._next_prompt = ""  # to be asked once no other question is on its way

        self.connection = ConnectionSection(
            self.ui, asker, ServerSettings(slicer.app.userSettings()), self._colors, self._connected
        )
        self.scope = ScopeSection(self.ui, self._store)
        self.prompt = PromptBox(self.ui.promptEdit, self.ask, lambda: self.cancel(), self._earlier_prompts)
        keys = " &nbsp; ".join(f"<b>{key}</b> {words}" for key, words in KEYS)
        self.ui.keysLabel.text = f"<span style='color:{self._colors.muted}'>{keys}</span>"
        self.segments = SegmentSection(self.ui, asker, self._colors, self._say, self._refresh)
        self.pointer = Pointer(self.segments.select, self._say, later)
        self.thread = ThreadView(self.ui.answerBrowser, self.pointer, self._colors)
        self.report = ReportSection(self.ui, self.pointer, self._colors, self._say)
        for place, section in enumerate((worklist, training), _WORKLIST_PLACE):
            widget.layout().insertWidget(place, section)
        annotator = AnnotatorSettings(slicer.app.userSettings())
        self.training = TrainingSection(
            slicer.util.childWidgetVariables(training), self.connection, annotator, self._colors
        )
        self.worklist = WorklistSection(
            slicer.util.childWidgetVariables(worklist),
            self.connection,
            annotator,
            self._colors,
            Surroundings(
                lambda: self.volume,
                self.ui.volumeSelector.setCurrentNode,
                self.ask_when_free,
                self._answers_about,
                self.training.label_came_in,
            ),
        )
        self._clock = self._timer(_CLOCK_MILLISECONDS, self._show_waiting)
        self._grace = self._timer(_CANCEL_MILLISECONDS, self._leave_question)
        self._grace.setSingleShot(True)
        self._connect_signals()
        for node_widget in (self.ui.volumeSelector, self.ui.segmentsTable):
            node_widget.setMRMLScene(slicer.mrmlScene)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.EndCloseEvent, self._scene_closed)
        self.addObserver(scene, scene.EndImportEvent, self._scene_changed)
        self.addObserver(scene, scene.NodeRemovedEvent, self._node_removed)
        self._restore()

    @property
    def info(self) -> ServerInfo | None:
        """What the server has said of itself."""
        return self.connection.info

    @property
    def volume(self) -> Any:
        """The chosen volume node, or None."""
        return self.ui.volumeSelector.currentNode()

    def enter(self) -> None:
        """The module is opened: say hello to the server that was used last, without being asked."""
        if self.info is None:
            self.connection.test()
        self._refresh()

    def close(self) -> None:
        """Leave no observer, no timer, no pale segment, no question and no volume on the server behind."""
        if self._question is not None:
            self._question.cancel.set()
        for timer in (self._clock, self._grace):
            timer.stop()
        self.background.forget()
        self.connection.close()
        self.worklist.close()
        self.training.close()
        self.segments.close()
        self.pointer.close()
        self.removeObservers()
        # Its own short work: the application is closing and must not wait for a server that does not answer.
        closing = Background.start(self.asker.close)
        closing.join(timeout=1.0)

    def ask(self) -> None:
        """Send the question in the background; a problem becomes a sentence in the panel."""
        if not self._why_not() and self._ask(self.prompt.text, self.scope.chosen):
            self.prompt.take()

    def ask_when_free(self, prompt: str) -> None:
        """Ask this about the whole chosen volume, as soon as no other question is on its way."""
        self._next_prompt = prompt
        self._ask_next()

    def _ask_next(self) -> None:
        if self._next_prompt and not self.background.busy:
            prompt, self._next_prompt = self._next_prompt, ""
            self._ask(prompt, SCOPE_VOLUME)

    def _ask(self, prompt: str, scope: str) -> bool:
        """Whether the question is on its way."""
        if not self.connection.use():
            return False
        orientations = self.info.orientations if self.info else ()
        try:
            question = self.asker.prepare(self.volume, prompt, scope, orientations)
        except MedSightError as error:
            self._say(str(error), "problem")
            return False
        self._question, self._why_cancelled = question, ""
        self._waiting = Waiting(question.prompt, question.looked_at, time.monotonic())
        self.background.run(
            lambda tell: self.asker.send(question, tell),
            lambda received: self._answered(question, received),
            lambda error: self._failed(question, error),
            lambda event: self._waiting.hear(event, time.monotonic()),
        )
        self._clock.start()
        self._refresh()
        self._show_waiting()
        return True

    def cancel(self, why: str = "") -> None:
        """Stop waiting, within a second. ``why`` is said then, or else what became of the question."""
        if self._question is None or self._question.cancel.is_set():
            return
        self._why_cancelled = why
        self._question.cancel.set()
        self.ui.cancelButton.enabled = False
        self._grace.start()

    # -- what becomes of a question

    def _answered(self, question: Prepared, received: Received) -> None:
        if question.cancel.is_set():
            self._failed(question, CancelledError(_("The question was cancelled, and its answer was not used.")))
            return
        replace_edited, waiting = self.ui.replaceEditedBox.checked, self._waiting
        self._end_waiting()
        try:
            self.asker.finish(question, received, replace_edited)
        except MedSightError as error:
            self._failed(question, error)
            return
        self._say(waiting.took(time.monotonic()))
        self.ui.replaceEditedBox.checked = False  # meant for one answer
        if self.info is None:
            self.connection.test()
        self._refresh()
        self._ask_next()

    def _failed(self, question: Prepared, error: Exception) -> None:
        why = self._why_cancelled
        self._end_waiting()
        self.prompt.give_back(question.prompt)
        self._say(why or sentence(error), "idle" if isinstance(error, CancelledError) and not why else "problem")
        self._refresh()
        self._ask_next()

    def _leave_question(self) -> None:
        """It was cancelled and does not end: let it end unheard."""
        if self._question is None or not self.background.busy:
            return
        self.background.forget()
        self.asker.abandon()
        self._failed(
            self._question,
            CancelledError(_("The question was cancelled here; what was on its way to the server ends by itself.")),
        )

    def _end_waiting(self) -> None:
        self._clock.stop()
        self._grace.stop()
        self._question = self._waiting = None
        self._why_cancelled = ""

    # -- what the user and the scene do

    def _connect_signals(self) -> None:
        ui = self.ui
        ui.volumeSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._store)
        ui.promptEdit.connect("textChanged()", self._store)
        ui.askButton.connect("clicked()", self.ask)
        ui.cancelButton.connect("clicked()", self.cancel)
        ui.newConversationButton.connect("clicked()", self._start_over)
        ui.undoButton.connect("clicked()", lambda: self._step(self.asker.undo.undo))
        ui.redoButton.connect("clicked()", lambda: self._step(self.asker.undo.redo))
        ui.suggestionsLabel.connect("linkActivated(QString)", self._take_suggestion)

    def _timer(self, milliseconds: int, slot: Any) -> Any:
        timer = qt.QTimer()
        timer.setInterval(milliseconds)
        timer.connect("timeout()", slot)
        return timer

    def _store(self) -> None:
        """The panel changed: keep it in the scene."""
        if not self._updating and not slicer.mrmlScene.IsBatchProcessing():  # a scene that is read is shown at its end
            self._keep()

    def _keep(self) -> None:
        parameters = Parameters.of(slicer.mrmlScene)
        parameters.prompt = self.prompt.text
        parameters.scope = self.scope.chosen
        parameters.volume = self.volume
        self._refresh()

    def _restore(self) -> None:
        """The scene changed: show what it holds."""
        parameters = Parameters.of(slicer.mrmlScene)
        self._updating = True
        self.ui.promptEdit.plainText = parameters.prompt
        if parameters.volume is not None:
            self.ui.volumeSelector.setCurrentNode(parameters.volume)
        self.scope.offer(self.info, self.volume, parameters.scope)
        self._updating = False
        self._keep()

    def _scene_closed(self, caller: Any, event: str) -> None:
        self.asker.undo.clear()
        self._restore()

    def _scene_changed(self, caller: Any, event: str) -> None:
        self._restore()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _node_removed(self, caller: Any, event: str, node: Any) -> None:
        closing = slicer.mrmlScene.IsClosing()
        if self._question is not None and node is self._question.volume_node:
            self.cancel(_SCENE_CLOSED if closing else _VOLUME_REMOVED)
        if closing:
            return
        if node.IsA("vtkMRMLVolumeNode"):
            self.asker.forget_lost_conversations(slicer.mrmlScene)
        if node.IsA("vtkMRMLSegmentationNode") or node.IsA("vtkMRMLTextNode"):
            self._refresh()

    def _connected(self) -> None:
        """The connection was tested."""
        self._refresh()
        if self.info is not None:
            self.worklist.look()
        self.training.connected()

    def _answers_about(self, volume: Any) -> bool:
        return self._question is not None and self._question.volume_node is volume

    def _start_over(self) -> None:
        self.asker.start_over(self.volume)
        self._say("")
        self._refresh()

    def _step(self, step: Any) -> None:
        """Undo or redo an answer's segments."""
        node = segmentation_of(self.volume) if self.volume is not None else None
        if node is None:
            return
        self.pointer.close()
        self.segments.close()
        try:
            step(node)
            self._say("")
        except MedSightError as error:
            self._say(str(error), "problem")
        self._refresh()

    def _take_suggestion(self, prompt: str) -> None:
        self.ui.promptEdit.plainText = prompt
        self.ui.promptEdit.setFocus()

    def _earlier_prompts(self) -> list[str]:
        return [turn.prompt for turn in self.asker.conversation(self.volume).turns]

    # -- what is shown

    def _refresh(self) -> None:
        """Bring every widget in line with the state."""
        ui, busy, volume = self.ui, self.background.busy, self.volume
        self.scope.offer(self.info, volume, self.scope.chosen)
        why_not = self._why_not()
        ui.askButton.enabled = not why_not
        ui.askButton.toolTip = why_not or _("Send the question (Ctrl+Enter)")
        ui.cancelButton.visible = ui.progressBar.visible = busy
        ui.cancelButton.enabled = busy and not (self._question and self._question.cancel.is_set())
        conversation = self.asker.conversation(volume)
        ui.newConversationButton.enabled = bool(conversation.turns) and not busy
        self._show_thread()
        self.report.show(volume)
        self.worklist.show()
        node = segmentation_of(volume) if volume is not None else None
        self.segments.show(node, volume)
        ui.undoButton.enabled = not busy and self.asker.undo.can_undo(node)
        ui.redoButton.enabled = not busy and self.asker.undo.can_redo(node)
        self._show_suggestions()
        self._show_status()
        turns = conversation.turns
        answer = turns[-1].answer if turns else None
        model = answer.model if answer else self.info.model if self.info else None
        ui.noticeLabel.text = notice_html(answer.notice if answer else NOTICE, model, self._colors)

    def _why_not(self) -> str:
        """Why a question cannot be asked now; empty when it can."""
        if self.background.busy:
            return _("Waiting for the server")
        if self.volume is None:
            return _("Load a volume first")
        if not self.prompt.text.strip():
            return _("Write a question first")
        return ""

    def _show_waiting(self) -> None:
        """While a question is on its way: how far it is, and what the model has said."""
        if self._waiting is None:
            return
        done, bar = self._waiting.done, self.ui.progressBar
        bar.maximum = 0 if done is None else 100
        bar.value = 0 if done is None else round(100 * done)
        cancelled = self._question is not None and self._question.cancel.is_set()
        self._say(_("Cancelling …") if cancelled else self._waiting.sentence(time.monotonic()))
        self._show_thread()

    def _show_thread(self) -> None:
        volume = self.volume
        waiting = self._waiting if self._answers_about(volume) else None
        self.thread.show(self.asker.conversation(volume), volume, waiting)

    def _show_suggestions(self) -> None:
        text = suggestions_html(suggestions_for(self.volume, self.info), self._colors)
        self.ui.suggestionsLabel.text, self.ui.suggestionsLabel.visible = text, bool(text)

    def _say(self, text: str, state: str = "idle") -> None:
        self._message = (text, state)
        self._show_status()

    def _show_status(self) -> None:
        text, state = self._message
        if not text and self.volume is None:
            text = _("Load a volume to ask about.")
        color = self._colors.state(state)
        self.ui.statusLabel.text = f"<span style='color:{color}'>{html.escape(text)}</span>" if text else ""
        self.ui.statusLabel.visible = bool(text)
