"""A MedSIGHT server on this computer: found, started, followed and stopped. Knows processes; no Slicer, no Qt.

The server runs in the environment that it was installed into, which is never Slicer's own. It reads from a pipe that
this process holds and stops when that closes: however this process ends, no server stays behind.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import threading
from collections import deque
from pathlib import Path
from typing import Mapping

from medsight_core.errors import InputError, NotFoundError, ServerError
from medsight_core.protocol import DEFAULT_PORT, SERVING, TOKEN_ENVIRONMENT
from MedSIGHTLib.translating import _

_HOST = "127.0.0.1"
_LAST_LINES = 20  # of what the server says
_STOP_SECONDS = 3.0  # to end by itself, when Slicer waits for it
_FRAME = " │╭╮╰╯─"  # that the command line draws around a wrong option
_NAMES = ("medsight", "medsight.exe")
_FOLDERS = ("", "bin", "Scripts", ".venv/bin", ".venv/Scripts")  # of an environment, or of a checkout with one
_NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # of its own, on Windows


def find_program(chosen: str, checkout: Path | None, environment: Mapping[str, str]) -> Path:
    """The ``medsight`` program: the one chosen, else that of PATH, else that of the checkout which the module runs in.

    chosen: the program, or the folder of its environment; "" looks for it. Raises NotFoundError with what to do.
    """
    if chosen:
        found = _program_in(Path(chosen).expanduser().absolute())
        if found is None:
            raise NotFoundError(
                _(
                    "There is no medsight program at {chosen}: choose the program itself, or the folder of "
                    "the Python environment that it was installed into."
                ).format(chosen=chosen)
            )
        return found
    on_path = shutil.which("medsight", path=environment.get("PATH", ""))
    found = Path(on_path) if on_path else checkout and _program_in(checkout)
    if found:
        return found
    command = f"make -C {checkout} install" if checkout and (checkout / "Makefile").is_file() else "make install"
    where = "" if checkout else _(" in a copy of MedSIGHT's source code")
    raise NotFoundError(
        _(
            "No MedSIGHT server is installed on this computer: type '{command}' in a terminal{where} "
            "once, then start it here; or choose its medsight program."
        ).format(command=command, where=where)
    )


def _program_in(place: Path) -> Path | None:
    if place.is_file() and place.name in _NAMES:
        return place
    candidates = (place / folder / name for folder in _FOLDERS for name in _NAMES)
    return next((path for path in candidates if path.is_file() and os.access(path, os.X_OK)), None)


class LocalServer:
    """One server process, which has an ``address`` once it answers.

    token: what the server wants, made anew for each; handed over in the environment, never on the command line.
    """

    def __init__(self, program: Path, studies: Path, environment: Mapping[str, str]):
        """Start it; it takes a while until it answers.

        studies: folder for what is kept of cases and labels; made when it is not there. environment: of the process,
        which must not be that of Slicer's Python. Raises InputError when it cannot be started.
        """
        self.token = secrets.token_urlsafe(32)
        self.address = ""
        self._said: deque[str] = deque(maxlen=_LAST_LINES)
        try:
            studies.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                _("The studies folder {studies} cannot be made ({reason}): move away what is in its place.").format(
                    studies=studies, reason=error.strerror
                )
            ) from None
        command = [str(program), "serve", "--studies", str(studies), "--host", _HOST, "--port", str(_free_port())]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - a program that the user has installed
                [*command, "--stop-with-input"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=studies,  # Slicer's own may be a folder that nobody can write to
                env={**environment, TOKEN_ENVIRONMENT: self.token, "PYTHONUNBUFFERED": "1"},
                creationflags=_NO_WINDOW,
            )
        except OSError as error:
            raise InputError(
                _("{program} cannot be started ({reason}): choose another medsight program.").format(
                    program=program, reason=error.strerror
                )
            ) from None
        self._reader = threading.Thread(target=self._read, name="MedSIGHT server", daemon=True)
        self._reader.start()

    @property
    def running(self) -> bool:
        """Whether the process is there, ready or not."""
        return self._process.poll() is None

    def failure(self) -> ServerError:
        """Why it ended by itself, in the server's own last words."""
        self._reader.join(1.0)
        spoken = (line.strip(_FRAME) for line in reversed(self._said))
        last = next((line for line in spoken if line), _("it said nothing"))
        when = _("has stopped") if self.address else _("stopped while starting")
        return ServerError(_("The server on this computer {when}: {last}").format(when=when, last=last))

    def wait(self, seconds: float) -> None:
        """Give the thread that listens to the server the time to hear it."""
        self._reader.join(seconds)

    def ask_to_stop(self) -> None:
        """Tell it to end, without waiting until it has."""
        assert self._process.stdin is not None  # noqa: S101 - a pipe
        self._process.stdin.close()

    def stop(self, seconds: float = _STOP_SECONDS) -> None:
        """End it: by its own means within ``seconds``, or else by force. Nothing when it has ended."""
        self.ask_to_stop()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - a pipe
        for line in self._process.stdout:
            text = line.decode("utf-8", "replace").rstrip()
            self._said.append(text)
            if text.startswith(SERVING):
                self.address = text[len(SERVING) :].strip()


def _free_port() -> int:
    """The usual port, so that the address stays the same from day to day; 0, which takes any, when it is taken."""
    try:
        socket.create_server((_HOST, DEFAULT_PORT)).close()
    except OSError:
        return 0
    return DEFAULT_PORT
