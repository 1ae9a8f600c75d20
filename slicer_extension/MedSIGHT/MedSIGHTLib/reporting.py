"""A volume's report, from the scene and to files: collecting findings, measuring outlines, drawing them, exporting.

Free of Qt, so that scripts can use it. All functions belong to the thread of the scene.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Mapping

import numpy as np
import slicer

from medsight_core.errors import InputError
from MedSIGHTLib import mrml
from MedSIGHTLib.conversation_store import load_conversation
from MedSIGHTLib.findings import Report
from MedSIGHTLib.key_image import key_image
from MedSIGHTLib.measuring import measure
from MedSIGHTLib.outline import Outline, outline_of
from MedSIGHTLib.report_page import KeyImage, as_html, as_text
from MedSIGHTLib.report_store import load_report, save_report
from MedSIGHTLib.segments import is_as_answered, segmentation_of
from MedSIGHTLib.translating import _
from MedSIGHTLib.volume_file import Snapshot

_WINDOW_PERCENTILES = (0.5, 99.5)


def collect_findings(volume_node: slicer.vtkMRMLScalarVolumeNode) -> Report:
    """Add the answers about this volume that are not in its report yet, measure all outlines anew, and save it.

    A transform above the volume is not applied: what is measured is what was scanned.
    Raises VolumeError when the volume has no voxels to measure.
    """
    snapshot = mrml.snapshot(volume_node)
    report = load_report(volume_node).collect(load_conversation(volume_node))
    report = _measured(report, volume_node, snapshot, _outlines(report, volume_node))
    save_report(volume_node, report)
    return report


def export_report(volume_node: slicer.vtkMRMLScalarVolumeNode, path: str | Path) -> Path:
    """Measure the outlines anew and write the volume's report; returns the file's path.

    The name's end decides what is written: .html (with a picture of each outline), .txt or .json; without one, .html.
    Raises InputError when there is no report, the name ends in something else, or the file cannot be written, and
    VolumeError when the volume has no voxels to measure.
    """
    path = Path(path)
    path = path if path.suffix else path.with_suffix(".html")
    kind = path.suffix.lower()
    if kind not in (".html", ".txt", ".json"):
        raise InputError(
            _("A report cannot be written as {kind}: let the file's name end in .html, .txt or .json.").format(
                kind=kind
            )
        )
    report = load_report(volume_node)
    if not report.findings:
        raise InputError(_("The report is empty: ask about the volume and collect the findings, or add a note."))
    snapshot, outlines = mrml.snapshot(volume_node), _outlines(report, volume_node)
    report = _measured(report, volume_node, snapshot, outlines)
    save_report(volume_node, report)
    if kind == ".html":
        content = as_html(report, _pictures(report, snapshot, outlines, _window(volume_node)))
    else:
        content = as_text(report) if kind == ".txt" else report.to_json()
    try:
        path.write_text(content, encoding="utf-8")
    except OSError:
        raise InputError(
            _("The report cannot be written there: choose another folder, or see whether the disk is full.")
        ) from None
    return path


def _outlines(report: Report, volume_node: Any) -> dict[str, Outline | None]:
    """By segment id, of all segments in the report; None for those without an outline."""
    node = segmentation_of(volume_node)
    ids = {structure.segment_id for finding in report.findings for structure in finding.structures}
    return {segment_id: outline_of(node, segment_id, volume_node) for segment_id in ids}


def _measured(report: Report, volume_node: Any, snapshot: Snapshot, outlines: Mapping[str, Outline | None]) -> Report:
    """The report with the names, colours and measurements that its segments have now."""
    node = segmentation_of(volume_node)
    unit = "HU" if mrml.modality_of(volume_node) == "CT" else ""
    looks = {}
    for segment_id, outline in outlines.items():
        looks[segment_id] = {"measured": None}
        if outline is not None:
            segment = node.GetSegmentation().GetSegment(segment_id)
            looks[segment_id] = {
                "name": segment.GetName(),
                "color": segment.GetColor(),
                "by_hand": not is_as_answered(segment),
                "measured": measure(outline.mask, snapshot.voxels, snapshot.affine, outline.first),
                "unit": unit,
            }
    findings = []
    for finding in report.findings:
        structures = (replace(structure, **looks[structure.segment_id]) for structure in finding.structures)
        findings.append(replace(finding, structures=tuple(structures)))
    return replace(report, findings=tuple(findings))


def _pictures(
    report: Report, snapshot: Snapshot, outlines: Mapping[str, Outline | None], window: tuple[float, float]
) -> dict[str, KeyImage]:
    """By segment id, of all that is outlined."""
    colors = {structure.segment_id: structure.color for finding in report.findings for structure in finding.structures}
    return {
        segment_id: key_image(snapshot.voxels, outline.mask, snapshot.affine, outline.first, window, colors[segment_id])
        for segment_id, outline in outlines.items()
        if outline is not None
    }


def _window(volume_node: Any) -> tuple[float, float]:
    """The values that are black and white: those that Slicer shows, or else nearly all that there are."""
    display = volume_node.GetScalarVolumeDisplayNode()
    if display is not None and display.GetWindow() > 0:
        return display.GetLevel() - display.GetWindow() / 2, display.GetLevel() + display.GetWindow() / 2
    low, high = np.percentile(slicer.util.arrayFromVolume(volume_node)[::2, ::2, ::2], _WINDOW_PERCENTILES)
    return float(low), float(high)
