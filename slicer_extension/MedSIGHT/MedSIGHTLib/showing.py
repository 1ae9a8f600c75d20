"""Looking at one thing: going to a segment or a slice, and dimming other segments for a moment. MRML only, no Qt."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import slicer

from medsight_core.errors import VolumeError
from MedSIGHTLib import mrml

_DIMMED = 0.15  # of a segment's own opacity


def show_segment(node: slicer.vtkMRMLSegmentationNode, segment_id: str) -> bool:
    """Make the segment visible, and the middle of all slice and 3D views; False when it is no longer there."""
    if not _has(node, segment_id):
        return False
    set_visible(node, segment_id, True)
    center = node.GetSegmentCenterRAS(segment_id)
    if center is not None:
        scene = node.GetScene()
        slicer.vtkMRMLSliceNode.JumpAllSlices(scene, *center, slicer.vtkMRMLSliceNode.CenteredJumpSlice)
        for n in range(scene.GetNumberOfNodesByClass("vtkMRMLCameraNode")):
            _look_at(scene.GetNthNodeByClass(n, "vtkMRMLCameraNode"), center)
    return True


def show_slice(volume_node: slicer.vtkMRMLScalarVolumeNode, orientation: str, index: int) -> None:
    """Scroll the views along a named orientation to one of the volume's slices, as `mrml.slice_count` counts them."""
    with suppress(VolumeError):  # bent by a transform: whoever asks is told
        center = mrml.slice_center(volume_node, orientation, index)
        for view in mrml.views_along(volume_node.GetScene(), orientation):
            view.JumpSliceByOffsetting(*center)


def set_visible(node: slicer.vtkMRMLSegmentationNode, segment_id: str, visible: bool) -> None:
    """Show or hide one segment; nothing when it or its node is gone."""
    if _has(node, segment_id) and node.GetDisplayNode() is not None:
        node.GetDisplayNode().SetSegmentVisibility(segment_id, visible)


class Spotlight:
    """One segment in full colour and the others pale, until it is turned off; their own opacities come back then."""

    def __init__(self) -> None:
        """Off."""
        self._node: Any = None
        self._opacities: dict[str, tuple[float, float, float]] = {}

    def turn_to(self, node: slicer.vtkMRMLSegmentationNode, segment_id: str) -> None:
        """Dim all segments of ``node`` but this one; nothing when it is not there."""
        self.off()
        if not _has(node, segment_id) or node.GetDisplayNode() is None:
            return
        self._node, display, segmentation = node, node.GetDisplayNode(), node.GetSegmentation()
        was_modifying = display.StartModify()
        for other in (segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())):
            if other != segment_id:
                own = (
                    display.GetSegmentOpacity2DFill(other),
                    display.GetSegmentOpacity2DOutline(other),
                    display.GetSegmentOpacity3D(other),
                )
                self._opacities[other] = own
                _set_opacities(display, other, tuple(_DIMMED * value for value in own))
        display.EndModify(was_modifying)

    def off(self) -> None:
        """Everything as it was; what is gone by now stays gone."""
        node, opacities = self._node, self._opacities
        self._node, self._opacities = None, {}
        if node is None or node.GetScene() is None or node.GetDisplayNode() is None:
            return
        display = node.GetDisplayNode()
        was_modifying = display.StartModify()
        for segment_id, own in opacities.items():
            if node.GetSegmentation().GetSegment(segment_id) is not None:
                _set_opacities(display, segment_id, own)
        display.EndModify(was_modifying)


def _has(node: slicer.vtkMRMLSegmentationNode, segment_id: str) -> bool:
    return node.GetScene() is not None and node.GetSegmentation().GetSegment(segment_id) is not None


def _set_opacities(display: Any, segment_id: str, values: tuple[float, ...]) -> None:
    fill, outline, surface = values
    display.SetSegmentOpacity2DFill(segment_id, fill)
    display.SetSegmentOpacity2DOutline(segment_id, outline)
    display.SetSegmentOpacity3D(segment_id, surface)


def _look_at(camera: Any, center: Any) -> None:
    """Turn around this point from now on: the camera moves sideways and keeps its direction and distance."""
    focal, position = camera.GetFocalPoint(), camera.GetPosition()
    camera.SetPosition(*(p + c - f for p, c, f in zip(position, center, focal)))
    camera.SetFocalPoint(*center)
    camera.ResetClippingRange()
