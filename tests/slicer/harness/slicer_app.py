"""What the Slicer application adds to MRML for a scripted module: ``slicer.app``, the base classes, loading a module.

Stand-ins of a few lines each, written from their documented behaviour; only the module under test is the real thing.
"""

from __future__ import annotations

import importlib.util
import sys
import time
import types
import unittest
from pathlib import Path

import slicer
from harness import boot, pythonqt, widgets
from PySide6 import QtCore, QtWidgets


class App:
    """``slicer.app``."""

    def __init__(self, qt, logic, settings_file: Path):
        self._logic = logic
        self._settings = qt.QSettings(str(settings_file), qt.QSettings.IniFormat)

        self._started: list = []

    def connect(self, signal, slot):
        assert signal == "startupCompleted()", signal
        self._started.append(slot)
        return True

    def start_up(self):
        """What the application does once all its modules are loaded."""
        for slot in self._started:
            slot()

    def applicationLogic(self):
        return self._logic

    def userSettings(self):
        return self._settings

    def startupEnvironment(self):
        return QtCore.QProcessEnvironment.systemEnvironment()

    def testingEnabled(self):
        return True

    def layoutManager(self):
        return None


class ScriptedLoadableModule:
    def __init__(self, parent):
        self.parent = parent
        self.moduleName = type(self).__name__
        parent.title = parent.helpText = parent.acknowledgementText = ""
        parent.categories, parent.dependencies, parent.contributors = [], [], []


class ScriptedLoadableModuleWidget:
    def __init__(self, parent=None):
        self.moduleName = type(self).__name__[: -len("Widget")]
        self.parent = parent
        self.layout = parent.layout()
        self.logic = None

    def setup(self):
        pass

    def enter(self):
        pass

    def exit(self):
        pass

    def cleanup(self):
        pass

    def resourcePath(self, filename):
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / filename)


class ScriptedLoadableModuleLogic:
    def __init__(self, parent=None):
        self.moduleName = type(self).__name__[: -len("Logic")]


class ScriptedLoadableModuleTest(unittest.TestCase):
    def runTest(self):
        pass

    def delayDisplay(self, message, *_, **__):
        pass


def install(settings_file: Path) -> None:
    """Turn this process into something that a scripted module takes for Slicer; once."""
    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["slicer"])
    application.setStyle("Fusion")
    logic = boot.boot()
    qt, ctk = pythonqt.install()
    widgets.install(ctk)
    slicer.app = App(qt, logic, settings_file)
    base = types.ModuleType("slicer.ScriptedLoadableModule")
    for kind in (
        ScriptedLoadableModule,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
    ):
        setattr(base, kind.__name__, kind)
    slicer.ScriptedLoadableModule = base
    sys.modules[base.__name__] = base


def load_module(path: Path) -> types.ModuleType:
    """Import a scripted module as the module factory does, and register it in ``slicer.modules``."""
    sys.path.insert(0, str(path.parent))  # Slicer does, so that a module finds its library
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    parent = types.SimpleNamespace(path=str(path))
    getattr(module, path.stem)(parent)
    representation = types.SimpleNamespace(name=path.stem, path=str(path), parent=parent)
    setattr(slicer.modules, path.stem.lower(), representation)
    return module


def make_widget(module: types.ModuleType, name: str):
    """The module's widget in a parent as Slicer makes it, set up; becomes ``slicer.modules.NAMEWidget``."""
    parent = slicer.qMRMLWidget()
    QtWidgets.QVBoxLayout(parent)
    parent.setMRMLScene(slicer.mrmlScene)
    widget = getattr(module, name + "Widget")(parent)
    setattr(slicer.modules, name + "Widget", widget)
    widget.setup()
    return widget


def wait_until(condition, seconds: float = 10.0) -> None:
    """Let the event loop run until ``condition()`` holds; AssertionError when it never does."""
    clock = QtCore.QElapsedTimer()
    clock.start()
    while not condition():
        assert clock.elapsed() < seconds * 1000, "the awaited state was never reached"
        QtCore.QCoreApplication.processEvents()
        time.sleep(0.005)
