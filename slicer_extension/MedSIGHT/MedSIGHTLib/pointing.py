"""Pointing at segments for a person: all views go to one, which blinks once, or the others pale for a moment.

Knows MRML and no Qt: whoever has an event loop lends it.
"""

from __future__ import annotations

from typing import Any, Callable

from MedSIGHTLib.segments import segmentation_of
from MedSIGHTLib.showing import Spotlight, set_visible, show_segment
from MedSIGHTLib.translating import _

_BLINK_MILLISECONDS = 200

# Calls a function once after so many milliseconds, unless what it returns is called before.
Later = Callable[[int, Callable[[], None]], Callable[[], None]]


class Pointer:
    """Leaves no segment hidden or pale when it is closed."""

    def __init__(self, select: Callable[[str], None], say: Callable[[str], None], later: Later):
        """``select`` marks a segment that was gone to, by its id; ``say`` shows a sentence."""
        self._select, self._say, self._later = select, say, later
        self._spotlight = Spotlight()
        self._hidden: tuple[Any, str] | None = None
        self._stop_blink: Callable[[], None] | None = None

    def go_to(self, volume: Any, segment_id: str) -> None:
        """Show a segment of the volume's segmentation, or say that it is gone."""
        self.close()
        node = segmentation_of(volume)
        if node is None or not show_segment(node, segment_id):
            self._say(_("That segment is no longer in the scene: ask again to get it back."))
            return
        self._select(segment_id)
        set_visible(node, segment_id, False)
        self._hidden = (node, segment_id)
        self._stop_blink = self._later(_BLINK_MILLISECONDS, self.end_blink)

    def point_at(self, volume: Any, segment_id: str | None) -> None:
        """Dim all segments but this one; none for None."""
        node = segmentation_of(volume) if segment_id is not None else None
        if node is None:
            self._spotlight.off()
        else:
            self._spotlight.turn_to(node, segment_id)

    def end_blink(self) -> None:
        """The blinking segment is back."""
        stop, self._stop_blink = self._stop_blink, None
        if stop is not None:
            stop()
        hidden, self._hidden = self._hidden, None
        if hidden is not None:
            set_visible(*hidden, True)

    def close(self) -> None:
        """Everything as it was."""
        self.end_blink()
        self._spotlight.off()
