"""A process that dies at its n-th write: before it, or with the file that it opens or flushes left half written.

Python tells an audit hook of every file that is opened, renamed, removed or made. Flushing is counted as well, as then
all is written and nothing renamed. So with n = 1, 2, 3 ... every moment between two writes is tried.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any, Callable, Iterator

from forking import wait_for_end

_CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate")
_MOST = 200  # points of one act


def die_at(number: int, half: bool, folder: Path) -> None:
    """From now on the ``number``-th write below a folder, counted from 1, kills this process; called in a child.

    half: only writes that can be half done count.
    """
    seen, busy, flush = 0, False, os.fsync

    def point(spoil: Callable[[], None]) -> None:
        nonlocal seen, busy
        if busy:
            return
        seen += 1
        if seen == number:
            busy = True
            if half:
                spoil()
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event != "open" and event not in _CHANGES:
            return
        path = os.fsdecode(args[0]) if isinstance(args[0], (str, bytes, os.PathLike)) else ""
        if not path.startswith(str(folder)) or path.endswith(".lock"):
            return
        if event != "open":
            if not half:  # a name is there or not
                point(lambda: None)
        elif args[2] & (os.O_WRONLY | os.O_RDWR):
            point(lambda: Path(path).write_bytes(b"{"))

    def fsync(handle: int) -> None:
        def spoil() -> None:
            try:
                os.ftruncate(handle, os.fstat(handle).st_size // 2)
            except OSError:
                """Opened for reading, to flush what was whole before."""

        point(spoil)
        flush(handle)

    os.fsync = fsync
    sys.addaudithook(hook)


def deaths(
    fork: Callable[[str], int], prepare: Callable[[], Path], act: Callable[[Path], str], marker: Path
) -> Iterator[Path]:
    """For each point of an act the folder that is left when the process dies there.

    prepare: a new folder, as it is before. act: the code that a child runs on it, which has imported `die_at`; from
    "ARM" on its writes count. marker: a file to tell by that it came to its end, as in the last folder.
    """
    for half in (False, True):
        for number in range(1, _MOST):
            folder = prepare()
            marker.unlink(missing_ok=True)
            code = act(folder).replace("ARM", f"die_at({number}, {half}, Path({str(folder)!r}))")
            wait_for_end(fork(f"{code}\nPath({str(marker)!r}).touch()"))
            yield folder
            if marker.exists():
                assert number > 2, "hardly a write was seen: this proves nothing"
                break
        else:
            raise AssertionError("the act does not end")
