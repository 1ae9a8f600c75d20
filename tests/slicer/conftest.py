"""Slicer without the application: real MRML (slicer-core), and PySide6 posing as PythonQt (harness/)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"  # before PySide6 is imported
os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

sys.path.insert(0, str(Path(__file__).parent))

import pytest
import slicer

MODULE = Path(__file__).parents[2] / "slicer_extension" / "MedSIGHT" / "MedSIGHT.py"


@pytest.fixture(scope="session")
def medsight_module(tmp_path_factory):
    """The module, loaded once into a process that looks like Slicer to it."""
    from harness import slicer_app

    slicer_app.install(tmp_path_factory.mktemp("settings") / "Slicer.ini")
    return slicer_app.load_module(MODULE)


@pytest.fixture
def scene(medsight_module):
    """An empty scene, before and after; closing a scene keeps its views, which the application has made."""
    slicer.mrmlScene.Clear(0)
    yield slicer.mrmlScene
    slicer.mrmlScene.Clear(0)
    for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        slicer.mrmlScene.RemoveNode(node)


@pytest.fixture(autouse=True)
def slot_errors(monkeypatch):
    """An exception inside a slot fails the test: Qt itself would print and forget it."""
    errors = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: errors.append(error))
    yield
    if errors:
        raise errors[0]


@pytest.fixture
def server():
    """A scripted HTTP server that a panel can ask; see `panels`."""
    from panels import script
    from scripted_server import scripted_server

    with scripted_server() as scripted:
        script(scripted)
        yield scripted


@pytest.fixture
def panel(scene, medsight_module, server):
    """The module's panel, with the server's address and a token in its settings."""
    from harness.slicer_app import make_widget
    from panels import TOKEN

    slicer.app.userSettings().clear()
    slicer.app.userSettings().setValue("MedSIGHT/Address", server.address)
    slicer.app.userSettings().setValue("MedSIGHT/Token", TOKEN)
    widget = make_widget(medsight_module, "MedSIGHT")
    widget.parent.show()
    yield widget.panel
    widget.cleanup()
    widget.parent.delete()
