"""Who may call, and with what: the checks that every request passes before any other code sees it.

A pure ASGI middleware, so that a refusal costs no parsing and a body is counted while it arrives, not after. In order:

1. The ``Host`` header names this server. A web page that rebinds its own name to 127.0.0.1 fails here.
2. An ``Origin`` header, which browsers add and Slicer does not, is this server's own. MONAI Label reflects any origin.
3. The bearer token is right (but for the two calls with which MONAI Label's clients fetch it).
4. Path segments and ids in the query are plain identifiers, so none can walk out of the studies folder.
5. The body is within its limit, by declaration and by count.
6. There is memory for a question about what is uploaded.

Which paths exist is not decided here but by the routes of `medsight_core.server.asgi`: nothing else is mounted.
"""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import socket
from typing import Mapping
from urllib.parse import parse_qsl, urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from medsight_core.errors import AuthenticationError, ForbiddenError, InputError, MedSightError, TooLargeError
from medsight_core.protocol import check_id
from medsight_core.server.failures import refusal
from medsight_core.server.login import OPEN_CALLS
from medsight_core.server.memory import Memory
from medsight_core.server.settings import Settings, is_loopback

ID_PARAMETERS = {"image": "image id", "session_id": "session id", "id": "id", "label": "label id", "tag": "label tag"}
UPLOAD_RETRY_SECONDS = 30.0  # a question of usual size has ended by then
MAX_FORM_BYTES = 4 << 20  # a question with its longest history; only uploads (PUT) may be larger


class Guard:
    """ASGI middleware that lets through what the module's list allows and answers the rest itself."""

    def __init__(self, app: ASGIApp, settings: Settings, memory: Memory | None = None) -> None:
        """Wrap ``app``, guarded by the token, address and limits of ``settings``. memory: for uploads, if limited."""
        self.app = app
        self.memory = memory
        self.token = settings.token.encode()
        self.max_upload_bytes = settings.max_upload_bytes
        self.open_to_network = not is_loopback(settings.host)
        self.names = {settings.host.lower()}
        if self.open_to_network:
            self.names |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse or pass on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})  # nothing here speaks websocket
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        limit = self.max_upload_bytes if scope["method"] == "PUT" else MAX_FORM_BYTES
        try:
            self._check_caller(scope, headers)
            _check_identifiers(scope)
            length = _check_declared_length(headers, limit)
            if scope["method"] == "PUT" and self.memory is not None:
                self.memory.admit(length, retry_after=UPLOAD_RETRY_SECONDS)  # its voxels take that much or more
        except MedSightError as error:
            await refusal(error)(scope, receive, send)
            return
        await self._pass_counting(scope, receive, send, limit)

    def _check_caller(self, scope: Scope, headers: Mapping[str, str]) -> None:
        host = headers.get("host", "")
        if not self._is_own(_hostname(host)):
            raise ForbiddenError("The Host header names another machine: use the address that the server printed.")
        origin = headers.get("origin")
        if origin is not None and origin.lower() != f"{scope.get('scheme', 'http')}://{host}".lower():
            raise ForbiddenError("Web pages of another origin may not call this server: use Slicer or the client.")
        if (scope["method"], scope["path"]) in OPEN_CALLS:
            return
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode("latin-1"), self.token):
            raise AuthenticationError(
                "The token is missing or wrong: send the header 'Authorization: Bearer TOKEN' with the token that the "
                "server printed."
            )

    def _is_own(self, hostname: str) -> bool:
        if is_loopback(hostname) or hostname in self.names:
            return True
        # Open to the network, this machine may be known by addresses that it does not know itself. An address cannot
        # be rebound, unlike a name.
        return self.open_to_network and _is_address(hostname)

    async def _pass_counting(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        """Run the app on a body that stops at ``limit`` bytes; beyond it, whatever the app says is replaced by 413."""
        received = 0
        exceeded = started = False

        async def counting() -> Message:
            nonlocal received, exceeded
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                exceeded = True
                raise _BodyTooLargeError
            return message

        async def watching(message: Message) -> None:
            nonlocal started
            if exceeded and not started:
                return
            started = True
            await send(message)

        with contextlib.suppress(_BodyTooLargeError):
            await self.app(scope, counting, watching)
        if exceeded and not started:
            await refusal(_too_large(None, limit))(scope, receive, send)


class _BodyTooLargeError(Exception):
    """Unwinds the app from inside its own reading of the body."""


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_address(hostname: str) -> bool:
    try:
        ipaddress.ip_address(hostname)
    except ValueError:
        return False
    return True


def _check_identifiers(scope: Scope) -> None:
    for segment in filter(None, scope["path"].split("/")):
        check_id(segment, "path")
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    has_session = scope["path"].startswith("/infer/") and any(name == "session_id" and value for name, value in query)
    for name, value in query:
        # MONAI Label's plugin names the volume, blanks and all, beside a session; only the session is used then.
        if name in ID_PARAMETERS and value and not (name == "image" and has_session):
            check_id(value, ID_PARAMETERS[name])


def _check_declared_length(headers: Mapping[str, str], limit: int) -> int:
    declared = headers.get("content-length", "0")
    if not declared.isdecimal():
        raise InputError("The Content-Length header is not a number: send the request again.")
    if int(declared) > limit:
        raise _too_large(int(declared), limit)
    return int(declared)


def _too_large(size: int | None, limit: int) -> TooLargeError:
    found = "more than" if size is None else f"{size / 2**20:.1f} MiB and"
    what = "crop or resample the image, or start the server with a higher upload limit"
    return TooLargeError(f"The request has {found} the {limit / 2**20:.1f} MiB that are allowed: {what}.")
