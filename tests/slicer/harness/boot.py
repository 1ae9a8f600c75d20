"""A MRML scene with the logics that Slicer's own Python helpers look for, without the Slicer application.

Everything here is the real library (``slicer-core``); only the wiring that the application does in C++ is ours. Widgets
and the application object are elsewhere (`slicer_app`).
"""

from __future__ import annotations

import types
from pathlib import Path

import slicer


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
    slicer.mrmlScene = scene
    slicer.modules = modules
    return application


def _terminology_folder() -> Path | None:
    try:
        import trame_slicer
    except ImportError:
        return None
    folder = Path(trame_slicer.__file__).parent / "resources" / "terminologies"
    return folder if folder.is_dir() else None
