"""The panel's row for a server on this computer: start it, see how it is, stop it.

Written for PythonQt. A server that answers is taken into the address and token boxes and tested like any other; what
stood there before comes back when it is stopped.
"""

from __future__ import annotations

import html
import time
from pathlib import Path
from typing import Any, Callable

import qt
import slicer

from medsight_core.errors import MedSightError
from MedSIGHTLib.local_server import LocalServer, find_program
from MedSIGHTLib.parameters import ServerSettings
from MedSIGHTLib.style import Colors
from MedSIGHTLib.translating import _

_POLL_MILLISECONDS = 250
# As in `background`: Slicer's event loop keeps Python's lock, so the thread that listens gets it for this long.
_YIELD_SECONDS = 0.01
_STOP_SECONDS = 15.0  # for a server to finish what it does
_CHECKOUT = Path(__file__).resolve().parents[3]


class LocalServerSection:
    """Owns at most one server process, which ends with it."""

    def __init__(self, ui: Any, settings: ServerSettings, colors: Colors, ready: Callable[[str, str], None]):
        """``ready`` is called with address and token once the server answers, and with the former ones at its end."""
        self.ui, self._settings, self._colors, self._ready = ui, settings, colors, ready
        self._server: LocalServer | None = None
        self._before = ("", "")
        self._since = 0.0
        self._answers = self._stopping = False
        self._timer = qt.QTimer()
        self._timer.setInterval(_POLL_MILLISECONDS)
        self._timer.connect("timeout()", self._poll)
        ui.programEdit.text = settings.program
        ui.localButton.connect("clicked()", self.toggle)
        self._show("idle", "")

    @property
    def running(self) -> bool:
        """Whether there is a server process of this panel."""
        return self._server is not None

    def toggle(self) -> None:
        """Start a server, or stop the one that runs."""
        if self.running:
            self.stop()
        else:
            self.start()

    def start(self) -> None:
        """Start one in the background; what is in the way becomes a sentence."""
        self._settings.program = self.ui.programEdit.text
        environment = slicer.util.startupEnvironment()  # Slicer's own would lead to Slicer's Python packages
        checkout = _CHECKOUT if (_CHECKOUT / "medsight_core" / "server").is_dir() else None
        try:
            program = find_program(self._settings.program, checkout, environment)
            self._server = LocalServer(program, self._settings.studies, environment)
        except MedSightError as error:
            self._show("problem", str(error))
            return
        self._before = (self._settings.address, self._settings.token)
        self._since = time.monotonic()
        self._timer.start()
        self._poll()

    def stop(self) -> None:
        """Stop it in the background; the former address and token come back then."""
        if self._server is not None:
            self._server.ask_to_stop()
            self._since, self._stopping = time.monotonic(), True
            self._show("busy", _("Stopping the server on this computer …"))

    def close(self) -> None:
        """End the server, if there is one, and await nothing any more."""
        self._timer.stop()
        server, self._server = self._server, None
        self._answers = self._stopping = False
        if server is not None:
            server.stop()

    def _poll(self) -> None:
        server = self._server
        if server is None:
            return
        server.wait(_YIELD_SECONDS)
        if self._stopping:
            self._end_stopping(server)
        elif not server.running:
            failure = str(server.failure())
            self.close()
            self._show("problem", failure)
        elif not server.address:
            self._show(
                "busy",
                _("Starting the server on this computer · {seconds} s").format(
                    seconds=f"{time.monotonic() - self._since:.0f}"
                ),
            )
        elif not self._answers:
            self._answers = True
            self._show(
                "good",
                _("Running on this computer until Slicer closes · studies in {studies}").format(
                    studies=self._settings.studies
                ),
            )
            self._ready(server.address, server.token)

    def _end_stopping(self, server: LocalServer) -> None:
        if server.running:
            if time.monotonic() - self._since < _STOP_SECONDS:
                return
            server.stop(seconds=0)
        answered = self._answers
        self.close()
        self._show("idle", _("The server on this computer was stopped."))
        if answered:
            self._ready(*self._before)

    def _show(self, state: str, text: str) -> None:
        ui, color = self.ui, self._colors.state(state)
        ui.localButton.text = _("Stop server") if self.running else _("Start server")
        ui.localButton.enabled = not self._stopping
        ui.programEdit.enabled = not self.running
        ui.localLabel.text = f"<span style='color:{color}'>{html.escape(text)}</span>" if text else ""
        ui.localLabel.visible = bool(text)
