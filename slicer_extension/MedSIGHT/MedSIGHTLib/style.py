"""How the panel speaks: colours from Slicer's theme, so that light and dark read well, and errors as sentences."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from medsight_core.errors import MedSightError
from MedSIGHTLib.translating import _


@dataclass(frozen=True)
class Colors:
    """``#rrggbb`` each; good, busy and problem are the states of the server's dot and of messages."""

    text: str
    muted: str
    link: str
    good: str
    busy: str
    problem: str

    @classmethod
    def of(cls, palette: Any) -> Colors:
        """The colours for a theme's QPalette."""
        import qt  # here, because the page has no Qt and colours of its own

        text, base = palette.color(qt.QPalette.Text), palette.color(qt.QPalette.Base)
        dark = base.lightness() < 128
        return cls(
            text=text.name(),
            muted=_mix(text, base, 0.38),
            link="#7ab7ff" if dark else "#1a5fb4",
            good="#4cc38a" if dark else "#2b8a57",
            busy="#f0b849" if dark else "#b7791f",
            problem="#ff8a80" if dark else "#b3261e",
        )

    def state(self, name: str) -> str:
        """The colour of "good", "busy" or "problem"; muted for any other state."""
        return {"good": self.good, "busy": self.busy, "problem": self.problem}.get(name, self.muted)


def sentence(error: Exception) -> str:
    """What a person is told; of an unforeseen error only its type, because its text may hold a patient's name."""
    if isinstance(error, MedSightError):
        return str(error)
    logging.error("MedSIGHT failed", exc_info=error)
    return _("MedSIGHT failed unexpectedly ({error}): see the Python console, then ask again.").format(
        error=type(error).__name__
    )


def _mix(color: Any, other: Any, share: float) -> str:
    """``color`` with this share of ``other`` in it."""
    channels = zip((color.red(), color.green(), color.blue()), (other.red(), other.green(), other.blue()))
    return "#{:02x}{:02x}{:02x}".format(*(round(a + (b - a) * share) for a, b in channels))
