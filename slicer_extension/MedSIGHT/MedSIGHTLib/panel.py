"""The panel: from clicks to `Asker`, and from its outcomes to what is shown.

Written for PythonQt: Qt properties are attributes, signals are connected by name. Nothing here waits: what is slow runs
in `Background`, and only one thing at a time. Holds no knowledge of MRML beyond which node is chosen.
"""

from __future__ import annotations

import html
import logging
from typing import Any

import qt
import slicer
from slicer.util import VTKObservationMixin

from medsight_core.answer import NOTICE
from medsight_core.client import Reply, ServerInfo
from medsight_core.errors import MedSightError
from medsight_core.protocol import SCOPE_PLANE, SCOPE_VOLUME
from MedSIGHTLib import mrml
from MedSIGHTLib.asking import Asker, Prepared
from MedSIGHTLib.background import Background
from MedSIGHTLib.parameters import Parameters, ServerSettings
from MedSIGHTLib.report import LATEST, conversation_html, parse_link
from MedSIGHTLib.style import Colors

_MAX_SUGGESTIONS = 2


class Panel(VTKObservationMixin):
    """The module's widgets, wired to one `Asker`."""

    def __init__(self, widget: Any, asker: Asker):
        """``widget``: the loaded ``MedSIGHT.ui``."""
        VTKObservationMixin.__init__(self)
        self.ui = slicer.util.childWidgetVariables(widget)
        self.asker = asker
        self.background = Background()
        self.settings = ServerSettings(slicer.app.userSettings())
        self.info: ServerInfo | None = None
        self._colors = Colors.of(widget.palette)
        self._updating = False
        self._shown = ""
        self._message = ("", "idle")

        self.ui.addressEdit.text = self.settings.address
        self.ui.tokenEdit.text = self.settings.token
        self._connect_signals()
        for node_widget in (self.ui.volumeSelector, self.ui.segmentsTable):
            node_widget.setMRMLScene(slicer.mrmlScene)
        for event in (slicer.mrmlScene.EndCloseEvent, slicer.mrmlScene.EndImportEvent):
            self.addObserver(slicer.mrmlScene, event, self._scene_changed)
        self._show_connection("idle", "Not connected")
        self._restore()

    def enter(self) -> None:
        """The module is opened: say hello to the server that was used last, without being asked."""
        if self.info is None and not self.background.busy:
            self.connect()

    def close(self) -> None:
        """Leave no observer, no timer and no volume on the server behind."""
        self.background.forget()
        self.removeObservers()
        # Its own short work: the application is closing and must not wait for a server that does not answer.
        closing = Background.start(self.asker.close)
        closing.join(timeout=1.0)

    def connect(self) -> None:
        """Check address and token in the background, and show who answers."""
        if self.background.busy or not self._use_server():
            return
        self._show_connection("busy", f"Connecting to {self.settings.address} …")
        self.background.run(self.asker.info, self._connected, self._not_connected)
        self._refresh()

    def ask(self) -> None:
        """Send the question in the background; a problem becomes a sentence in the panel."""
        if self._why_not() or not self._use_server():
            return
        try:
            question = self.asker.prepare(self.volume, self.ui.promptEdit.plainText, self._scope)
        except MedSightError as error:
            self._say(str(error), "problem")
            return
        self.background.run(
            lambda: self.asker.send(question), lambda reply: self._answered(question, reply), self._failed
        )
        self._say("Waiting for the answer. You can go on working meanwhile.")
        self._refresh()

    @property
    def volume(self) -> Any:
        """The chosen volume node, or None."""
        return self.ui.volumeSelector.currentNode()

    @property
    def _scope(self) -> str:
        return SCOPE_PLANE if self.ui.planeScopeButton.checked else SCOPE_VOLUME

    # -- outcomes of background work

    def _connected(self, info: ServerInfo) -> None:
        self.info = info
        model = " ".join(part for part in (info.model.id, info.model.version) if part) or "a model without a name"
        self._show_connection("good", f"Connected · {model}")
        self.ui.serverSection.collapsed = True
        self._say("")
        self._refresh()

    def _not_connected(self, error: Exception) -> None:
        self.info = None
        self._show_connection("problem", _sentence(error))
        self.ui.serverSection.collapsed = False
        self._refresh()

    def _answered(self, question: Prepared, reply: Reply) -> None:
        try:
            self.asker.finish(question, reply)
        except MedSightError as error:
            self._failed(error)
            return
        seconds = reply.answer.timings.get("total", 0.0)
        self._say(f"Answered in {seconds:.1f} s." if seconds else "")
        self.ui.promptEdit.plainText = ""
        if self.info is None:
            self.connect()
        self._refresh()

    def _failed(self, error: Exception) -> None:
        self._say(_sentence(error), "problem")
        self._refresh()

    # -- what the user and the scene do

    def _connect_signals(self) -> None:
        ui = self.ui
        ui.connectButton.connect("clicked()", self.connect)
        ui.addressEdit.connect("returnPressed()", self.connect)
        ui.tokenEdit.connect("returnPressed()", self.connect)
        ui.volumeSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._store)
        ui.planeScopeButton.connect("toggled(bool)", self._store)
        ui.promptEdit.connect("textChanged()", self._store)
        ui.askButton.connect("clicked()", self.ask)
        ui.newConversationButton.connect("clicked()", self._start_over)
        ui.suggestionsLabel.connect("linkActivated(QString)", self._take_suggestion)
        ui.answerBrowser.connect("anchorClicked(QUrl)", self._show_region)
        self._shortcuts = [qt.QShortcut(qt.QKeySequence(keys), ui.promptEdit) for keys in ("Ctrl+Return", "Ctrl+Enter")]
        for shortcut in self._shortcuts:
            shortcut.context = qt.Qt.WidgetShortcut
            shortcut.connect("activated()", self.ask)

    def _store(self) -> None:
        """The panel changed: keep it in the scene."""
        if self._updating:
            return
        parameters = Parameters.of(slicer.mrmlScene)
        parameters.prompt = self.ui.promptEdit.plainText
        parameters.scope = self._scope
        parameters.volume = self.volume
        self._refresh()

    def _restore(self) -> None:
        """The scene changed: show what it holds."""
        parameters = Parameters.of(slicer.mrmlScene)
        self._updating = True
        self.ui.promptEdit.plainText = parameters.prompt
        self.ui.planeScopeButton.checked = parameters.scope == SCOPE_PLANE
        self.ui.volumeScopeButton.checked = parameters.scope != SCOPE_PLANE
        if parameters.volume is not None:
            self.ui.volumeSelector.setCurrentNode(parameters.volume)
        self._updating = False
        self._store()

    def _scene_changed(self, caller: Any, event: str) -> None:
        self.asker.conversation.turn_to(None)
        self._restore()

    def _start_over(self) -> None:
        self.asker.conversation.turn_to(None)
        self._say("")
        self._refresh()

    def _take_suggestion(self, prompt: str) -> None:
        self.ui.promptEdit.plainText = prompt
        self.ui.promptEdit.setFocus()

    def _show_region(self, url: Any) -> None:
        link = parse_link(url.toString())
        turns = self.asker.conversation.turns
        if link is None or link[0] >= len(turns) or self.volume is None:
            return
        node = mrml.segmentation_of(self.volume)
        segment_id = turns[link[0]].segment_ids.get(link[1])
        if node is None or segment_id is None or not mrml.show_segment(node, segment_id):
            self._say("That segment is no longer in the scene: ask again to get it back.")
            return
        self.ui.segmentsTable.setSelectedSegmentIDs([segment_id])

    # -- what is shown

    def _refresh(self) -> None:
        """Bring every widget in line with the state."""
        ui, busy, volume = self.ui, self.background.busy, self.volume
        if not busy and self.asker.conversation.turns and volume is not None:
            self.asker.conversation.turn_to(volume.GetID())
        why_not = self._why_not()
        ui.askButton.enabled = not why_not
        ui.askButton.toolTip = why_not or "Send the question (Ctrl+Enter)"
        ui.connectButton.enabled = not busy
        ui.volumeSelector.enabled = not busy
        ui.progressBar.visible = busy
        turns = self.asker.conversation.turns
        ui.newConversationButton.enabled = bool(turns) and not busy
        content = conversation_html(turns, self._colors.text, self._colors.muted) if turns else ""
        if content != self._shown:  # not on every change: it takes the reader's place in the text
            self._shown = content
            ui.answerBrowser.setHtml(content)
            ui.answerBrowser.scrollToAnchor(LATEST)
        node = mrml.segmentation_of(volume) if volume is not None else None
        ui.segmentsTable.setSegmentationNode(node)
        ui.segmentsTable.visible = ui.segmentsLabel.visible = node is not None
        self._show_suggestions()
        self._show_status()
        self._show_notice()

    def _why_not(self) -> str:
        """Why a question cannot be asked now; empty when it can."""
        if self.background.busy:
            return "Waiting for the server"
        if self.volume is None:
            return "Load a volume first"
        if not self.ui.promptEdit.plainText.strip():
            return "Write a question first"
        return ""

    def _use_server(self) -> bool:
        """Take address and token from the panel; False when they cannot be used, which the panel then says."""
        self.settings.address, self.settings.token = self.ui.addressEdit.text, self.ui.tokenEdit.text
        try:
            self.asker.connect(self.settings.address, self.settings.token)
        except MedSightError as error:
            self._not_connected(error)
            return False
        return True

    def _show_connection(self, state: str, text: str) -> None:
        color = self._colors.state(state)
        self.ui.connectionLabel.text = f"<span style='color:{color}'>\N{BLACK CIRCLE}</span>&nbsp; {html.escape(text)}"

    def _show_suggestions(self) -> None:
        suggestions = self.info.suggestions if self.info else {}
        modality = mrml.modality_of(self.volume) if self.volume is not None else None
        prompts = suggestions.get(modality) or [prompt for prompts in zip(*suggestions.values()) for prompt in prompts]
        style = f"color:{self._colors.link}; text-decoration:none"
        links = " &nbsp;·&nbsp; ".join(
            f"<a href='{html.escape(prompt)}' style='{style}'>{html.escape(prompt)}</a>"
            for prompt in prompts[:_MAX_SUGGESTIONS]
        )
        self.ui.suggestionsLabel.text = (
            f"<span style='color:{self._colors.muted}'>Try</span> &nbsp;{links}" if links else ""
        )
        self.ui.suggestionsLabel.visible = bool(links)

    def _show_notice(self) -> None:
        turns = self.asker.conversation.turns
        model = turns[-1].answer.model if turns else self.info.model if self.info else None
        notice = turns[-1].answer.notice if turns else NOTICE
        if model is None:
            about = "The model's licence is shown once a server is connected."
        else:
            about = f"Model {model.id} {model.version} · licence: {model.licence or 'not stated by the server'}"
        self.ui.noticeLabel.text = (
            f"<b>{html.escape(notice)}</b><br><span style='color:{self._colors.muted}'>{html.escape(about)}</span>"
        )

    def _say(self, text: str, state: str = "idle") -> None:
        self._message = (text, state)
        self._show_status()

    def _show_status(self) -> None:
        text, state = self._message
        if not text and self.volume is None:
            text = "Load a volume to ask about."
        color = self._colors.state(state)
        self.ui.statusLabel.text = f"<span style='color:{color}'>{html.escape(text)}</span>" if text else ""
        self.ui.statusLabel.visible = bool(text)


def _sentence(error: Exception) -> str:
    if isinstance(error, MedSightError):
        return str(error)
    logging.error("MedSIGHT failed", exc_info=error)
    return f"MedSIGHT failed unexpectedly ({type(error).__name__}): see the Python console, then ask again."
