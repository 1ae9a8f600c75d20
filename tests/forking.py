"""Processes to kill: forked from one that has imported what takes seconds, so that each begins at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator

import psutil

TESTS = Path(__file__).parent

_PARENT = """
import json, os, signal, sys
exec(sys.argv[1])
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the dead
print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        exec(json.loads(line))
        os._exit(0)
    print(child, flush=True)
"""


@contextmanager
def forking(imports: str) -> Iterator[Callable[[str], int]]:
    """A function that runs code in a new process, in which ``imports`` have been run, and returns its id."""
    path = os.pathsep.join([str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-c", _PARENT, imports],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"

        def fork(code: str) -> int:
            process.stdin.write(json.dumps(code) + "\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield fork
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def kill(pid: int) -> None:
    """SIGKILL, and wait until the process is gone."""
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)


def wait_for_end(pid: int, seconds: float = 60.0) -> None:
    """Wait until a process is gone; what nobody has reaped yet is, once its threads have let go of files and ports."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1:
                return
        except psutil.NoSuchProcess:  # or of a zombie, of which nothing can be read
            return
        time.sleep(0.01)
    raise AssertionError(f"process {pid} did not end")
