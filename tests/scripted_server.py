"""A real HTTP server whose every reply a test scripts: what a broken, slow, foreign or hostile server does."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Callable, Iterator

from medsight_core.client import MedSightClient


@dataclass
class Seen:
    """One request as the server saw it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class ScriptedServer:
    """Replies by "METHOD /path"; a reply is a function that writes to the handler."""

    address: str
    replies: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)

    def on(self, request: str, status: int = 200, body: bytes = b"", **headers: str) -> None:
        def reply(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.end_headers()
            handler.wfile.write(body)

        self.replies[request] = reply

    def on_json(self, request: str, value: object, status: int = 200) -> None:
        self.on(request, status, json.dumps(value).encode(), Content_Type="application/json")

    def on_call(self, request: str, reply: Callable[[BaseHTTPRequestHandler], None]) -> None:
        self.replies[request] = reply

    def client(self, **kwargs: object) -> MedSightClient:
        return MedSightClient(self.address, **kwargs)


@contextmanager
def scripted_server() -> Iterator[ScriptedServer]:
    """Such a server on a free port, which at first only says that it is a MedSIGHT server."""
    scripted = ScriptedServer("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            scripted.seen.append(Seen(self.command, self.path, dict(self.headers), body))
            scripted.replies[f"{self.command} {self.path.split('?')[0]}"](self)

        do_GET = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815 (names of the standard library)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        http.block_on_close = False
        scripted.address = f"http://127.0.0.1:{http.server_address[1]}"
        scripted.on_json("GET /medsight/info", {"protocol": 1})
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield scripted
        http.shutdown()
