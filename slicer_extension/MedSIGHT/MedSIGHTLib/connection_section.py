"""The panel's server section: address and token, testing them, and a light with words about who answers.

Written for PythonQt. Runs beside questions, so a server that does not answer does not keep anybody from asking.
"""

from __future__ import annotations

import html
from typing import Any, Callable

from medsight_core.client import ServerInfo
from medsight_core.errors import MedSightError
from medsight_core.protocol import CAPABILITY_JOBS
from MedSIGHTLib.asking import Asker
from MedSIGHTLib.background import Background
from MedSIGHTLib.local_server_section import LocalServerSection
from MedSIGHTLib.parameters import ServerSettings
from MedSIGHTLib.style import Colors, sentence
from MedSIGHTLib.translating import _


class ConnectionSection:
    """Keeps ``info``: what the server said of itself when it was tested last, None when it did not answer well."""

    def __init__(self, ui: Any, asker: Asker, settings: ServerSettings, colors: Colors, changed: Callable[[], None]):
        """``changed`` is called whenever the outcome of a test is there."""
        self.ui, self.asker, self.settings = ui, asker, settings
        self.info: ServerInfo | None = None
        self.background = Background()
        self._colors, self._changed = colors, changed
        self.local = LocalServerSection(ui, settings, colors, self._turn_to)
        ui.addressEdit.text = settings.address
        ui.tokenEdit.text = settings.token
        ui.connectButton.connect("clicked()", self.test)
        ui.addressEdit.connect("returnPressed()", self.test)
        ui.tokenEdit.connect("returnPressed()", self.test)
        self._show("idle", _("Not connected"))

    def use(self) -> bool:
        """Take address and token from the panel; False when they cannot be used, which the section then says."""
        address, token = self.ui.addressEdit.text.strip(), self.ui.tokenEdit.text.strip()
        if (address, token) != (self.settings.address, self.settings.token):
            self.info = None  # it was another server's
            self.settings.address, self.settings.token = address, token
        try:
            self.asker.connect(self.settings.address, self.settings.token)
        except MedSightError as error:
            self._failed(error)
            return False
        return True

    def test(self) -> None:
        """Check address and token in the background, and show who answers or what is wrong."""
        if self.background.busy or not self.use():
            return
        self._show("busy", _("Testing {address} …").format(address=self.settings.address))
        self.ui.connectButton.enabled = False
        self.background.run(lambda tell: self.asker.info(), self._answered, self._failed)

    def close(self) -> None:
        """Await nothing any more, and end the server that was started here."""
        self.background.forget()
        self.local.close()

    def _turn_to(self, address: str, token: str) -> None:
        """Use another server from now on."""
        self.ui.addressEdit.text, self.ui.tokenEdit.text = address, token
        self.background.forget()  # a test of the former one means nothing any more
        self.test()

    def _answered(self, info: ServerInfo) -> None:
        self.info = info
        model = " ".join(part for part in (info.model.id, info.model.version) if part) or _("a model without a name")
        text = _("Connected · {model}").format(model=model)
        if CAPABILITY_JOBS not in info.capabilities:
            text += _(" · older server: no progress and no text until the answer is there")
        self._show("good", text)
        self.ui.serverSection.collapsed = True
        self.ui.connectButton.enabled = True
        self._changed()

    def _failed(self, error: Exception) -> None:
        self.info = None
        self._show("problem", sentence(error))
        self.ui.serverSection.collapsed = False
        self.ui.connectButton.enabled = True
        self._changed()

    def _show(self, state: str, text: str) -> None:
        color = self._colors.state(state)
        self.ui.connectionLabel.text = f"<span style='color:{color}'>\N{BLACK CIRCLE}</span>&nbsp; {html.escape(text)}"
