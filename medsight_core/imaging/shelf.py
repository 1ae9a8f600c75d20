"""The volumes read last, so that a second question about a file need not read it again.

Knows files and volumes, nothing of questions. What was found out about a volume stays with it (`once_a_volume`).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

from medsight_core.imaging.volume import PathLike, Volume, read_volume

DEFAULT_CAPACITY = 512 << 20  # bytes of voxels

_Key = tuple[str, str | None, int, int, int, int]


class VolumeShelf:
    """Reads volumes and keeps those used last, as many as fit; safe to use from several threads."""

    def __init__(self, capacity: int = DEFAULT_CAPACITY) -> None:
        self.capacity = capacity
        self._volumes: OrderedDict[_Key, Volume] = OrderedDict()
        self._lock = threading.RLock()
        self.hits = self.misses = 0  # files that were asked for, since the beginning

    def read(self, path: PathLike, modality: str | None = None) -> Volume:
        """`read_volume`, from memory when the same file was read before and has not changed since.

        A folder is always read anew: its own time does not tell whether a file in it has changed.
        """
        path = Path(path)
        if not path.is_file():
            return read_volume(path, modality)
        stat = path.stat()  # before reading: a file that changes meanwhile is read again next time
        key = (str(path), modality, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        with self._lock:
            if key in self._volumes:
                self._volumes.move_to_end(key)
                self.hits += 1
                return self._volumes[key]
            self.misses += 1
        volume = read_volume(path, modality)
        with self._lock:
            for old in [old for old in self._volumes if old[:2] == key[:2]]:
                del self._volumes[old]
            self._volumes[key] = volume
            while self.nbytes > self.capacity:
                self._volumes.popitem(last=False)
        return volume

    @property
    def nbytes(self) -> int:
        """Bytes of voxels held now."""
        with self._lock:
            return sum(kept.voxels.nbytes for kept in self._volumes.values())

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._volumes.clear()
