"""A version of a case's label, from its file into segments: to go on from, or to look at beside.

A NRRD file is read beside the event loop (`label_file`); any other goes through Slicer's own image reader. Knows no Qt
and no HTTP.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk

from medsight_core.client import Version
from medsight_core.errors import VolumeError
from MedSIGHTLib import mrml
from MedSIGHTLib.case_segments import digest_of, mark_kept
from MedSIGHTLib.case_store import BESIDE_ATTRIBUTE, load_image
from MedSIGHTLib.label_file import Outlines, labelmap_of, read_label
from MedSIGHTLib.outline import outline_of
from MedSIGHTLib.segments import layer_image, layer_scalars, new_segmentation, segmentation_of
from MedSIGHTLib.translating import _

_TOLERANCE = 0.05  # of the smallest voxel edge, as the server takes it
_NAMELESS = "label"


@dataclass(frozen=True, eq=False)
class KeptLabel:
    """One version, once it is here. outlines: None when Slicer itself has to read the file at ``path``."""

    version: Version
    path: Path
    outlines: Outlines | None = None
    scalars: tuple[vtk.vtkDataArray, ...] = ()

    @classmethod
    def read(cls, path: Path, version: Version) -> KeptLabel:
        """What can be read without a scene; slow. Raises VolumeError for a NRRD file that cannot be read."""
        if not path.name.endswith(".nrrd"):
            return cls(version, path)
        outlines = read_label(path.read_bytes())
        return cls(version, path, outlines, tuple(layer_scalars(layer) for layer in outlines.layers))


def place_kept(kept: KeptLabel, volume_node: slicer.vtkMRMLScalarVolumeNode) -> int:
    """Make a version the volume's segments, marked as kept; how many there are.

    Raises VolumeError, before anything changes, when it cannot be read or does not lie on the volume's voxels.
    """
    layers, outlines = _layers(kept, volume_node)
    node = segmentation_of(volume_node) or new_segmentation(volume_node)
    segmentation = node.GetSegmentation()
    was_modifying = node.StartModify()
    segmentation.RemoveAllSegments()
    for segment_id, maker in _fill(node, kept.version, layers, outlines):
        name = segmentation.GetSegment(segment_id).GetName()
        digest = digest_of(name, outline_of(node, segment_id, volume_node))
        mark_kept(node, segment_id, kept.version.version, maker, digest)
    node.EndModify(was_modifying)
    return segmentation.GetNumberOfSegments()


def place_beside(kept: KeptLabel, volume_node: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLSegmentationNode:
    """Show a version in a segmentation node of its own, to compare; one that is there already is replaced.

    Raises VolumeError like `place_kept`.
    """
    layers, outlines = _layers(kept, volume_node)
    scene = volume_node.GetScene()
    name = f"{volume_node.GetName()} version {kept.version.version}"
    for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode", scene):
        if node.GetAttribute(BESIDE_ATTRIBUTE) and node.GetName() == name:
            scene.RemoveNode(node)
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.SetAttribute(BESIDE_ATTRIBUTE, str(kept.version.version))
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
    _fill(node, kept.version, layers, outlines)
    return node


def _layers(kept: KeptLabel, volume_node: Any) -> tuple[list[Any], Outlines]:
    outlines, scalars = kept.outlines, kept.scalars
    if outlines is None:
        outlines = _through_slicer(kept)
        scalars = tuple(layer_scalars(layer) for layer in outlines.layers)
    first = _first_voxel(outlines, volume_node, kept.version.version)
    return [
        layer_image(values, volume_node, layer.shape, first) for values, layer in zip(scalars, outlines.layers)
    ], outlines


def _fill(node: Any, version: Version, layers: list[Any], outlines: Outlines) -> list[tuple[str, str]]:
    """Add the segments; their ids, and who made them as far as the server knows.

    The server lists segments as they stand in the file, and those that have no voxel, being not there, after them.
    """
    segmentation, added = node.GetSegmentation(), []
    for stored, known in zip_longest(outlines.segments, version.segments):
        name = (known.name if known else "") or (stored.name if stored else "") or f"{_NAMELESS} {stored.label}"
        segment_id = segmentation.AddEmptySegment(segmentation.GenerateUniqueSegmentID(name), name)
        segment = segmentation.GetSegment(segment_id)
        segment.SetColor(*(stored.color if stored and stored.color else _color(len(added))))
        if stored is not None:
            terminology = slicer.vtkSegment.GetTerminologyEntryTagName()
            if terminology in stored.tags:
                segment.SetTag(terminology, stored.tags[terminology])
            segment.SetLabelValue(stored.label)
            representation = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
            segment.AddRepresentation(representation, layers[stored.layer])
        added.append((segment_id, known.made_by if known else ""))
    return added


def _color(number: int) -> tuple[float, float, float]:
    """One of many that can be told apart: a labelmap has none, and Slicer would make all of them grey."""
    return colorsys.hsv_to_rgb((0.08 + 0.618 * number) % 1.0, 0.6, 0.95)


def _through_slicer(kept: KeptLabel) -> Outlines:
    node = load_image(kept.path, kept.path.name.split(".")[0])
    try:
        values = slicer.util.arrayFromVolume(node)
        whole = values.astype(np.int16)
        if (whole != values).any():
            raise ValueError("an image")
        return labelmap_of(whole, mrml.affine_lps(node))
    except ValueError:
        raise VolumeError(
            _("Version {version} of the label is an image and no label: draw anew.").format(
                version=kept.version.version
            )
        ) from None
    finally:
        slicer.mrmlScene.RemoveNode(node)


def _first_voxel(outlines: Outlines, volume_node: Any, version: int) -> tuple[int, int, int]:
    """Index (i, j, k) of the volume's voxel at which the file's begin: Slicer may have cut it to what it holds."""
    affine, shape = mrml.affine_lps(volume_node), outlines.layers[0].shape[::-1]
    first = np.rint(np.linalg.solve(affine, outlines.affine[:, 3])[:3]).astype(int)
    corners = np.array([(0.0, 0.0, 0.0, 1.0), (*(np.array(shape) - 1.0), 1.0)])
    moved = corners + (*first, 0.0)
    apart = np.linalg.norm((corners @ outlines.affine.T - moved @ affine.T)[:, :3], axis=1).max()
    inside = (first >= 0).all() and (first + shape <= volume_node.GetImageData().GetDimensions()).all()
    if not inside or apart > _TOLERANCE * np.linalg.norm(affine[:3, :3], axis=0).min():
        raise VolumeError(
            _(
                "Version {version} of the label does not lie on the image's voxels, so it is not shown: "
                "draw anew, or fetch it with MONAI Label's own client."
            ).format(version=version)
        )
    i, j, k = (int(n) for n in first)
    return i, j, k
