"""Between the MRML scene and the wire: volumes out, planes out, segments in. The only home of RAS in MedSIGHT.

Slicer counts in RAS millimetres, everything behind the wire in LPS; the conversion happens in `lps` alone. Knows no Qt,
no HTTP and no model, so that any application with MRML can use it. All functions belong to the thread of the scene.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Mapping

import numpy as np
import slicer
import vtk

from medsight_core.client import Reply
from medsight_core.errors import InputError, ServerError, VolumeError
from medsight_core.protocol import EXTENSION_SEGMENTATION, PlaneRequest
from MedSIGHTLib.nrrd_check import is_whole_nrrd

RED_SLICE = "vtkMRMLSliceNodeRed"

# Marks the one segmentation node of a volume that belongs to MedSIGHT, and the name under which a segment was answered.
NODE_ATTRIBUTE = "MedSIGHT.Segmentation"
TAG_NAME = "MedSIGHT.Name"

_MODALITIES = ("CT", "MR", "US", "XR")
_MAX_PLANE_PIXELS = 1024  # a side; no model looks closer, and the server takes no more than a few thousand
_SAME_PLACE_MM = 0.01

# Patient directions (LPS) that a picture's rows and columns follow when its normal lies nearest to L, P or S: the
# radiological display that models are trained on, whatever way the user has turned the view.
_FRAMES = (
    ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),  # sagittal: anterior on the left, superior at the top
    ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),  # coronal: patient's right on the left, superior at the top
    ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),  # axial: patient's right on the left, anterior at the top
)


@dataclass(frozen=True)
class Outlined:
    """Where an answer's regions ended up: one segmentation node, and a segment id by `Region.label`."""

    node: slicer.vtkMRMLSegmentationNode
    segment_ids: Mapping[int, str]


def lps(vectors: np.ndarray) -> np.ndarray:
    """RAS points or directions (..., 3) as LPS ones, and the other way round."""
    return np.asarray(vectors, float) * (-1.0, -1.0, 1.0)


def export_volume(volume_node: slicer.vtkMRMLScalarVolumeNode, folder: str | Path) -> Path:
    """Write the volume's voxels and geometry, as they are, to ``folder``/volume.nrrd.

    Voxel type and IJKToRAS are kept; a transform above the node is not applied, because the outlines that come back are
    put under the same one. Uncompressed: writing is then a matter of milliseconds and the scene's thread stays free.
    Raises VolumeError for a node without voxels, with several components, or under a transform that bends space.
    """
    image = volume_node.GetImageData()
    if image is None or min(image.GetDimensions()) < 1 or image.GetPointData().GetScalars() is None:
        raise VolumeError("The chosen volume holds no voxels: load it again, or choose another.")
    if image.GetNumberOfScalarComponents() != 1:
        raise VolumeError(
            f"The chosen volume has {image.GetNumberOfScalarComponents()} values per voxel: choose a grey-value volume."
        )
    _transform_to_world(volume_node)
    path = Path(folder) / "volume.nrrd"
    # A storage node of its own, so that the volume keeps its file name and its mark of unsaved changes.
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    storage.SetUseCompression(False)
    if not storage.WriteData(volume_node):
        raise VolumeError("The chosen volume cannot be written to the temporary folder: see whether the disk is full.")
    return path


def modality_of(volume_node: slicer.vtkMRMLScalarVolumeNode) -> str | None:
    """ "CT", "MR", "US" or "XR" when the volume came from DICOM and says so; None lets the server judge."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(volume_node.GetScene())
    item = hierarchy.GetItemByDataNode(volume_node) if hierarchy else 0
    modality = hierarchy.GetItemAttribute(item, "DICOM.Modality") if item else ""
    return modality if modality in _MODALITIES else None


def volume_state(volume_node: slicer.vtkMRMLScalarVolumeNode) -> tuple:
    """Equal for as long as neither the voxels nor the geometry of the volume change."""
    image = volume_node.GetImageData()
    return (volume_node.GetID(), image and image.GetMTime(), _ijk_to_ras(volume_node).tobytes())


def current_plane(volume_node: slicer.vtkMRMLScalarVolumeNode) -> PlaneRequest:
    """The plane that the red slice view shows; InputError when there is no such view or it misses the volume."""
    slice_node = volume_node.GetScene().GetNodeByID(RED_SLICE)
    if slice_node is None:
        raise InputError("There is no red slice view: choose a layout with one, or ask about the whole volume.")
    return slice_plane(slice_node, volume_node)


def slice_plane(slice_node: slicer.vtkMRMLSliceNode, volume_node: slicer.vtkMRMLScalarVolumeNode) -> PlaneRequest:
    """The whole square of the slice's plane that covers the volume, in the volume's own LPS space.

    The view's zoom, flips and quarter turns are left behind: a flipped view must not swap left and right for the model.
    Pixels are as small as the volume's smallest voxel edge and lie on voxel centres where both are aligned.
    Raises InputError when the slice does not cut the volume, VolumeError under a transform that bends space.
    """
    ijk_to_ras = _ijk_to_ras(volume_node)
    slice_to_ras = np.linalg.inv(_transform_to_world(volume_node)) @ _array(slice_node.GetSliceToRAS())
    axes = lps(slice_to_ras[:3, :3].T)  # rows: right, up and normal of the view
    right, down = _radiological(axes[0], -axes[1])
    normal = np.cross(right, down)

    size = np.array(volume_node.GetImageData().GetDimensions())
    corners = np.array(list(product(*((0, n - 1) for n in size))))
    # (right, down, normal) millimetres of the outermost voxel centres, counted from the slice's centre
    places = (
        lps(corners @ ijk_to_ras[:3, :3].T + ijk_to_ras[:3, 3] - slice_to_ras[:3, 3])
        @ np.stack([right, down, normal]).T
    )
    low, high = places.min(axis=0), places.max(axis=0)
    half_voxel = np.abs(lps(ijk_to_ras[:3, :3].T) @ normal).sum() / 2
    if low[2] > half_voxel or high[2] < -half_voxel:
        raise InputError(
            "The red slice does not cut the chosen volume: scroll it into the volume, or ask about the whole volume."
        )

    extent = float(max(high[0] - low[0], high[1] - low[1]))
    spacing = max(float(np.linalg.norm(ijk_to_ras[:3, :3], axis=0).min()), extent / (_MAX_PLANE_PIXELS - 1))
    columns, rows = (int(np.ceil((high[a] - low[a]) / spacing - 0.01)) + 1 for a in (0, 1))
    side = max(rows, columns, 2)
    first = low[:2] - spacing * np.array([(side - columns) // 2, (side - rows) // 2])
    origin = lps(slice_to_ras[:3, 3]) + first[0] * right + first[1] * down
    return PlaneRequest(
        "oblique",
        origin=tuple(map(float, origin)),
        right=tuple(map(float, right)),
        down=tuple(map(float, down)),
        spacing=spacing,
        shape=(side, side),
    )


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
    segmentation_node: slicer.vtkMRMLSegmentationNode | None = None,
) -> Outlined | None:
    """Put the reply's segments, voxel for voxel as in its file, into the volume's segmentation node.

    The node is made when the volume has none. Names and colours are the answer's, terminology and tags the file's.
    Segments of the node with the name of an answered region are replaced, in place; all others stay, so renaming a
    segment keeps it.
    None when the reply outlines nothing; then the scene is not touched.
    Raises ServerError, before the scene is touched, when the file cannot be read, disagrees with the answer, or does
    not lie on the volume's grid.
    """
    if not reply.answer.regions or reply.segmentation is None:
        return None
    scratch = slicer.vtkMRMLScene()  # what arrives is looked at before anybody sees it
    arrived = _read(reply.segmentation, scratch)
    segments = _by_label(arrived)
    expected = {region.label for region in reply.answer.regions}
    if set(segments) != expected:
        raise ServerError(
            f"The server's outlines have the labels {sorted(segments)} and its answer {sorted(expected)}: "
            "ask again, and check that the server is of this version."
        )
    _check_grid(arrived, volume_node)

    node = segmentation_node or segmentation_of(volume_node) or _new_node(volume_node)
    segmentation = node.GetSegmentation()
    previous = _ids_by_name(segmentation)
    segment_ids = {}
    was_modifying = node.StartModify()
    for region in reply.answer.regions:
        segment = segments[region.label]
        segment.SetName(region.name)
        segment.SetColor(*region.color)
        segment.SetTag(TAG_NAME, region.name)
        same_name = previous.get(region.name, [])
        if same_name:
            segment_id = same_name.pop(0)
            place = segmentation.GetSegmentIndex(segment_id) + 1
            before = segmentation.GetNthSegmentID(place) if place < segmentation.GetNumberOfSegments() else ""
            segmentation.RemoveSegment(segment_id)
        else:
            segment_id, before = segmentation.GenerateUniqueSegmentID(region.name), ""
        # The segment itself moves over, so that segments of one layer go on sharing their voxels' memory.
        segmentation.AddSegment(segment, segment_id, before)
        segment_ids[region.label] = segment_id
    for name in {region.name for region in reply.answer.regions}:
        for leftover in previous.get(name, []):
            segmentation.RemoveSegment(leftover)
    node.EndModify(was_modifying)
    return Outlined(node, segment_ids)


def show_segment(node: slicer.vtkMRMLSegmentationNode, segment_id: str) -> bool:
    """Make the segment visible and move all slice views to its middle; False when it is no longer there."""
    if node.GetScene() is None or node.GetSegmentation().GetSegment(segment_id) is None:
        return False
    display = node.GetDisplayNode()
    if display is not None:
        display.SetSegmentVisibility(segment_id, True)
    center = node.GetSegmentCenterRAS(segment_id)
    if center is not None:
        slicer.vtkMRMLSliceNode.JumpAllSlices(node.GetScene(), *center, slicer.vtkMRMLSliceNode.CenteredJumpSlice)
    return True


def _read(content: bytes, scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLSegmentationNode:
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    with tempfile.TemporaryDirectory(prefix="medsight-") as folder:
        path = Path(folder) / ("answer" + EXTENSION_SEGMENTATION)
        path.write_bytes(content)
        storage = slicer.vtkMRMLSegmentationStorageNode()
        storage.SetFileName(str(path))
        readable = is_whole_nrrd(content) and storage.ReadData(node)
        if not readable or node.GetSegmentation().GetNumberOfSegments() == 0:
            raise ServerError(
                "The outlines that the server sent cannot be read: "
                "ask again, and look at the server's log if it stays so."
            )
    return node


def _by_label(node: slicer.vtkMRMLSegmentationNode) -> dict[int, slicer.vtkSegment]:
    segmentation = node.GetSegmentation()
    segments = (segmentation.GetNthSegment(n) for n in range(segmentation.GetNumberOfSegments()))
    return {segment.GetLabelValue(): segment for segment in segments}


def _ids_by_name(segmentation: slicer.vtkSegmentation) -> dict[str, list[str]]:
    ids: dict[str, list[str]] = {}
    for n in range(segmentation.GetNumberOfSegments()):
        segment_id = segmentation.GetNthSegmentID(n)
        ids.setdefault(segmentation.GetSegment(segment_id).GetName(), []).append(segment_id)
    return ids


def _new_node(volume_node: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLSegmentationNode:
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


def _check_grid(node: slicer.vtkMRMLSegmentationNode, volume_node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Every layer must hold the volume's grid: its opposite corners have the same index and place in both."""
    image = volume_node.GetImageData()
    corners = np.array([np.zeros(3), np.array(image.GetDimensions()) - 1]) if image else np.zeros((2, 3))
    expected = _places(_ijk_to_ras(volume_node), corners)
    for n in range(node.GetSegmentation().GetNumberOfLayers()):
        layer = node.GetSegmentation().GetLayerDataObject(n)
        matrix = vtk.vtkMatrix4x4()
        layer.GetImageToWorldMatrix(matrix)
        bounds = np.array(layer.GetExtent()).reshape(3, 2).T
        if (bounds != corners).any() or np.abs(_places(_array(matrix), bounds) - expected).max() > _SAME_PLACE_MM:
            raise ServerError(
                "The server's outlines do not lie on the chosen volume's voxels, so nothing was added: "
                "if the volume was changed while the server answered, ask again."
            )


def _radiological(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of all flips and quarter turns of a plane's axes (LPS), the pair (right, down) closest to radiological."""
    first, second = first / np.linalg.norm(first), second / np.linalg.norm(second)
    frame = np.array(_FRAMES[int(np.argmax(np.abs(np.cross(first, second))))])
    turned = [(a * x, b * y) for x, y in ((first, second), (second, first)) for a, b in product((1, -1), repeat=2)]
    return max(turned, key=lambda axes: float((np.array(axes) * frame).sum()))


def _transform_to_world(volume_node: slicer.vtkMRMLScalarVolumeNode) -> np.ndarray:
    """The linear transform above the volume, (4, 4) RAS; VolumeError when it is not linear."""
    matrix = vtk.vtkMatrix4x4()
    parent = volume_node.GetParentTransformNode()
    if parent is not None and not parent.GetMatrixTransformToWorld(matrix):
        raise VolumeError("The chosen volume is under a transform that bends it: harden the transform, then ask.")
    return _array(matrix)


def _ijk_to_ras(volume_node: slicer.vtkMRMLScalarVolumeNode) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    return _array(matrix)


def _places(matrix: np.ndarray, indices: np.ndarray) -> np.ndarray:
    return indices @ matrix[:3, :3].T + matrix[:3, 3]


def _array(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    return slicer.util.arrayFromVTKMatrix(matrix)
