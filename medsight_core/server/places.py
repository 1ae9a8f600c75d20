"""Which of several equal places an image's questions go to: always the same, so that what is kept there is found again.

Knows nothing of what a place is, nor of questions.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

_REMEMBERED = 1024  # images


class Places:
    """So many places. Safe to use from several threads."""

    def __init__(self, count: int = 1) -> None:
        """No image is known yet."""
        self.count = count
        self._of: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, image: str, waiting: Sequence[int]) -> int:
        """The place, 0 to ``count`` - 1, of an image, which keeps it; "" is no image in particular.

        waiting: how many questions each place has. A new image goes where there are fewest, of these to that which has
        fewest images.
        """
        with self._lock:
            if image not in self._of:
                held = [0] * self.count
                for place in self._of.values():
                    held[place] += 1
                self._of[image] = min(range(self.count), key=lambda place: (waiting[place], held[place]))
                if len(self._of) > _REMEMBERED:
                    self._of.popitem(last=False)
            self._of.move_to_end(image)
            return self._of[image]

    def known(self, image: str) -> int | None:
        """The place of an image that has one."""
        with self._lock:
            return self._of.get(image)
