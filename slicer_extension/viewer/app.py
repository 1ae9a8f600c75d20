"""`view`: run the page in this process until Ctrl+C.

Knows trame's server; what the page shows and does is in its neighbours. Needs a MedSIGHT server's address and token.
"""

from __future__ import annotations

import base64
import os
import secrets
import socket
import sys
from pathlib import Path
from typing import Any, Callable

if sys.platform.startswith("linux"):  # pictures are drawn without a screen; must be known before VTK is imported
    os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
os.environ["TRAME_ARGS"] = "--server"  # or trame would read the arguments of `medsight`
os.environ["WSLINK_READY_MSG"] = ""

import vtk
from aiohttp import web
from MedSIGHTLib.asking import Asker
from trame.app import get_server

import slicer_extension.viewer  # noqa: F401 - finds MedSIGHTLib
from medsight_core.errors import InputError
from slicer_extension.viewer.guard import Guard
from slicer_extension.viewer.page import build_page, dress_view
from slicer_extension.viewer.scene import Scene
from slicer_extension.viewer.session import Session
from slicer_extension.viewer.studies import Studies

HOST = "127.0.0.1"
_ICON = Path(__file__).parents[1] / "MedSIGHT" / "Resources" / "Icons" / "MedSIGHT.svg"


def view(address: str, token: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve the page on this machine alone, for the MedSIGHT server at ``address``, until interrupted.

    port: 0 takes a free one. ready: called with the page's address, token included, once it can be opened.
    Raises InputError when the port is taken or the server's address or token cannot be used.
    """
    port = _free(port)
    vtk.vtkObject.GlobalWarningDisplayOff()  # VTK's messages hold file names, which belong into no log
    asker = Asker()
    asker.connect(address, token)
    studies = Studies(address, token)
    server = get_server(client_type="vue3")
    server.state.trame__title = "MedSIGHT"
    server.state.trame__favicon = "data:image/svg+xml;base64," + base64.b64encode(_ICON.read_bytes()).decode()
    scene = Scene(server, dress_view)
    session = Session(server.state, scene, studies, asker)
    build_page(server, session)
    secret = secrets.token_urlsafe(24)

    @server.controller.add("on_server_bind")
    def bind(web_server: Any) -> None:
        Guard(secret, port).protect(web_server.app)
        web_server.app.router.add_post("/paraview/", _say_where_the_socket_is)

    @server.controller.add("on_server_ready")
    def tell(**_: Any) -> None:
        session.start(session.connect())
        ready(f"http://{HOST}:{port}/?token={secret}")

    try:
        server.start(
            host=HOST, port=port, timeout=0, open_browser=False, show_connection_info=False, disable_logging=True
        )
    finally:
        asker.close()
        studies.close()


async def _say_where_the_socket_is(request: web.Request) -> web.Response:
    """What trame's page asks a launcher first, which this server has not: it would try for a second before going on."""
    return web.json_response({"sessionURL": f"ws://{request.host}/ws"})


def _free(port: int) -> int:
    """A port that can be listened on; InputError when it is taken."""
    try:
        with socket.create_server((HOST, port)) as listener:
            return int(listener.getsockname()[1])
    except (OSError, OverflowError):
        raise InputError(
            f"Port {port} of {HOST} is taken or not allowed: stop the program that uses it, or choose another with "
            "--port."
        ) from None
