"""The private folder where a running server keeps what requests bring: uploads, sessions, label files on their way out.

It is readable by its owner only and goes with the server. A server that was killed cannot clean up; the next one does,
telling a dead server's folder from a live one's by a file lock. Knows nothing of HTTP or of what the files are.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from filelock import FileLock, Timeout

PREFIX = "medsight-server-"
_LOCK = "alive.lock"
_GRACE_SECONDS = 60.0  # a starting server has made its folder but may not have locked it yet


@contextmanager
def workspace() -> Iterator[Path]:
    """A new private folder, which is also where ``tempfile`` puts files while the context lasts."""
    remove_abandoned()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    previous = tempfile.tempdir
    with FileLock(folder / _LOCK):
        tempfile.tempdir = str(folder)
        try:
            yield folder
        finally:
            tempfile.tempdir = previous
            shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned() -> None:
    """Remove the folders of servers that no longer run."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        lock = folder / _LOCK
        try:
            if folder.is_symlink() or time.time() - folder.stat().st_mtime < _GRACE_SECONDS:
                continue
            with FileLock(lock, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
        except (Timeout, OSError):  # alive, or another user's
            continue
