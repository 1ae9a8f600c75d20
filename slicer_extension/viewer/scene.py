"""The scene of a page: Slicer's libraries, three slice views and a 3D view, and which volume they show.

Knows MRML and trame's views; nothing of questions. All methods belong to the thread of the event loop.
"""

from __future__ import annotations

from typing import Any, Callable

import slicer
from MedSIGHTLib.segments import segmentation_of
from trame_slicer.core import SlicerApp
from trame_slicer.rca_view import register_rca_factories
from trame_slicer.views import ViewLayoutDefinition

from medsight_core.errors import VolumeError

# By the names that Slicer gives them; the order is that of the page, row by row.
VIEWS = ("Red", "ThreeD", "Green", "Yellow")
_QUALITY = 70  # of JPEG pictures while something moves; when it rests they come again with 90


class Scene:
    """One MRML scene; ``slicer.mrmlScene`` for as long as the process lives, as in the application."""

    def __init__(self, server: Any, dress: Callable[[Any, str, Any], None]):
        """``dress(server, view_id, view)`` puts into the page what lies over a view."""
        self._app = SlicerApp()
        self.mrml = slicer.mrmlScene = self._app.scene
        self._views = self._app.view_manager
        register_rca_factories(
            self._views, server, slice_view_ui_f=dress, three_d_view_ui_f=dress, interactive_quality=_QUALITY
        )
        for view in (
            ViewLayoutDefinition.axial_view(),
            ViewLayoutDefinition.threed_view(background_color=("#0b0e13", "#161b23")),
            ViewLayoutDefinition.coronal_view(),
            ViewLayoutDefinition.sagittal_view(),
        ):
            self._views.create_view(view)
        self._views.set_current_view_ids(list(VIEWS))
        # As radiologists are used to: the left button, pressed and moved, changes the window.
        self._app.app_logic.GetInteractionNode().SetCurrentInteractionMode(
            slicer.vtkMRMLInteractionNode.AdjustWindowLevel
        )

    def load(self, path: str, name: str) -> Any:
        """The volume node of an image file; VolumeError when it cannot be read."""
        node = self._app.volumes_logic.AddArchetypeVolume(path, name)
        if node is None:
            raise VolumeError(f"The study {name} cannot be shown: see whether its file is whole, or choose another.")
        return node

    def show(self, volume: Any) -> None:
        """Show this volume in all views, with its own segments and nobody else's."""
        self._app.display_manager.show_volume_in_slice_background(volume)
        own = segmentation_of(volume)
        for n in range(self.mrml.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")):
            node = self.mrml.GetNthNodeByClass(n, "vtkMRMLSegmentationNode")
            node.SetDisplayVisibility(node is own)
        self.fit()

    def show_surfaces(self, segmentation: Any) -> None:
        """Give the segments surfaces for the 3D view, which turns to them when they are the first."""
        first = not segmentation.GetSegmentation().ContainsRepresentation("Closed surface")
        segmentation.CreateClosedSurfaceRepresentation()
        if first:
            self._views.get_view("ThreeD").reset_view()

    def fit(self) -> None:
        """All of the volume and of the segments in every view, seen from where a reader expects."""
        self._app.display_manager.reset_views()
