"""Vision features of the volumes asked about last, so that a second question does not look at them again.

Keys are hashes of pixels, geometry, window and planes (never of names or ids), so that two images can never share an
entry. The cache is capped in bytes and drops the entry unused for longest.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from torch import Tensor

DEFAULT_CAPACITY = 512 << 20  # bytes


class FeatureCache:
    """A least-recently-used map from a key to a tensor, safe to use from several threads."""

    def __init__(self, capacity: int = DEFAULT_CAPACITY) -> None:
        self.capacity = capacity
        self._entries: OrderedDict[Hashable, Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Tensor]) -> Tensor:
        """The tensor of ``key``, made and kept when it is not there; one larger than the capacity is not kept."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key]
        value = make()  # outside the lock: it may take seconds
        with self._lock:
            if value.nbytes <= self.capacity:
                self._entries[key] = value
                self._entries.move_to_end(key)
            while self.nbytes > self.capacity:
                self._entries.popitem(last=False)
        return value

    @property
    def nbytes(self) -> int:
        """Bytes held now."""
        return sum(entry.nbytes for entry in self._entries.values())
