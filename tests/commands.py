"""Python programs as processes of their own, forked from one that has imported what takes seconds.

What such a process does is what it would do after ``python``: arguments, folder, environment, output and exit code are
its own.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired
from typing import Callable, Sequence

import psutil
from forking import wait_for_end

IMPORTS = """
import tempfile
from medsight_core.server import absent
absent.install()  # as every server does before it imports MONAI
import medsight_core.server.serve, monai
import medsight_core.cli.app, medsight_core.engine.engine, medsight_core.training.trainer, torch.distributed.fsdp
import transformers.models.qwen3.modeling_qwen3, transformers.models.clip.modeling_clip, torch.utils.tensorboard
"""
_PATIENCE = 1200.0  # seconds; the machine may be busy
_CODE = """
import runpy, traceback
words, folder, environment, files = {facts}
os.chdir(folder)
os.environ.clear()
os.environ.update(environment)
tempfile.tempdir = None  # was chosen by the environment of the parent
for number in (1, 2):
    os.dup2(os.open(files[number], os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
code = 0
try:
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        sys.path.insert(0, os.path.dirname(words[0]))
        runpy.run_path(words[0], run_name="__main__")
except SystemExit as end:
    code = end.code if isinstance(end.code, int) else int(end.code is not None)
except BaseException:
    traceback.print_exc()
    code = 1
sys.stdout.flush()
sys.stderr.flush()
with open(files[0], "w") as status:
    status.write(str(code))
"""


@dataclass(frozen=True)
class Started:
    """A program that runs. files: for its exit code, output and complaints."""

    pid: int
    words: tuple[str, ...]
    files: tuple[Path, Path, Path]

    def end(self) -> CompletedProcess[str]:
        """Wait for it; without an exit code of its own it was killed."""
        wait_for_end(self.pid, _PATIENCE)
        status, output, complaints = (path.read_text() if path.exists() else "" for path in self.files)
        return CompletedProcess(self.words, int(status or -9), output, complaints)


@dataclass(frozen=True)
class Server:
    """What `running_server` does with a process, as `subprocess.Popen` has it."""

    pid: int

    def poll(self) -> int | None:
        """None while it runs; nobody knows how it ended."""
        return None if psutil.pid_exists(self.pid) else 0

    def send_signal(self, number: int) -> None:
        """Nothing happens when it has ended."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float = _PATIENCE) -> int:
        """Until it has ended. Raises `subprocess.TimeoutExpired`."""
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.01)
        return 0


class Commands:
    """Starts programs. Words: those behind ``python``, "-m" and a module's name or a script's path first."""

    def __init__(self, fork: Callable[[str], int], folder: Path) -> None:
        """``fork`` of `forking`, with `IMPORTS`; a folder for output."""
        self._fork, self._folder, self._number = fork, folder, 0

    def start(self, *words: str, folder: Path | None = None, **environment: str) -> Started:
        """Run a program in a folder, else here, with these variables beside those of the tests."""
        self._number += 1
        code, output, complaints = (f"{self._number}-{name}" for name in ("code", "output", "complaints"))
        files = (self._folder / code, self._folder / output, self._folder / complaints)
        return Started(self._begin(words, folder or Path.cwd(), environment, files), words, files)

    def serve(self, words: list[str], log: Path, environment: dict[str, str]) -> Server:
        """What `running_server` starts a server with, for it to use instead."""
        return Server(self._begin(words, Path.cwd(), environment, (Path(os.devnull), log, log)))

    def _begin(
        self, words: Sequence[str], folder: Path, environment: dict[str, str], files: tuple[Path, Path, Path]
    ) -> int:
        facts = (list(words), str(folder), {**os.environ, **environment}, [str(path) for path in files])
        return self._fork(_CODE.format(facts=repr(facts)))

    def run(self, *words: str, folder: Path | None = None, **environment: str) -> CompletedProcess[str]:
        """`start`, and wait for its end."""
        return self.start(*words, folder=folder, **environment).end()

    def together(self, count: int, *words: str) -> list[CompletedProcess[str]]:
        """A program in ``count`` processes that find each other as those of torchrun do."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count)}
        shared["LOCAL_WORLD_SIZE"] = str(count)
        started = [self.start(*words, **shared, RANK=str(rank), LOCAL_RANK=str(rank)) for rank in range(count)]
        return [each.end() for each in started]
