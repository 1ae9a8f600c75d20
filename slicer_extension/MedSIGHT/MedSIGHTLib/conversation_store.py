"""Conversations in the scene: one hidden text node per volume, saved and loaded with it. MRML only, no Qt.

The scene is the only place where a conversation is kept, so closing, loading and importing scenes need no care.
"""

from __future__ import annotations

from typing import Any

import slicer

from MedSIGHTLib.conversation import Conversation
from MedSIGHTLib.mrml import text_nodes_of

_ATTRIBUTE = "MedSIGHT.Conversation"
_VOLUME_ROLE = "MedSIGHT.Volume"


def load_conversation(volume_node: slicer.vtkMRMLScalarVolumeNode) -> Conversation:
    """What was said about this volume; empty when nothing was, or nothing that this version can read."""
    node = _node_of(volume_node)
    return (_parse(node.GetText()) if node is not None else None) or Conversation()


def save_conversation(volume_node: slicer.vtkMRMLScalarVolumeNode, conversation: Conversation) -> None:
    """Keep it with the scene. A text that this version cannot read is not written over, but left beside."""
    node = _node_of(volume_node)
    if node is None or _parse(node.GetText()) is None:
        if node is not None:
            node.SetAttribute(_ATTRIBUTE, "unreadable")
        if not conversation.turns:
            return
        node = volume_node.GetScene().AddNewNodeByClass("vtkMRMLTextNode", f"{volume_node.GetName()} conversation")
        node.SetAttribute(_ATTRIBUTE, "1")
        node.SetHideFromEditors(True)
        # Inside the scene's own file: a file beside it would be one more to lose.
        node.SetForceCreateStorageNode(slicer.vtkMRMLTextNode.CreateStorageNodeNever)
        node.SetNodeReferenceID(_VOLUME_ROLE, volume_node.GetID())
    node.SetText(conversation.to_json())


def forget_lost_conversations(scene: slicer.vtkMRMLScene) -> None:
    """Remove what was said about volumes that are gone: nobody could see it, and it would be saved all the same."""
    count = scene.GetNumberOfNodesByClass("vtkMRMLTextNode")
    for node in [scene.GetNthNodeByClass(n, "vtkMRMLTextNode") for n in range(count)]:
        if node.GetAttribute(_ATTRIBUTE) and node.GetNodeReference(_VOLUME_ROLE) is None:
            scene.RemoveNode(node)


def _node_of(volume_node: Any) -> Any:
    nodes = text_nodes_of(volume_node, _VOLUME_ROLE, _ATTRIBUTE)
    return next((node for node in nodes if node.GetAttribute(_ATTRIBUTE) == "1"), None)


def _parse(text: str) -> Conversation | None:
    try:
        return Conversation.from_json(text)
    except ValueError:
        return None
