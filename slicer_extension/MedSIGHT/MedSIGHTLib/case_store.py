"""Cases in the scene: a volume that carries its case, loaded from a file and removed again. MRML only, no Qt.

The scene is the only place where it is kept which case is open, so a saved scene goes on where it was left. Whatever it
says, the server takes a label only for the very image that it has.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

from medsight_core.errors import VolumeError
from MedSIGHTLib.case_segments import has_work
from MedSIGHTLib.open_case import OpenCase
from MedSIGHTLib.report_store import report_node_of
from MedSIGHTLib.segments import new_segmentation, segmentation_of
from MedSIGHTLib.translating import _

_ATTRIBUTE = "MedSIGHT.Case"
_EDITOR = "SegmentEditor"  # the singleton tag of the node that Slicer's own module edits by
BESIDE_ATTRIBUTE = "MedSIGHT.Version"


def case_of(volume_node: Any) -> OpenCase | None:
    """The case that a volume is the image of; None for any other volume, and for None."""
    text = volume_node.GetAttribute(_ATTRIBUTE) if volume_node is not None else None
    return OpenCase.from_json(text) if text else None


def set_case(volume_node: slicer.vtkMRMLScalarVolumeNode, case: OpenCase) -> None:
    """From now on the volume is that case's image."""
    volume_node.SetAttribute(_ATTRIBUTE, case.to_json())


def volume_of(scene: slicer.vtkMRMLScene, case_id: str, image_hash: str) -> Any:
    """The volume that a case was loaded into, if it is here and the server's image is still the same; else None."""
    count = scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    for node in [scene.GetNthNodeByClass(n, "vtkMRMLScalarVolumeNode") for n in range(count)]:
        case = case_of(node)
        if case is not None and (case.id, case.image_hash) == (case_id, image_hash):
            return node
    return None


def open_images(scene: slicer.vtkMRMLScene) -> dict[str, str]:
    """Hashes of the images of all cases that are here, by case."""
    count = scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    cases = (case_of(scene.GetNthNodeByClass(n, "vtkMRMLScalarVolumeNode")) for n in range(count))
    return {case.id: case.image_hash for case in cases if case is not None}


def load_image(path: Path, name: str) -> slicer.vtkMRMLScalarVolumeNode:
    """A volume from a file, which may go afterwards; VolumeError when it cannot be read."""
    node = slicer.modules.volumes.logic().AddArchetypeVolume(str(path), name)
    if node is None or node.GetImageData() is None:
        if node is not None:
            slicer.mrmlScene.RemoveNode(node)
        raise VolumeError(
            _(
                "Slicer cannot read the image of the case {name}: skip it, and tell whoever looks after the server."
            ).format(name=name)
        )
    storage = node.GetStorageNode()
    if storage is not None:  # or a saved scene would look for a file that has gone
        node.SetAndObserveStorageNodeID(None)
        slicer.mrmlScene.RemoveNode(storage)
    return node


def ready_to_edit(volume_node: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLSegmentationNode:
    """The volume's segmentation, made when there is none, chosen in Slicer's Segment Editor and shown in the views."""
    scene = volume_node.GetScene()
    segmentation = segmentation_of(volume_node) or new_segmentation(volume_node)
    editor = scene.GetSingletonNode(_EDITOR, "vtkMRMLSegmentEditorNode")
    if editor is None:
        editor = slicer.vtkMRMLSegmentEditorNode()
        editor.SetSingletonTag(_EDITOR)
        editor = scene.AddNode(editor)
    editor.SetAndObserveSegmentationNode(segmentation)
    editor.SetAndObserveSourceVolumeNode(volume_node)
    application = slicer.app.applicationLogic()
    application.GetSelectionNode().SetActiveVolumeID(volume_node.GetID())
    application.PropagateVolumeSelection(1)  # and fit the views to it
    return segmentation


def close_case(volume_node: slicer.vtkMRMLScalarVolumeNode) -> bool:
    """Remove a case from the scene; False when somebody's work on it would go, and then it stays."""
    case = case_of(volume_node)
    if case is None or has_work(volume_node, case) or report_node_of(volume_node) is not None:
        return False
    scene = volume_node.GetScene()
    role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    own = segmentation_of(volume_node)
    count = scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    for node in [scene.GetNthNodeByClass(n, "vtkMRMLSegmentationNode") for n in range(count)]:
        beside = node.GetAttribute(BESIDE_ATTRIBUTE) and node.GetNodeReference(role) is volume_node
        if node is own or beside:
            scene.RemoveNode(node)
    scene.RemoveNode(volume_node)
    return True
