"""Reports in the scene: one text node per volume, saved and loaded with it, for people to read. MRML only, no Qt.

The node's text is the report in words. What the panel needs besides is an attribute of the same node, so that the two
cannot be parted.
"""

from __future__ import annotations

from typing import Any

import slicer

from MedSIGHTLib.findings import Report
from MedSIGHTLib.mrml import text_nodes_of
from MedSIGHTLib.report_page import TITLE, as_text

_ATTRIBUTE = "MedSIGHT.Report"
_VOLUME_ROLE = "MedSIGHT.Volume"


def load_report(volume_node: slicer.vtkMRMLScalarVolumeNode) -> Report:
    """The volume's report; empty when there is none, or none that this version can read."""
    node = report_node_of(volume_node)
    return (_parse(node) if node is not None else None) or Report()


def save_report(volume_node: slicer.vtkMRMLScalarVolumeNode, report: Report) -> None:
    """Keep it with the scene; without findings there is no node.

    A node whose text somebody has written over elsewhere, or that this version cannot read, is left beside as it is.
    """
    node = report_node_of(volume_node)
    if node is not None:
        known = _parse(node)
        if known is None or node.GetText() != as_text(known):
            node.RemoveAttribute(_ATTRIBUTE)
            node = None
    if not report.findings:
        if node is not None:
            node.GetScene().RemoveNode(node)
        return
    if node is None:
        # Not the volume's name, which may be a patient's: this node is made to be passed on.
        node = volume_node.GetScene().AddNewNodeByClass("vtkMRMLTextNode", TITLE)
        # Inside the scene's own file: a file beside it would be one more to lose.
        node.SetForceCreateStorageNode(slicer.vtkMRMLTextNode.CreateStorageNodeNever)
        node.SetNodeReferenceID(_VOLUME_ROLE, volume_node.GetID())
    was_modifying = node.StartModify()
    node.SetAttribute(_ATTRIBUTE, report.to_json())
    node.SetText(as_text(report))
    node.EndModify(was_modifying)


def report_node_of(volume_node: Any) -> Any:
    """The text node with the volume's report, or None."""
    return next(iter(text_nodes_of(volume_node, _VOLUME_ROLE, _ATTRIBUTE)), None)


def _parse(node: Any) -> Report | None:
    try:
        return Report.from_json(node.GetAttribute(_ATTRIBUTE))
    except ValueError:
        return None
