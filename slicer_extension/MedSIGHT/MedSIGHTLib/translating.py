"""Texts in the reader's language where Slicer has a translation of them; elsewhere as they stand.

``_`` takes whole literals only, which Slicer's tool for translators finds by reading the files: what changes goes in
afterwards, with ``format``.
"""

from __future__ import annotations

try:
    from slicer.i18n import tr as _
except ImportError:  # the page in the browser and the tests have Slicer's libraries without the application

    def _(text: str) -> str:
        """The text itself."""
        return text


__all__ = ["_"]
