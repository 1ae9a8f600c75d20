"""The panel's training: let the server's model learn from corrected labels, follow it, choose which version answers.

Written for PythonQt. Trains nothing itself: the server does, in a process of its own, and goes on without this panel.
What cannot be taken back for everybody who uses the server is asked about first, in the section and not in a dialog,
so that nothing stands still meanwhile.
"""

from __future__ import annotations

import html
from typing import Any, Callable

from medsight_core.client import Annotator, ModelVersion, Training
from medsight_core.errors import MedSightError
from medsight_core.protocol import CAPABILITY_TRAINING, TRAINING_RUNNING, TRAINING_STARTING
from MedSIGHTLib.background import Background, later
from MedSIGHTLib.connection_section import ConnectionSection
from MedSIGHTLib.parameters import AnnotatorSettings
from MedSIGHTLib.style import Colors, sentence
from MedSIGHTLib.training_words import notices_html, training_words, version_html, version_title
from MedSIGHTLib.translating import _

_FOLLOW_MILLISECONDS = 1000
_RETRY_MILLISECONDS = 5000  # while a server does not answer whose training was followed
_ANYBODY = "unnamed"  # of a training the server keeps no name

_State = tuple[Training, tuple[ModelVersion, ...]]


class TrainingSection:
    """The section's widgets; one call to the server at a time, beside questions and the worklist."""

    def __init__(self, ui: Any, connection: ConnectionSection, settings: AnnotatorSettings, colors: Colors):
        """``ui``: the widgets of ``Training.ui``."""
        self.ui, self.settings = ui, settings
        self.background = Background()
        self._connection, self._colors = connection, colors
        self._server = ("", "")  # address and token of whose training is shown
        self._training: Training | None = None
        self._models: tuple[ModelVersion, ...] = ()
        self._confirmed: Callable[[], None] | None = None
        self._stop_following: Callable[[], None] = lambda: None
        ui.submittedTooBox.checked = settings.submitted_too
        ui.trainByItselfBox.checked = settings.train_by_itself
        ui.trainingSection.connect("contentsCollapsed(bool)", self.look)
        ui.submittedTooBox.connect("toggled(bool)", self._store)
        ui.trainByItselfBox.connect("toggled(bool)", self._store)
        ui.trainButton.connect("clicked()", self.start)
        ui.stopTrainingButton.connect("clicked()", self.ask_to_stop)
        ui.modelVersionSelector.connect("currentIndexChanged(int)", self.show)
        ui.serveButton.connect("clicked()", self.ask_to_serve)
        ui.confirmButton.connect("clicked()", self._confirm)
        ui.refuseButton.connect("clicked()", self._refuse)
        self._say("")
        self.show()

    @property
    def runs(self) -> bool:
        """Whether a training runs, as far as is known."""
        return self._training is not None and self._training.state in (TRAINING_STARTING, TRAINING_RUNNING)

    # -- what the user does

    def look(self) -> None:
        """Ask the server how its training and its versions are, unless nobody wants to know."""
        if not self.ui.trainingSection.collapsed and self.offered:
            self._work("", lambda annotator: None)

    def connected(self) -> None:
        """The connection was tested: what is known of another server means nothing any more."""
        if self._server != (self._connection.settings.address, self._connection.settings.token):
            self._leave_server()
        self.show()
        self.look()

    def start(self) -> None:
        """Let the model learn from the labels that the server keeps."""
        submitted_too, steps = self.settings.submitted_too, self.ui.stepsBox.value
        self._work(_("Asking the server to train …"), lambda annotator: annotator.train(submitted_too, steps=steps))

    def label_came_in(self) -> None:
        """A label was handed in or reviewed: train again, if that is wished and nothing else is going on."""
        if self.settings.train_by_itself and self.offered and not self.runs:
            self.start()

    def ask_to_stop(self) -> None:
        """Stop the training, once that is confirmed."""
        self._ask(
            _("Stop the training? Nothing is kept of it."),
            _("Stop it"),
            lambda: self._work(_("Stopping the training …"), lambda annotator: annotator.stop_training()),
        )

    def ask_to_serve(self) -> None:
        """Let the chosen version answer, once that is confirmed."""
        version = self._chosen()
        if version is None:
            return
        name, back = version.name, self._is_earlier(version)

        def serve(annotator: Annotator) -> None:
            if back:
                annotator.rollback(name)
            else:
                annotator.promote(name)

        question = _("From the next question on, {version} answers everybody who asks this server.")
        button = _("Roll back to {version}") if back else _("Let {version} answer")
        self._ask(
            question.format(version=name),
            button.format(version=name),
            lambda: self._work(_("Changing the version …"), serve, self._connection.test),
        )

    def close(self) -> None:
        """Follow and await nothing any more."""
        self._stop_following()
        self.background.forget()

    @property
    def offered(self) -> bool:
        """Whether the server that was tested last trains."""
        info = self._connection.info
        return info is not None and CAPABILITY_TRAINING in info.capabilities

    # -- the work with the server

    def _work(self, words: str, work: Callable[[Annotator], Any], after: Callable[[], None] = lambda: None) -> None:
        """Do something on the server, then see how all is; nothing while another call is on its way."""
        if self.background.busy or not self._connection.use():
            return
        server = (self._connection.settings.address, self._connection.settings.token)
        if server != self._server:
            self._leave_server()
            self._server = server
        if words:
            self._say(words, "busy")
        self._run(lambda annotator: (work(annotator), *_state_of(annotator))[1:], after)

    def _run(self, work: Callable[[Annotator], _State], after: Callable[[], None] = lambda: None) -> None:
        self._stop_following()
        address, token = self._server
        try:
            annotator = Annotator(self.settings.name or _ANYBODY, address, token or None)
        except MedSightError as error:
            self._failed(error)
            return

        def with_server(tell: Callable[[Any], None]) -> _State:
            with annotator:
                return work(annotator)

        def done(state: _State) -> None:
            self._learned(*state)
            after()

        self.background.run(with_server, done, self._failed)
        self.show()

    def _leave_server(self) -> None:
        self.close()
        self._server, self._training, self._confirmed = ("", ""), None, None
        self._offer(())
        self._say("")

    def _follow(self) -> None:
        """Look again, without touching the address that somebody may be writing at this moment."""
        if not self.background.busy:
            self._run(_state_of)

    def _learned(self, training: Training, models: tuple[ModelVersion, ...]) -> None:
        ended = self.runs and training.ended
        self._training = training
        self._offer(models)
        self._say(*training_words(training))
        if self.runs:
            self._stop_following = later(_FOLLOW_MILLISECONDS, self._follow)
        if ended and training.promoted:
            self._connection.test()  # another version answers, which the panel tells
        self.show()

    def _failed(self, error: Exception) -> None:
        self._say(sentence(error), "problem")
        if self.runs:
            self._stop_following = later(_RETRY_MILLISECONDS, self._follow)
        self.show()

    # -- asking first

    def _ask(self, question: str, button: str, confirmed: Callable[[], None]) -> None:
        self._confirmed = confirmed
        self.ui.confirmLabel.text, self.ui.confirmButton.text = html.escape(question), button
        self.show()
        self.ui.refuseButton.setFocus()

    def _confirm(self) -> None:
        confirmed, self._confirmed = self._confirmed, None
        if confirmed is not None:
            self._stop_following()
            self.background.forget()  # whatever looks at the server just now; this goes first
            confirmed()
        self.show()

    def _refuse(self) -> None:
        self._confirmed = None
        self.show()

    # -- what is shown

    def show(self) -> None:
        """Bring the section in line with what the server said."""
        ui, training, runs = self.ui, self._training, self.runs
        offered, asking = self.offered, self._confirmed is not None
        ui.trainingBody.visible = offered
        ui.noTrainingLabel.visible = not offered
        ui.noTrainingLabel.text = (
            _("This server is older and trains nothing: update it.")
            if self._connection.info is not None
            else _("Test the connection under Server first.")
        )
        ui.trainButton.enabled = not runs and not self.background.busy and not asking
        ui.stopTrainingButton.visible = runs
        ui.stopTrainingButton.enabled = not asking
        for name in ("submittedTooBox", "stepsBox"):
            getattr(ui, name).enabled = not runs
        ui.trainingBar.visible = runs
        if runs:
            known = training.phase != ""
            ui.trainingBar.maximum, ui.trainingBar.value = (100, round(100 * training.done)) if known else (0, 0)
        notices = notices_html(training, self._colors.muted) if training is not None else ""
        ui.noticesLabel.text, ui.noticesLabel.visible = notices, bool(notices)
        ui.confirmFrame.visible = asking
        self._show_version(asking)

    def _show_version(self, asking: bool) -> None:
        ui, version = self.ui, self._chosen()
        ui.versionsFrame.visible = version is not None
        if version is None:
            return
        ui.modelVersionLabel.text = version_html(version, self._colors.muted)
        ui.modelVersionSelector.enabled = not asking
        ui.serveButton.text = _("Roll back …") if self._is_earlier(version) else _("Let it answer …")
        ui.serveButton.enabled = not asking and not version.served and version.may_be_served
        ui.serveButton.toolTip = (
            _("This version answers now")
            if version.served
            else _("Let this version answer from the next question on; you are asked first")
        )

    def _offer(self, models: tuple[ModelVersion, ...]) -> None:
        """Fill the list, the newest first; the chosen one stays chosen, or else the served one is."""
        before, chosen = self._models, self._chosen()
        if models == before:
            return
        if not models:
            self._models = ()
            self.ui.modelVersionSelector.clear()
            return
        names = [version.name for version in before]
        selector = self.ui.modelVersionSelector
        self._models = ()  # until it is filled, so that filling shows nothing
        selector.clear()
        for version in reversed(models):
            selector.addItem(version_title(version))
        self._models = models
        same = chosen is not None and names == [version.name for version in models]
        wanted = next((v for v in models if (v.name == chosen.name if same else v.served)), models[0])
        selector.currentIndex = len(models) - 1 - models.index(wanted)

    def _chosen(self) -> ModelVersion | None:
        index = self.ui.modelVersionSelector.currentIndex
        return self._models[len(self._models) - 1 - index] if 0 <= index < len(self._models) else None

    def _is_earlier(self, version: ModelVersion) -> bool:
        """Than the one that answers now."""
        served = next((each for each in self._models if each.served), version)
        return self._models.index(version) < self._models.index(served)

    def _say(self, text: str, state: str = "idle") -> None:
        color = self._colors.state(state)
        self.ui.trainingLabel.text = f"<span style='color:{color}'>{html.escape(text)}</span>" if text else ""
        self.ui.trainingLabel.visible = bool(text)

    def _store(self) -> None:
        """The panel changed: keep it for next time."""
        self.settings.submitted_too = self.ui.submittedTooBox.checked
        self.settings.train_by_itself = self.ui.trainByItselfBox.checked


def _state_of(annotator: Annotator) -> _State:
    return annotator.training(), annotator.models()
