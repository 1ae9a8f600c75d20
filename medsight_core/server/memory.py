"""Whether there is memory for what is asked: a question that would make the machine swap is refused, not begun.

One question works at a time in each place that answers, so what counts is what the largest of those that wait will
take. It is estimated from the size of the image alone (`medsight_core.imaging.size`). Knows nothing of HTTP or of
questions.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Callable

import psutil

from medsight_core.errors import BusyError, TooLargeError

# The voxels, and what a question about a whole volume takes beside them (docs/performance.md: 3.6 times their bytes).
TIMES_VOXELS = 5
_CGROUP = Path("/sys/fs/cgroup")  # a container's own limit, which the machine's figures do not tell


class Memory:
    """Says whether work fits into memory so that ``reserve`` bytes stay free.

    kept: bytes held only to be quicker the next time. forget: lets go of them.
    total, free: bytes that the machine, or this container, has and has left.
    """

    def __init__(
        self,
        reserve: int,
        kept: Callable[[], int],
        forget: Callable[[], None],
        total: Callable[[], int] | None = None,
        free: Callable[[], int] | None = None,
    ) -> None:
        """Looks at nothing yet."""
        self.reserve = reserve
        self._kept, self._forget = kept, forget
        self.total, self.free = total or total_memory, free or free_memory

    def admit(self, voxel_bytes: int, returning: int = 0, retry_after: float = 0.0) -> None:
        """Refuse an image of ``voxel_bytes`` for which there is no room, not even without what is kept.

        returning: bytes that work under way may take, and gives back when it ends, in ``retry_after`` seconds or so.
        Raises BusyError, and TooLargeError for what this machine can never hold.
        """
        need = needed(voxel_bytes)
        if need + self.reserve > self.total():
            raise TooLargeError(
                f"A question about this image takes some {_gb(need)} of memory, more than this server has: "
                "crop or resample the image."
            )
        room = self.free() + returning + self._kept()
        if need + self.reserve > room:
            raise self._no_room(need, retry_after)

    def claim(self, voxel_bytes: int, retry_after: float = 0.0, beside: int = 0) -> None:
        """Make room for work that begins now. beside: bytes that other work under way may still take.

        Raises BusyError when there is none; may take a moment.
        """
        need = needed(voxel_bytes)
        if need + beside + self.reserve > self.free():
            self._forget()
        if need + beside + self.reserve > self.free():
            raise self._no_room(need, retry_after)

    def _no_room(self, need: int, retry_after: float) -> BusyError:
        return BusyError(
            f"The server is short of memory: this image takes some {_gb(need)} and {_gb(self.free())} are free, of "
            f"which {_gb(self.reserve)} are kept in reserve.",
            retry_after,
        )


def needed(voxel_bytes: int) -> int:
    """Bytes that a question about an image takes at most."""
    return TIMES_VOXELS * voxel_bytes


def total_memory() -> int:
    """Bytes of memory that this machine has, or this container may use."""
    return min(psutil.virtual_memory().total, _limit())


def free_memory() -> int:
    """Bytes that can be had without swapping."""
    free = psutil.virtual_memory().available
    with contextlib.suppress(OSError, ValueError, StopIteration):
        used = int((_CGROUP / "memory.current").read_text())
        lines = (_CGROUP / "memory.stat").read_text().splitlines()
        # Pages of files count as used and are given up when memory is wanted.
        files = next(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
        free = min(free, max(0, _limit() - used + files))
    return free


def resident_memory() -> int:
    """Bytes of memory that this process holds."""
    return psutil.Process().memory_info().rss


def _limit() -> int:
    try:
        return int((_CGROUP / "memory.max").read_text())
    except (OSError, ValueError):  # no container, or one that may use all ("max")
        return 1 << 62


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
