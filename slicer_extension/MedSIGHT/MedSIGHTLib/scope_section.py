"""The panel's choice of what to look at: the whole volume, the plane that a slice view shows, or slices from … to.

Written for PythonQt. A scope is a text, as `Asker.prepare` takes it and as the scene keeps it.
"""

from __future__ import annotations

from typing import Any, Callable

import slicer

from medsight_core.client import ServerInfo
from medsight_core.protocol import (
    ORIENTATIONS,
    SCOPE_PLANE,
    SCOPE_RANGE,
    SCOPE_VOLUME,
    PlaneRange,
    is_range,
    parse_range,
)
from MedSIGHTLib import mrml
from MedSIGHTLib.showing import show_slice
from MedSIGHTLib.translating import _

_UNKNOWN = (SCOPE_VOLUME, SCOPE_PLANE, SCOPE_RANGE)  # what a server can that has not said


class ScopeSection:
    """A list of scopes, and two slice numbers for those that need them."""

    def __init__(self, ui: Any, changed: Callable[[], None]):
        """``changed`` is called when a person has chosen something else."""
        self.ui, self._changed = ui, changed
        self._scopes: tuple[str, ...] = ()  # SCOPE_VOLUME, the name of a view, or an orientation
        self._slices: tuple[Any, str] = (None, "")  # the volume and orientation that the numbers count
        self._volume: Any = None
        self._updating = False
        ui.scopeSelector.connect("currentIndexChanged(int)", self._choose)
        for box in (ui.firstSliceBox, ui.lastSliceBox):
            box.connect("valueChanged(int)", self._scroll)

    @property
    def chosen(self) -> str:
        """`SCOPE_VOLUME`, the layout name of a slice view, or a range such as "axial:10-20"."""
        scope = self._selected
        if scope not in ORIENTATIONS:
            return scope
        first, last = sorted((self.ui.firstSliceBox.value, self.ui.lastSliceBox.value))
        return str(PlaneRange(scope, first, last))

    def offer(self, info: ServerInfo | None, volume: Any, chosen: str) -> None:
        """What the server can, the layout has and the volume allows; the whole volume when that is not ``chosen``."""
        self._updating = True
        self._volume = volume
        known = info.scopes if info else _UNKNOWN
        views = mrml.slice_views(slicer.mrmlScene) if SCOPE_PLANE in known else ()
        ranges = (info.orientations if info else ORIENTATIONS) if SCOPE_RANGE in known else ()
        ranges = tuple(name for name in ranges if volume is not None and mrml.slice_count(volume, name) > 1)
        whole = (SCOPE_VOLUME,) if SCOPE_VOLUME in known or not views else ()
        scopes, box = (*whole, *views, *ranges), self.ui.scopeSelector
        if scopes != self._scopes:
            self._scopes = scopes
            box.clear()
            for scope in scopes:
                box.addItem(_words(scope))
        planes = parse_range(chosen) if is_range(chosen) else None
        chosen = planes.orientation if planes else chosen
        box.currentIndex = scopes.index(chosen) if chosen in scopes else 0
        self._count_slices(planes)
        self._updating = False

    @property
    def _selected(self) -> str:
        index = self.ui.scopeSelector.currentIndex
        return self._scopes[index] if 0 <= index < len(self._scopes) else SCOPE_VOLUME

    def _count_slices(self, planes: PlaneRange | None) -> None:
        """Show the numbers where they are needed: those of ``planes``, or all that the volume has."""
        scope, boxes = self._selected, (self.ui.firstSliceBox, self.ui.lastSliceBox)
        ranged = scope in ORIENTATIONS
        self.ui.slicesLabel.visible = self.ui.slicesFrame.visible = ranged
        if not ranged:
            self._slices = (None, "")
            return
        volume, last = self._volume.GetID(), mrml.slice_count(self._volume, scope) - 1
        for box in boxes:
            box.maximum = last
        if planes is not None and self._slices[0] in (None, volume):
            boxes[0].value, boxes[1].value = planes.first, planes.last
        elif self._slices != (volume, scope):  # another volume's numbers mean nothing here
            boxes[0].value, boxes[1].value = 0, last
        self._slices = (volume, scope)

    def _choose(self) -> None:
        if not self._updating:
            self._updating = True
            self._count_slices(None)
            self._updating = False
            self._changed()

    def _scroll(self, index: int) -> None:
        """A person looks for the first or last slice: the views show it."""
        if not self._updating:
            show_slice(self._volume, self._selected, index)
            self._changed()


def _words(scope: str) -> str:
    if scope == SCOPE_VOLUME:
        return _("Whole volume")
    return (
        _("Several {orientation} slices").format(orientation=scope)
        if scope in ORIENTATIONS
        else _("Current {view} slice").format(view=scope.lower())
    )
