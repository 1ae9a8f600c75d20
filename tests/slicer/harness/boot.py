"""A MRML scene with the logics that Slicer's own Python helpers look for, without the Slicer application.

Everything here is the real library (``slicer-core``); only the wiring that the application does in C++ is ours. Widgets
and the application object are elsewhere (`slicer_app`).
"""

from __future__ import annotations

import tempfile
import types
from pathlib import Path

import slicer

_ALIVE: list = []  # logics that others point to without holding them


class Modules(types.SimpleNamespace):
    """``slicer.modules``: one attribute per module, lower case, with ``logic()``."""

    def add(self, name: str, logic: object) -> None:
        setattr(self, name.lower(), types.SimpleNamespace(logic=lambda: logic, name=name))


def boot() -> slicer.vtkSlicerApplicationLogic:
    """Set ``slicer.mrmlScene`` and ``slicer.modules`` as the application does; once per process.

    The caller keeps what is returned: the other logics point to it without holding it.
    """
    scene = slicer.vtkMRMLScene()
    application = slicer.vtkSlicerApplicationLogic()
    application.SetMRMLScene(scene)
    application.GetColorLogic().SetMRMLScene(scene)
    application.GetColorLogic().AddDefaultColorNodes()
    modules = Modules()

    def register(name: str, logic: slicer.vtkMRMLAbstractLogic) -> None:
        logic.SetMRMLScene(scene)
        logic.SetMRMLApplicationLogic(application)
        application.SetModuleLogic(name, logic)
        modules.add(name, logic)

    terminologies = slicer.vtkSlicerTerminologiesModuleLogic()
    # Must precede SetMRMLScene, which reads the lists. Only trame-slicer ships them; codes are kept without them too.
    lists = _terminology_folder()
    if lists is not None:
        terminologies.SetModuleShareDirectory(str(lists))
    register("Colors", application.GetColorLogic())
    register("Volumes", slicer.vtkSlicerVolumesLogic())
    register("Segmentations", slicer.vtkSlicerSegmentationsModuleLogic())
    register("Terminologies", terminologies)
    register("SubjectHierarchy", slicer.vtkSlicerSubjectHierarchyModuleLogic())
    _let_scenes_be_loaded(application, scene)
    slicer.mrmlScene = scene
    slicer.modules = modules
    return application


def _let_scenes_be_loaded(application: slicer.vtkSlicerApplicationLogic, scene: slicer.vtkMRMLScene) -> None:
    """What reading a .mrb needs: a place that manages data from elsewhere, though there are none."""
    remote = slicer.vtkMRMLRemoteIOLogic()
    remote.SetMRMLApplicationLogic(application)
    remote.GetCacheManager().SetRemoteCacheDirectory(tempfile.mkdtemp(prefix="slicer-cache-"))
    remote.GetCacheManager().SetMRMLScene(scene)
    remote.SetMRMLScene(scene)
    remote.AddDataIOToScene()
    data = slicer.vtkDataIOManagerLogic()
    application.SetMRMLSceneDataIO(scene, remote, data)
    _ALIVE.extend((remote, data))


def _terminology_folder() -> Path | None:
    try:
        import trame_slicer
    except ImportError:
        return None
    folder = Path(trame_slicer.__file__).parent / "resources" / "terminologies"
    return folder if folder.is_dir() else None
