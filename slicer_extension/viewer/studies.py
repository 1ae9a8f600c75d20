"""The server's studies, as files on this machine: listed, and fetched once each into a folder that goes with the page.

Knows the client; nothing of scenes. Slow: belongs to threads beside the event loop, one call at a time.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from medsight_core.client import Annotator, MedSightClient

_READER = "viewer"  # the server wants a name from whoever fetches images; nothing is kept under it


class Studies:
    """What one server has."""

    def __init__(self, address: str, token: str):
        """Opens no connection yet. Raises InputError for an address or a token that cannot be used."""
        self._client = MedSightClient(address, token or None)
        self._reader = Annotator(_READER, address, token or None)
        self._folder = tempfile.TemporaryDirectory(prefix="medsight-view-")
        self._files: dict[str, Path] = {}

    def names(self) -> tuple[str, ...]:
        """Their ids. Raises the client's errors."""
        return self._client.studies()

    def fetch(self, name: str) -> Path:
        """The image file of a study. Raises the client's errors."""
        if name not in self._files:
            self._files[name] = self._reader.download(name, self._folder.name).path
        return self._files[name]

    def close(self) -> None:
        """Drop the connections and remove the files."""
        self._client.close()
        self._reader.close()
        self._folder.cleanup()
