"""Between the MRML scene and the wire: volumes and planes out. The only home of RAS in MedSIGHT.

Slicer counts in RAS millimetres, everything behind the wire in LPS; the conversion happens in `lps` alone. Knows no Qt,
no HTTP and no model, so that any application with MRML can use it. All functions belong to the thread of the scene.
"""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import slicer
import vtk

from medsight_core.errors import InputError, VolumeError
from medsight_core.protocol import PlaneRequest
from MedSIGHTLib.translating import _
from MedSIGHTLib.volume_file import Snapshot

_MODALITIES = ("CT", "MR", "US", "XR")
_MAX_PLANE_PIXELS = 1024  # a side; no model looks closer, and the server takes no more than a few thousand
_BY_NORMAL = ("sagittal", "coronal", "axial")  # normals along L, P and S
_USUAL_VIEWS = ("Red", "Yellow", "Green")  # the order in which people know them

# Patient directions (LPS) that a picture's rows and columns follow when its normal lies nearest to L, P or S: the
# radiological display that models are trained on, whatever way the user has turned the view.
FRAMES = (
    ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),  # sagittal: anterior on the left, superior at the top
    ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),  # coronal: patient's right on the left, superior at the top
    ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),  # axial: patient's right on the left, anterior at the top
)


def lps(vectors: np.ndarray) -> np.ndarray:
    """RAS points or directions (..., 3) as LPS ones, and the other way round."""
    return np.asarray(vectors, float) * (-1.0, -1.0, 1.0)


def affine_lps(volume_node: slicer.vtkMRMLScalarVolumeNode) -> np.ndarray:
    """(4, 4), from voxel index to LPS millimetres; a transform above the node is not applied."""
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ _ijk_to_ras(volume_node)


def snapshot(volume_node: slicer.vtkMRMLScalarVolumeNode) -> Snapshot:
    """The volume's voxels and geometry, as they are, for another thread to read.

    Nothing is copied. The array stays as long as somebody holds it: who gives the volume other voxels gives it another
    array, because VTK does not reuse one that is held.
    A transform above the node is not applied, because the outlines that come back are put under the same one.
    Raises VolumeError for a node without voxels, with several components, or under a transform that bends space.
    """
    image = volume_node.GetImageData()
    if image is None or min(image.GetDimensions()) < 1 or image.GetPointData().GetScalars() is None:
        raise VolumeError(_("The chosen volume holds no voxels: load it again, or choose another."))
    if image.GetNumberOfScalarComponents() != 1:
        raise VolumeError(
            _("The chosen volume has {count} values per voxel: choose a grey-value volume.").format(
                count=image.GetNumberOfScalarComponents()
            )
        )
    _transform_to_world(volume_node)
    return Snapshot(slicer.util.arrayFromVolume(volume_node), affine_lps(volume_node))


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


def slice_views(scene: slicer.vtkMRMLScene) -> tuple[str, ...]:
    """Layout names of the scene's slice views ("Red"), the usual ones first."""
    names = {node.GetLayoutName() for node in _slice_nodes(scene) if node.GetLayoutName()}
    return (*(name for name in _USUAL_VIEWS if name in names), *sorted(names.difference(_USUAL_VIEWS)))


def view_plane(volume_node: slicer.vtkMRMLScalarVolumeNode, view: str) -> PlaneRequest:
    """The plane that a slice view shows; InputError when there is no such view or it misses the volume."""
    for node in _slice_nodes(volume_node.GetScene()):
        if node.GetLayoutName() == view:
            return slice_plane(node, volume_node)
    raise InputError(
        _("There is no {view} slice view: choose a layout with one, or ask about the whole volume.").format(
            view=view.lower()
        )
    )


def views_along(scene: slicer.vtkMRMLScene, orientation: str) -> list[slicer.vtkMRMLSliceNode]:
    """The slice views that lie nearest to a named orientation."""
    normals = [(node, _array(node.GetSliceToRAS())[:3, 2]) for node in _slice_nodes(scene)]
    return [node for node, normal in normals if _orientation_along(normal) == orientation]


def orientation_of(plane: PlaneRequest) -> str:
    """The named orientation that an oblique plane lies nearest to."""
    return _orientation_along(np.cross(plane.right, plane.down))


def slice_count(volume_node: slicer.vtkMRMLScalarVolumeNode, orientation: str) -> int:
    """How many slices a volume has along a named orientation, as a `PlaneRange` counts them; 0 without voxels."""
    image = volume_node.GetImageData()
    return image.GetDimensions()[_slice_axis(volume_node, orientation)] if image else 0


def slice_center(volume_node: slicer.vtkMRMLScalarVolumeNode, orientation: str, index: int) -> np.ndarray:
    """The middle of one of them, RAS millimetres (3,) of the scene; VolumeError under a transform that bends space."""
    center = np.array([*((n - 1) / 2 for n in volume_node.GetImageData().GetDimensions()), 1.0])
    center[_slice_axis(volume_node, orientation)] = index
    return (_transform_to_world(volume_node) @ _ijk_to_ras(volume_node) @ center)[:3]


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
            _(
                "The {view} slice does not cut the chosen volume: scroll it into the volume, or ask "
                "about the whole volume."
            ).format(view=slice_node.GetLayoutName().lower())
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


def text_nodes_of(
    volume_node: slicer.vtkMRMLScalarVolumeNode, role: str, attribute: str
) -> list[slicer.vtkMRMLTextNode]:
    """The text nodes that refer to a volume by a role and have an attribute, in the scene's order."""
    scene = volume_node.GetScene()
    if scene is None:
        return []
    count = scene.GetNumberOfNodesByClass("vtkMRMLTextNode")
    nodes = [scene.GetNthNodeByClass(n, "vtkMRMLTextNode") for n in range(count)]
    return [node for node in nodes if node.GetAttribute(attribute) and node.GetNodeReference(role) is volume_node]


def _radiological(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of all flips and quarter turns of a plane's axes (LPS), the pair (right, down) closest to radiological."""
    first, second = first / np.linalg.norm(first), second / np.linalg.norm(second)
    frame = np.array(FRAMES[int(np.argmax(np.abs(np.cross(first, second))))])
    turned = [(a * x, b * y) for x, y in ((first, second), (second, first)) for a, b in product((1, -1), repeat=2)]
    return max(turned, key=lambda axes: float((np.array(axes) * frame).sum()))


def _orientation_along(normal: np.ndarray) -> str:
    """That whose normal is nearest; RAS or LPS, which is the same here."""
    return _BY_NORMAL[int(np.argmax(np.abs(normal)))]


def _slice_axis(volume_node: slicer.vtkMRMLScalarVolumeNode, orientation: str) -> int:
    """The array axis (0 is I) along which an orientation's slices are counted, as the server assigns them."""
    directions = np.abs(_ijk_to_ras(volume_node)[:3, :3])
    directions = directions / np.linalg.norm(directions, axis=0)
    axes = max(permutations(range(3)), key=lambda p: sum(directions[d, p[d]] for d in range(3)))
    return axes[_BY_NORMAL.index(orientation)]


def _slice_nodes(scene: slicer.vtkMRMLScene) -> list[slicer.vtkMRMLSliceNode]:
    count = scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")
    return [scene.GetNthNodeByClass(n, "vtkMRMLSliceNode") for n in range(count)]


def _transform_to_world(volume_node: slicer.vtkMRMLScalarVolumeNode) -> np.ndarray:
    """The linear transform above the volume, (4, 4) RAS; VolumeError when it is not linear."""
    matrix = vtk.vtkMatrix4x4()
    parent = volume_node.GetParentTransformNode()
    if parent is not None and not parent.GetMatrixTransformToWorld(matrix):
        raise VolumeError(_("The chosen volume is under a transform that bends it: harden the transform, then ask."))
    return _array(matrix)


def _ijk_to_ras(volume_node: slicer.vtkMRMLScalarVolumeNode) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    return _array(matrix)


def _array(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    return slicer.util.arrayFromVTKMatrix(matrix)
