"""One step back for each answer, on Slicer's own segmentation history. Knows no Qt; belongs to the scene's thread."""

from __future__ import annotations

from typing import Any

import slicer

from medsight_core.errors import InputError
from MedSIGHTLib.translating import _

_STEPS = 10  # each keeps the segments that it replaced
_LABELMAP = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()


class Undo:
    """The answers' steps, by segmentation node."""

    def __init__(self) -> None:
        """No steps."""
        self._histories: dict[str, Any] = {}
        self._states: dict[str, tuple] = {}

    def save(self, node: slicer.vtkMRMLSegmentationNode) -> None:
        """An answer is about to change the node."""
        history = self._histories.get(node.GetID())
        if history is None or history.GetSegmentation() is not node.GetSegmentation():
            history = slicer.vtkSegmentationHistory()
            history.SetMaximumNumberOfStates(_STEPS)
            history.SetSegmentation(node.GetSegmentation())
            self._histories[node.GetID()] = history
        history.SaveState()

    def saved(self, node: slicer.vtkMRMLSegmentationNode) -> None:
        """The answer has changed it: anything else from now on is a person's work."""
        self._states[node.GetID()] = _state(node)

    def can_undo(self, node: slicer.vtkMRMLSegmentationNode | None) -> bool:
        """Whether there is an answer to take back."""
        history = self._history(node)
        return history is not None and bool(history.IsRestorePreviousStateAvailable())

    def can_redo(self, node: slicer.vtkMRMLSegmentationNode | None) -> bool:
        """Whether an answer was taken back and nothing has changed since."""
        history = self._history(node)
        return history is not None and bool(history.IsRestoreNextStateAvailable()) and self._untouched(node)

    def undo(self, node: slicer.vtkMRMLSegmentationNode) -> None:
        """The segments as they were before the last answer.

        Raises InputError when a person has worked on them since: a step back would take that work along.
        """
        if not self.can_undo(node):
            raise InputError(_("There is no answer to undo: only those since the scene was opened can be."))
        if not self._untouched(node):
            raise InputError(
                _(
                    "Segments were changed by hand since the last answer, and undoing it would undo that "
                    "too: remove what you do not want in the Segmentations module."
                )
            )
        self._history(node).RestorePreviousState()
        self.saved(node)

    def redo(self, node: slicer.vtkMRMLSegmentationNode) -> None:
        """The last answer that was taken back, again; nothing when there is none."""
        if self.can_redo(node):
            self._history(node).RestoreNextState()
            self.saved(node)

    def clear(self) -> None:
        """Forget all steps: the scene is closed."""
        self._histories.clear()
        self._states.clear()

    def _history(self, node: Any) -> Any:
        history = self._histories.get(node.GetID()) if node is not None and node.GetID() else None
        return history if history is not None and history.GetSegmentation() is node.GetSegmentation() else None

    def _untouched(self, node: Any) -> bool:
        return self._states.get(node.GetID()) == _state(node)


def _state(node: slicer.vtkMRMLSegmentationNode) -> tuple:
    """Changes whenever a segment's voxels or name do."""
    segmentation = node.GetSegmentation()
    parts = []
    for n in range(segmentation.GetNumberOfSegments()):
        segment = segmentation.GetNthSegment(n)
        image = segment.GetRepresentation(_LABELMAP)
        time = image.GetMTime() if image is not None else 0
        parts.append((segmentation.GetNthSegmentID(n), segment.GetName(), segment.GetLabelValue(), time))
    return tuple(parts)
