"""`running_server`: a server in a process of its own for as long as a ``with`` block lasts.

The demo and the tests use it. A process, because MONAI Label keeps one app per process and never lets go of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Iterator

import requests

from medsight_core.errors import ServerError, ServerUnavailableError
from medsight_core.protocol import PATH_INFO, TOKEN_ENVIRONMENT
from medsight_core.server.listening import listen
from medsight_core.server.settings import Settings

START_SECONDS = 600.0  # importing torch, MONAI and MONAI Label takes 10 s, on a starved machine minutes
_STOP_SECONDS = 60.0  # a killed server leaves its files to the next one


@dataclass(frozen=True)
class RunningServer:
    """A server that answers: its address, its token, its process, and the file that its output goes to."""

    address: str
    token: str
    process: subprocess.Popen[bytes]
    log: Path


@contextmanager
def running_server(
    settings: Settings, timeout: float = START_SECONDS, program: str = "medsight_core.server"
) -> Iterator[RunningServer]:
    """Start a server, wait until it answers, and stop it at the end of the block. Port 0 takes a free one.

    program: the module that runs, for a server that is not quite the usual one.
    Raises InputError for a taken port, ServerError with the server's last line when it stops while starting, and
    ServerUnavailableError when it does not answer within ``timeout`` seconds.
    """
    with listen(settings) as listener:
        settings = replace(settings, port=listener.getsockname()[1])
    arguments = {
        "--studies": settings.studies,
        "--model": settings.model,
        "--host": settings.host,
        "--port": settings.port,
        "--device": settings.device,
        "--max-upload-bytes": settings.max_upload_bytes,
        "--reserve-bytes": settings.reserve_bytes,
        "--replicas": settings.replicas,
    }
    if settings.bits is not None:
        arguments["--bits"] = settings.bits
    if settings.training_data is not None:
        arguments["--training-data"] = settings.training_data
    words = ["-m", program, *(str(word) for both in arguments.items() for word in both)]
    with tempfile.TemporaryDirectory(prefix="medsight-log-") as folder:
        log = Path(folder) / "server.log"
        process = _start(words, log, {TOKEN_ENVIRONMENT: settings.token})
        server = RunningServer(settings.address, settings.token, process, log)
        try:
            _wait_until_ready(server, timeout)
            yield server
        finally:
            _stop(process)


def _start(words: list[str], log: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(  # noqa: S603 - our own module, arguments as a list
            [sys.executable, *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
        )


def _wait_until_ready(server: RunningServer, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    with requests.Session() as session:
        session.trust_env = False  # no proxy stands between a machine and itself
        session.headers["Authorization"] = f"Bearer {server.token}"
        while time.monotonic() < deadline:
            if server.process.poll() is not None:
                lines = server.log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
                raise ServerError(f"The server stopped while starting: {lines[-1]}")
            try:
                if session.get(server.address + PATH_INFO, timeout=5).ok:
                    return
            except requests.RequestException:
                pass
            time.sleep(0.1)
    raise ServerUnavailableError(f"The server did not answer within {timeout:g} s: the machine may be busy, try again.")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
