"""What the panel remembers, in two places that must not be mixed.

In the scene (`Parameters`): the prompt, the scope and the volume; they are saved and shared with it.
On this machine (`ServerSettings`): the server's address and token. Never in the scene: the token is a secret, and a
scene from somebody else must not choose where this user's volumes and token are sent.
"""

from __future__ import annotations

from typing import Any

import slicer

from medsight_core.client.client import DEFAULT_ADDRESS
from medsight_core.protocol import SCOPE_PLANE, SCOPE_VOLUME

_MODULE = "MedSIGHT"
_VOLUME_ROLE = "Volume"


class Parameters:
    """Typed access to the module's node in a scene. Reading never fails: what is missing or odd has a default."""

    def __init__(self, node: slicer.vtkMRMLScriptedModuleNode):
        """Wrap ``node``; nothing is stored here, so many may wrap the same."""
        self.node = node

    @classmethod
    def of(cls, scene: slicer.vtkMRMLScene) -> Parameters:
        """The one of this scene, made when there is none. It survives closing the scene, but loses its values then."""
        node = scene.GetSingletonNode(_MODULE, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.vtkMRMLScriptedModuleNode()
            node.SetSingletonTag(_MODULE)
            node = scene.AddNode(node)
        node.SetModuleName(_MODULE)
        node.SetName(_MODULE)
        return cls(node)

    @property
    def prompt(self) -> str:
        """The question as it stands in the panel."""
        return self.node.GetParameter("Prompt")

    @prompt.setter
    def prompt(self, value: str) -> None:
        self._set("Prompt", value)

    @property
    def scope(self) -> str:
        """`SCOPE_VOLUME` (the default) or `SCOPE_PLANE`."""
        return SCOPE_PLANE if self.node.GetParameter("Scope") == SCOPE_PLANE else SCOPE_VOLUME

    @scope.setter
    def scope(self, value: str) -> None:
        self._set("Scope", value)

    @property
    def volume(self) -> slicer.vtkMRMLScalarVolumeNode | None:
        """The volume that is asked about; None when none is chosen or it is gone."""
        return self.node.GetNodeReference(_VOLUME_ROLE)

    @volume.setter
    def volume(self, value: slicer.vtkMRMLScalarVolumeNode | None) -> None:
        node_id = value.GetID() if value is not None else None
        if node_id != self.node.GetNodeReferenceID(_VOLUME_ROLE):
            self.node.SetNodeReferenceID(_VOLUME_ROLE, node_id)

    def _set(self, key: str, value: str) -> None:
        if value != self.node.GetParameter(key):
            self.node.SetParameter(key, value)


class ServerSettings:
    """The server's address and token in the user's own settings (a QSettings, or anything with its two methods)."""

    def __init__(self, settings: Any):
        """``settings``: ``slicer.app.userSettings()`` in the application."""
        self._settings = settings

    @property
    def address(self) -> str:
        """Where the server is; this machine's default port until changed."""
        return str(self._settings.value(f"{_MODULE}/Address", DEFAULT_ADDRESS) or DEFAULT_ADDRESS)

    @address.setter
    def address(self, value: str) -> None:
        self._settings.setValue(f"{_MODULE}/Address", value.strip())

    @property
    def token(self) -> str:
        """What the server printed when it started; empty for none."""
        return str(self._settings.value(f"{_MODULE}/Token", "") or "")

    @token.setter
    def token(self, value: str) -> None:
        self._settings.setValue(f"{_MODULE}/Token", value.strip())
