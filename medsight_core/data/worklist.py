"""The impressions of all images of a studies folder, kept in one file so that no image is looked at twice.

An entry holds for one content of one image and one model. Size and time of a file tell cheaply that it is the same;
when they differ its content decides, so a copied study is not looked at again. Knows no server, thread or strategy.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from medsight_core.engine.impression import Impression
from medsight_core.files import file_hash, write_whole

_SCHEMA = 1


@dataclass(frozen=True)
class Entry:
    """What is known of one image. impression: None for an image that cannot be read.

    size: bytes. modified: nanoseconds since 1970. content: `file_hash`. model: that looked at it.
    """

    size: int
    modified: int
    content: str
    impression: Impression | None
    model: str


class Worklist:
    """Entries by image id, in memory and in a file. Safe to use from several threads of one process.

    path: of the file; its folder must exist before anything is written.
    model: a text that differs between models (`sight_identity`); a file of another model is not read.
    """

    def __init__(self, path: Path, model: str) -> None:
        """Read the file, if it is there and whole."""
        self.path, self.model = path, model
        self._lock = threading.Lock()
        self._entries = _read(path, model)

    def of_model(self, model: str) -> None:
        """From now on images are looked at with this version of the model.

        What the version before saw of an image counts until then: it is a better guess than none.
        """
        self.model = model

    def impressions(self, images: Mapping[str, Path]) -> dict[str, Impression | None]:
        """For each image what it looked like; None when it changed since, cannot be read or was not looked at yet."""
        found: dict[str, Impression | None] = {}
        for image, path in images.items():
            entry = self._entries.get(image)
            found[image] = entry.impression if entry is not None and _same_file(entry, path) else None
        return found

    def content(self, image: str, path: Path) -> str:
        """`file_hash` of an image as it was looked at; "" when it changed since or was not looked at yet."""
        entry = self._entries.get(image)
        return entry.content if entry is not None and _same_file(entry, path) else ""

    def update(self, image: str, path: Path, look: Callable[[Path], Impression | None]) -> bool:
        """Look at one image unless its entry still holds; whether anything changed. `save` writes it down.

        look: returns None for an image that cannot be read. An image that has gone meanwhile is skipped.
        """
        entry = self._entries.get(image)
        try:
            if entry is not None and entry.model == self.model and _same_file(entry, path):
                return False
            model, stat, content = self.model, path.stat(), file_hash(path)
            if entry is not None and (entry.model, entry.content) == (model, content):
                entry = replace(entry, size=stat.st_size, modified=stat.st_mtime_ns)
            else:
                entry = Entry(stat.st_size, stat.st_mtime_ns, content, look(path), model)
        except FileNotFoundError:
            return False
        with self._lock:
            self._entries[image] = entry
        return True

    def forget_all_but(self, images: Mapping[str, Path]) -> bool:
        """Drop the entries of images that are no longer there; whether there were any."""
        with self._lock:
            gone = self._entries.keys() - images.keys()
            for image in gone:
                del self._entries[image]
        return bool(gone)

    def save(self) -> None:
        """Write the file, whole or not at all."""
        with self._lock:
            model = self.model
            entries = {image: _to_json(entry) for image, entry in self._entries.items() if entry.model == model}
        content = json.dumps({"schema": _SCHEMA, "model": model, "images": entries}).encode()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, content)


def _same_file(entry: Entry, path: Path) -> bool:
    try:
        stat = path.stat()
    except OSError:
        return False
    return (stat.st_size, stat.st_mtime_ns) == (entry.size, entry.modified)


def _read(path: Path, model: str) -> dict[str, Entry]:
    """The entries in a file; none when it is missing, damaged or another model's: they can be made again."""
    try:
        data = json.loads(path.read_bytes())
        if (data["schema"], data["model"]) != (_SCHEMA, model):
            return {}
        return {str(image): _from_json(entry, model) for image, entry in data["images"].items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, binascii.Error):
        return {}


def _to_json(entry: Entry) -> dict[str, Any]:
    impression = entry.impression
    stored = {"size": entry.size, "modified": entry.modified, "content": entry.content}
    if impression is None:
        return stored
    return {
        **stored,
        "vector": base64.b64encode(impression.vector.astype("<f4").tobytes()).decode(),
        "outlines": impression.outlines,
        "presence": impression.presence,
        "planes": impression.planes,
        "doubtful": impression.doubtful,
    }


def _from_json(data: dict[str, Any], model: str) -> Entry:
    impression = None
    if "vector" in data:
        vector = np.frombuffer(base64.b64decode(data["vector"]), "<f4").astype(np.float32)
        presence, planes = (None if data[key] is None else float(data[key]) for key in ("presence", "planes"))
        impression = Impression(vector, float(data["outlines"]), presence, planes, str(data["doubtful"]))
    return Entry(int(data["size"]), int(data["modified"]), str(data["content"]), impression, model)
