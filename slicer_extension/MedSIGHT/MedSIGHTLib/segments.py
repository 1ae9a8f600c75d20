"""Answers as segments: one segmentation node per volume, what a person made kept, everything or nothing put in.

Knows MRML, no Qt and no HTTP. All functions belong to the thread of the scene; what is slow about a label file has
happened before (`label_file`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Mapping

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import get_vtk_array_type, vtk_to_numpy

from medsight_core.answer import Region
from medsight_core.client import Reply
from medsight_core.errors import ServerError
from MedSIGHTLib import mrml
from MedSIGHTLib.fingerprint import fingerprint
from MedSIGHTLib.label_file import FileSegment, Outlines, read_outlines
from MedSIGHTLib.translating import _

# Marks the one segmentation node of a volume that belongs to MedSIGHT; the name under which a segment was answered; and
# its voxels as they were put there.
NODE_ATTRIBUTE = "MedSIGHT.Segmentation"
TAG_NAME = "MedSIGHT.Name"
TAG_OUTLINE = "MedSIGHT.Outline"

_LABELMAP = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
_SURFACE = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
_SAME_PLACE_MM = 0.01
# What is known of voxels as they were at a time of VTK's clock, which never shows the same time twice: that an answer
# put them in, and fingerprints by label value. Looking through a large volume takes long enough to be felt.
_placed: set[int] = set()
_fingerprints: dict[tuple[int, int], str] = {}
_MOST_FINGERPRINTS = 10_000


@dataclass(frozen=True)
class Outlined:
    """Where an answer's regions ended up: one segmentation node, and a segment id by `Region.label`.

    kept: names of segments that the answer would have replaced, had not a person changed them.
    """

    node: slicer.vtkMRMLSegmentationNode
    segment_ids: Mapping[int, str]
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Arrived:
    """Outlines whose layers have been copied to where VTK wants them: slow, but of no scene, so for any thread."""

    outlines: Outlines
    scalars: tuple[vtk.vtkDataArray, ...]

    @classmethod
    def of(cls, reply: Reply) -> Arrived | None:
        """The reply's outlines, None when it has none. Raises ServerError like `read_outlines`."""
        outlines = read_outlines(reply)
        return None if outlines is None else cls(outlines, tuple(layer_scalars(layer) for layer in outlines.layers))


def segmentation_of(volume_node: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLSegmentationNode | None:
    """MedSIGHT's segmentation node of this volume, if there is one."""
    role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    scene = volume_node.GetScene()
    for n in range(scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")):
        node = scene.GetNthNodeByClass(n, "vtkMRMLSegmentationNode")
        if node.GetAttribute(NODE_ATTRIBUTE) and node.GetNodeReference(role) is volume_node:
            return node
    return None


def apply_segmentation(
    reply: Reply,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    arrived: Arrived | None = None,
    replace_edited: bool = False,
    undo: Any = None,
) -> Outlined | None:
    """Put the reply's segments, voxel for voxel as in its file, into the volume's segmentation node.

    The node is made when the volume has none. Names and colours are the answer's, terminology and tags the file's.
    Segments that an earlier answer put there under the name of an answered region are replaced, in place. All others
    stay: renamed ones, a person's own, and those whose voxels a person has changed, unless ``replace_edited``. A new
    segment beside a kept one of its name gets a number.
    arrived: `Arrived.of(reply)`, when that was done already. undo: an `Undo` that hears before anything changes.
    None when the reply outlines nothing; then the scene is not touched.
    Raises ServerError, before the scene is touched, when the file cannot be read, disagrees with the answer, or does
    not lie on the volume's grid.
    """
    arrived = arrived or Arrived.of(reply)
    if arrived is None:
        return None
    outlines = arrived.outlines
    _check_grid(outlines, volume_node)
    stored = {segment.label: segment for segment in outlines.segments}

    node = segmentation_of(volume_node) or new_segmentation(volume_node)
    segmentation = node.GetSegmentation()
    if undo is not None:
        undo.save(node)
    # After that: Slicer's history takes a segment that is older than its last step for an unchanged one.
    images = [layer_image(scalars, volume_node) for scalars in arrived.scalars]
    answered = {region.name for region in reply.answer.regions}
    replaced, kept = _sort(segmentation, answered, replace_edited)
    order = [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]
    in_3d = segmentation.ContainsRepresentation(_SURFACE)
    leaving = [segment_id for ids in replaced.values() for segment_id in ids]
    segment_ids = {}
    for region in reply.answer.regions:
        of_its_name = replaced.get(region.name)
        segment_ids[region.label] = of_its_name.pop(0) if of_its_name else _new_id(segmentation, region.name, order)

    was_modifying = node.StartModify()
    _remove(segmentation, leaving)
    for region in reply.answer.regions:
        file_segment = stored[region.label]
        segment = _segment(region, _free_name(region.name, kept), file_segment, images[file_segment.layer])
        segmentation.AddSegment(segment, segment_ids[region.label])
    segmentation.ReorderSegments([segment_id for segment_id in order if segmentation.GetSegment(segment_id)])
    if in_3d and not segmentation.ContainsRepresentation(_SURFACE):
        segmentation.CreateRepresentation(_SURFACE)  # gone with the last segment that had it
    node.EndModify(was_modifying)
    _placed.update(image.GetMTime() for image in images)
    return Outlined(node, segment_ids, tuple(sorted(kept)))


def is_as_answered(segment: slicer.vtkSegment) -> bool:
    """Whether an answer put this segment here and nobody has renamed it or changed a voxel since."""
    name, outline = tag_of(segment, TAG_NAME), tag_of(segment, TAG_OUTLINE)
    if not outline or not re.fullmatch(re.escape(name) + r"( \(\d+\))?", segment.GetName()):
        return False
    image = segment.GetRepresentation(_LABELMAP)
    return image is not None and (image.GetMTime() in _placed or _outline_of(segment, image) == outline)


def _sort(segmentation: Any, answered: set[str], replace_edited: bool) -> tuple[dict[str, list[str]], set[str]]:
    """Of the segments with an answered name: ids to replace by answered name, and shown names of those that stay."""
    replaced: dict[str, list[str]] = {}
    kept = set()
    for n in range(segmentation.GetNumberOfSegments()):
        segment_id = segmentation.GetNthSegmentID(n)
        segment = segmentation.GetSegment(segment_id)
        shown = segment.GetName()
        name = shown if shown in answered else re.sub(r" \(\d+\)$", "", shown)
        if name not in answered:
            continue
        if replace_edited or (tag_of(segment, TAG_NAME) == name and is_as_answered(segment)):
            replaced.setdefault(name, []).append(segment_id)
        else:
            kept.add(shown)
    return replaced, kept


def _new_id(segmentation: Any, name: str, order: list[str]) -> str:
    """An id that is not in ``order``, where it goes to the end."""
    segment_id, number = segmentation.GenerateUniqueSegmentID(name), 1
    while segment_id in order:
        number += 1
        segment_id = segmentation.GenerateUniqueSegmentID(f"{name}_{number}")
    order.append(segment_id)
    return segment_id


def _remove(segmentation: Any, leaving: list[str]) -> None:
    """Remove these segments.

    Slicer would wipe each one out of the layer that it shares, which takes a quarter of a second in a large volume. So
    those that leave together with all others of their layer lose their voxels first.
    """
    mates = {segment_id: _layer_mates(segmentation, segment_id) for segment_id in leaving}  # all before any changes
    for segment_id in leaving:
        if mates[segment_id] <= set(leaving):
            segmentation.GetSegment(segment_id).RemoveAllRepresentations()
        segmentation.RemoveSegment(segment_id)


def _layer_mates(segmentation: Any, segment_id: str) -> set[str]:
    mates: list[str] = []
    segmentation.GetSegmentIDsSharingBinaryLabelmapRepresentation(segment_id, mates, True)
    return set(mates)


def _free_name(name: str, taken: set[str]) -> str:
    shown, number = name, 1
    while shown in taken:
        number += 1
        shown = f"{name} ({number})"
    return shown


def _segment(region: Region, name: str, stored: FileSegment, image: Any) -> slicer.vtkSegment:
    segment = slicer.vtkSegment()
    segment.SetName(name)
    segment.SetColor(*region.color)
    for tag, value in {**stored.tags, TAG_NAME: region.name, TAG_OUTLINE: stored.outline}.items():
        segment.SetTag(tag, value)
    # The same image for all segments of a layer, as Slicer shares them: they go on sharing their voxels' memory.
    segment.AddRepresentation(_LABELMAP, image)
    segment.SetLabelValue(region.label)
    return segment


def layer_scalars(layer: np.ndarray) -> vtk.vtkDataArray:
    """Memory of VTK's own with the voxels in it: the copying itself is numpy's, which lets other threads run."""
    scalars = vtk.vtkDataArray.CreateDataArray(get_vtk_array_type(layer.dtype))
    scalars.SetNumberOfTuples(layer.size)
    np.copyto(vtk_to_numpy(scalars), layer.reshape(-1))
    return scalars


def layer_image(
    scalars: vtk.vtkDataArray, volume_node: Any, shape: tuple[int, ...] = (), first: tuple[int, ...] = (0, 0, 0)
) -> slicer.vtkOrientedImageData:
    """An image on the volume's voxels, or on ``shape`` (K, J, I) of them from index ``first`` (i, j, k) on."""
    image = slicer.vtkOrientedImageData()
    counts = shape[::-1] or volume_node.GetImageData().GetDimensions()
    image.SetExtent(*(bound for start, count in zip(first, counts) for bound in (start, start + count - 1)))
    image.GetPointData().SetScalars(scalars)
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    image.SetImageToWorldMatrix(matrix)
    return image


def outline_print(segment: slicer.vtkSegment) -> str:
    """`fingerprint` of a segment's voxels as they are now; "empty" without any."""
    image = segment.GetRepresentation(_LABELMAP)
    return "empty" if image is None else _outline_of(segment, image)


def _outline_of(segment: slicer.vtkSegment, image: slicer.vtkOrientedImageData) -> str:
    scalars = image.GetPointData().GetScalars()
    if scalars is None:
        return "empty"
    state = (image.GetMTime(), segment.GetLabelValue())
    if state not in _fingerprints:
        if len(_fingerprints) >= _MOST_FINGERPRINTS:
            _fingerprints.clear()
        i, j, k = image.GetExtent()[::2]
        voxels = vtk_to_numpy(scalars).reshape(image.GetDimensions()[::-1])
        _fingerprints[state] = fingerprint(voxels, (k, j, i), segment.GetLabelValue())
    return _fingerprints[state]


def tag_of(segment: slicer.vtkSegment, name: str) -> str:
    """What a segment's tag says; empty when it has none of that name."""
    value = vtk.mutable("")
    return str(value) if segment.GetTag(name, value) else ""


def new_segmentation(volume_node: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLSegmentationNode:
    """MedSIGHT's segmentation node of a volume that has none yet."""
    scene = volume_node.GetScene()
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{volume_node.GetName()} MedSIGHT")
    node.SetAttribute(NODE_ATTRIBUTE, "1")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    volume_item, item = hierarchy.GetItemByDataNode(volume_node), hierarchy.GetItemByDataNode(node)
    if volume_item and item:  # beside its volume, in the same study
        hierarchy.SetItemParent(item, hierarchy.GetItemParent(volume_item))
    return node


def _check_grid(outlines: Outlines, volume_node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Every layer must hold the volume's grid: as many voxels, and its opposite corners in the same place."""
    image = volume_node.GetImageData()
    shape = image.GetDimensions()[::-1] if image else ()
    corners = np.array([(0.0, 0.0, 0.0), [n - 1.0 for n in shape[::-1]] or (0.0, 0.0, 0.0)])
    expected, found = mrml.affine_lps(volume_node), outlines.affine
    apart = corners @ (expected - found)[:3, :3].T + (expected - found)[:3, 3]
    if any(layer.shape != shape for layer in outlines.layers) or np.abs(apart).max() > _SAME_PLACE_MM:
        raise ServerError(
            _(
                "The server's outlines do not lie on the chosen volume's voxels, so nothing was added: "
                "if the volume was changed while the server answered, ask again."
            )
        )
