"""What may be asked about: the whole volume, the slice that a view shows, or several slices; and their numbers.

Knows MRML as far as it counts slices; what is shown stands in trame's state. Belongs to the event loop.
"""

from __future__ import annotations

from typing import Any

from MedSIGHTLib import mrml
from MedSIGHTLib.showing import show_slice

from medsight_core.client import ServerInfo
from medsight_core.protocol import SCOPE_PLANE, SCOPE_RANGE, SCOPE_VOLUME, PlaneRange

_WORDS = {SCOPE_VOLUME: "Whole volume", "Red": "Axial slice", "Green": "Coronal slice", "Yellow": "Sagittal slice"}


class Scopes:
    """A list of scopes by ``SCOPE_VOLUME``, a view's name or an orientation, and two numbers for the last kind."""

    def __init__(self, state: Any):
        """Nothing may be asked yet."""
        self._state, self._volume = state, None
        self._counted: tuple[Any, str] = (None, "")  # the volume and orientation that the numbers count
        state.update({"scopes": [], "scope": SCOPE_VOLUME, "ranged": False, "first": 0, "last": 0, "greatest": 0})

    @property
    def chosen(self) -> str:
        """As `Asker.prepare` takes it."""
        if not self._state.ranged:
            return str(self._state.scope)
        first, last = (max(0, min(int(number or 0), self._state.greatest)) for number in self._numbers())
        return str(PlaneRange(self._state.scope, min(first, last), max(first, last)))

    def offer(self, info: ServerInfo | None, volume: Any) -> None:
        """What the server can and the volume allows; the first of it when what was chosen is not among that."""
        known, self._volume = info.scopes if info else (), volume
        scopes = {name: words for name, words in _WORDS.items() if _kind(name) in known}
        for orientation in info.orientations if info and SCOPE_RANGE in known and volume is not None else ():
            if mrml.slice_count(volume, orientation) > 1:
                scopes[orientation] = f"Several {orientation} slices"
        self._state.scopes = [{"value": name, "title": words} for name, words in scopes.items()]
        if scopes and self._state.scope not in scopes:
            self._state.scope = next(iter(scopes))
        self.count()

    def count(self) -> None:
        """Ask for two numbers where they are needed, at first all slices that the volume has."""
        state, scope = self._state, self._state.scope
        state.ranged = self._volume is not None and scope != SCOPE_VOLUME and scope not in _WORDS
        if state.ranged and self._counted != (self._volume, scope):
            state.greatest = mrml.slice_count(self._volume, scope) - 1
            state.first, state.last = 0, state.greatest
            self._counted = (self._volume, scope)

    def take(self, scope: str, first: Any, last: Any) -> None:
        """What the page shows as a question leaves it: a question may overtake what was just chosen or typed."""
        self._state.update({"scope": scope, "first": first, "last": last})
        self.count()

    def scroll(self, number: str) -> None:
        """A person looks for the first or last slice: the view shows it. ``number``: "first" or "last"."""
        if self._state.ranged and isinstance(self._state[number], int):
            show_slice(self._volume, self._state.scope, max(0, min(self._state[number], self._state.greatest)))

    def _numbers(self) -> tuple[Any, Any]:
        return self._state.first, self._state.last


def _kind(name: str) -> str:
    return SCOPE_VOLUME if name == SCOPE_VOLUME else SCOPE_PLANE
