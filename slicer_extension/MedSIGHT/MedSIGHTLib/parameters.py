"""What the panel remembers, in two places that must not be mixed.

In the scene (`Parameters`): the prompt, the scope and the volume; they are saved and shared with it.
On this machine (`ServerSettings`, `AnnotatorSettings`): the address and token of the server, how one is started, and
who labels how. Never in the scene: the token is a secret, and a scene from somebody else must not choose where the
volumes and token of this user are sent, or which program is started.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

from medsight_core.client.client import DEFAULT_ADDRESS
from medsight_core.protocol import SCOPE_VOLUME

_MODULE = "MedSIGHT"
_VOLUME_ROLE = "Volume"
FIRST_QUESTION = "What can you see? Outline everything."


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
        """`SCOPE_VOLUME` (the default), the layout name of a slice view, or a range such as "axial:10-20"."""
        return self.node.GetParameter("Scope") or SCOPE_VOLUME

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
    """Which server is asked, and how one is started here, in the user's own settings.

    Those are a QSettings, or anything with its two methods.
    """

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

    @property
    def program(self) -> str:
        """The ``medsight`` program that starts a server here, or its environment's folder; empty to look for it."""
        return str(self._settings.value(f"{_MODULE}/Program", "") or "")

    @program.setter
    def program(self, value: str) -> None:
        self._settings.setValue(f"{_MODULE}/Program", value.strip())

    @property
    def studies(self) -> Path:
        """Where a server that was started here keeps cases and labels."""
        return Path(str(self._settings.value(f"{_MODULE}/Studies", "") or Path.home() / "medsight-studies"))


class AnnotatorSettings:
    """How one person works through a worklist, in the same place: it is theirs, not the scene's."""

    def __init__(self, settings: Any):
        """``settings``: as of `ServerSettings`."""
        self._settings = settings

    @property
    def name(self) -> str:
        """Kept by the server with each label; empty until given."""
        return self._text("Annotator", "")

    @name.setter
    def name(self, value: str) -> None:
        self._set("Annotator", value.strip())

    @property
    def task(self) -> str:
        """One of `fetching.TASKS`; whatever else stands there is nobody's."""
        return self._text("Task", "label")

    @task.setter
    def task(self, value: str) -> None:
        self._set("Task", value)

    @property
    def strategy(self) -> str:
        """By which the server chooses the next case."""
        return self._text("Strategy", "hybrid")

    @strategy.setter
    def strategy(self, value: str) -> None:
        self._set("Strategy", value)

    @property
    def ask_first(self) -> bool:
        """Whether the model is asked as soon as a case is loaded."""
        return self._text("AskFirst", "true") == "true"

    @ask_first.setter
    def ask_first(self, value: bool) -> None:
        self._set("AskFirst", "true" if value else "false")

    @property
    def question(self) -> str:
        """What it is asked then."""
        return self._text("FirstQuestion", FIRST_QUESTION)

    @question.setter
    def question(self, value: str) -> None:
        self._set("FirstQuestion", value.strip())

    @property
    def submitted_too(self) -> bool:
        """Whether labels that nobody has reviewed are learned from."""
        return self._text("SubmittedToo", "false") == "true"

    @submitted_too.setter
    def submitted_too(self, value: bool) -> None:
        self._set("SubmittedToo", "true" if value else "false")

    @property
    def train_by_itself(self) -> bool:
        """Whether a training starts when a label comes in."""
        return self._text("TrainByItself", "false") == "true"

    @train_by_itself.setter
    def train_by_itself(self, value: bool) -> None:
        self._set("TrainByItself", "true" if value else "false")

    @property
    def go_on(self) -> bool:
        """Whether the next case is taken once one is handed in."""
        return self._text("GoOn", "false") == "true"

    @go_on.setter
    def go_on(self, value: bool) -> None:
        self._set("GoOn", "true" if value else "false")

    def _text(self, key: str, default: str) -> str:
        return str(self._settings.value(f"{_MODULE}/{key}", default) or default)

    def _set(self, key: str, value: str) -> None:
        self._settings.setValue(f"{_MODULE}/{key}", value)
