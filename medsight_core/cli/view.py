"""``medsight view``: the page for those without 3D Slicer, before a server of one's own or another.

Knows what has to be there before the page can start; the page itself is `slicer_extension.viewer`.
"""

from __future__ import annotations

import importlib.util
import sys
import webbrowser
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Callable

from rich.console import Console

from medsight_core import NOTICE
from medsight_core.cli.progress import progress
from medsight_core.errors import InputError

DEFAULT_VIEW_PORT = 8080
_PACKAGES = ("slicer", "trame_slicer", "trame_rca", "LayerDMLib")
_INSTALL = '"trame-slicer[standalone]==2.0.0"'


def run(
    server: str | None,
    token: str | None,
    studies: Path,
    model: Path,
    bits: int | None,
    port: int,
    open_browser: bool,
    console: Console,
) -> None:
    """Serve the page until Ctrl+C, which then is no error.

    server: address of a running MedSIGHT server, with its ``token``; without one, a server of this command's own
    answers, for the images in ``studies``, into which the samples are fetched when there are none.
    Raises InputError when packages are missing or the port is taken, and what the server raises.
    """
    _check_packages()
    with ExitStack() as stack:
        with progress() as phase:
            if server is None:
                server, token = _own_server(stack, studies, model, bits, phase)
            else:
                phase("Asking the server")
                _check_server(server, token)
            phase("Starting the page")
            from slicer_extension.viewer.app import view

        def ready(address: str) -> None:
            console.print(
                f"Page        {address}\n{NOTICE}\n\nOpen it in a browser on this machine. Ctrl+C stops it.",
                markup=False,
                soft_wrap=True,
            )
            if open_browser:
                webbrowser.open(address)

        with suppress(KeyboardInterrupt):  # the way to stop it
            view(server, token or "", port, ready)


def _own_server(
    stack: ExitStack, studies: Path, model: Path, bits: int | None, phase: Callable[[str], None]
) -> tuple[str, str]:
    from medsight_core.server.running import running_server
    from medsight_core.server.settings import Settings
    from medsight_core.server.stock import IMAGE_EXTENSIONS

    if not studies.exists() or not any(file.name.endswith(IMAGE_EXTENSIONS) for file in studies.iterdir()):
        from sample_data.fetch import fetch

        phase("Fetching the samples")
        fetch(studies, report=lambda line: None)
    phase("Starting the server")
    running = stack.enter_context(running_server(Settings(studies=studies, model=model, bits=bits, port=0)))
    return running.address, running.token


def _check_server(address: str, token: str | None) -> None:
    from medsight_core.client import MedSightClient

    with MedSightClient(address, token) as client:
        client.info()


def _check_packages() -> None:
    """InputError, with the one command that helps, when the page's packages are not there."""
    if all(importlib.util.find_spec(name) for name in _PACKAGES):
        return
    raise InputError(
        "The page needs Slicer's libraries, which are not installed: run "
        f"{sys.executable} -m pip install {_INSTALL}, then try again."
    )
