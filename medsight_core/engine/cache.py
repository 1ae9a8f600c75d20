"""What was computed about the planes asked about last, so that a second question does not compute it again.

Keys hold hashes of pixels, geometry, window and plane (never names or ids, and never token ids alone), so that two
images can never share an entry. The cache is capped in bytes and drops the entry unused for longest.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence

from torch import Tensor

DEFAULT_CAPACITY = 512 << 20  # bytes


class PlaneCache:
    """A least-recently-used map from a plane's key to a tensor, safe to use from several threads."""

    def __init__(self, capacity: int = DEFAULT_CAPACITY) -> None:
        self.capacity = capacity
        self._entries: OrderedDict[Hashable, Tensor] = OrderedDict()
        self._nbytes = 0
        self._lock = threading.Lock()
        self.hits = self.misses = 0  # planes that were asked for, since the beginning

    def get(
        self, keys: Sequence[Hashable], make: Callable[[list[int]], Iterable[Tensor]], keep: bool = True
    ) -> list[Tensor]:
        """The tensors of ``keys``, in their order.

        make: takes the places in ``keys`` of those that are not there and yields their tensors, in order. Each is kept
        as it comes, so what was made before an error is not lost; one larger than the capacity is not kept.
        keep: False for who only passes by, so that what is made does not push out what people ask about.
        """
        found: dict[int, Tensor] = {}
        with self._lock:
            for place, key in enumerate(keys):
                if key in self._entries:
                    self._entries.move_to_end(key)
                    found[place] = self._entries[key]
            self.hits += len(found)
            self.misses += len(keys) - len(found)
        missing = [place for place in range(len(keys)) if place not in found]
        if missing:
            for place, tensor in zip(missing, make(missing), strict=True):  # outside the lock: it may take seconds
                found[place] = tensor
                if keep and tensor.nbytes <= self.capacity:
                    self._put(keys[place], tensor)
        return [found[place] for place in range(len(keys))]

    def _put(self, key: Hashable, tensor: Tensor) -> None:
        with self._lock:
            if (before := self._entries.pop(key, None)) is not None:
                self._nbytes -= before.nbytes
            self._entries[key] = tensor
            self._nbytes += tensor.nbytes
            while self._nbytes > self.capacity:
                self._nbytes -= self._entries.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._nbytes = 0

    @property
    def nbytes(self) -> int:
        """Bytes held now."""
        return self._nbytes

    def __len__(self) -> int:
        """Number of planes known."""
        return len(self._entries)
