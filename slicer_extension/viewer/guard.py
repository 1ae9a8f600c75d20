"""Who may open the page: whoever has its address with the token in it, from this machine, one window at a time.

A middleware before everything that the page's server sends. It also tells the browser that the page may load and reach
nothing but this server. Knows HTTP; nothing of what is served.
"""

from __future__ import annotations

import asyncio
import hmac
import html
from typing import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

_OWN_NAMES = ("127.0.0.1", "localhost", "::1")
_DOORS = ("/", "/index.html")
_SOCKET = "/ws"
_LEAVING_SECONDS = 2.0  # a window that is reloaded closes its connection about when it asks for the page again

_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# The page's framework makes its templates into code, which needs 'unsafe-eval'; nothing comes from elsewhere.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self' ws://{host}; object-src 'none'; base-uri 'self'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>MedSIGHT</title><style>
body {{ align-items: center; background: #0d1117; color: #e6eaf0; display: flex; font: 16px/1.6 system-ui, sans-serif;
  height: 100vh; justify-content: center; margin: 0; }}
main {{ max-width: 32rem; padding: 2rem; }} h1 {{ font-size: 1.25rem; margin: 0 0 .5rem; }}
a {{ color: #7ab7ff; }} p {{ color: #a9b4c2; margin: 0 0 1rem; }}
</style></head><body><main><h1>{title}</h1><p>{text}</p>{more}</main></body></html>"""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Guard:
    """The middleware of one page."""

    def __init__(self, token: str, port: int):
        """token: that the address holds."""
        self._token = token
        self._cookie = f"medsight-view-{port}"  # a browser keeps one set of cookies for all ports of a machine
        self._window: web.Request | None = None

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse, or pass on."""
        if not self._is_own(request):
            return _say(403, "Not from here", "This page may be opened from this machine only, by its own address.")
        opening = request.path in _DOORS and self._is_token(request.query.get("token", ""))
        if not opening and not self._is_token(request.cookies.get(self._cookie, "")):
            return _say(401, "The address is incomplete", "Open the whole address that 'medsight view' printed.")
        if request.path == _SOCKET:
            return await self._serve_window(request, handler)
        if request.path in _DOORS and not await self._is_free(take="take" in request.query):
            address = html.escape(f"/index.html?token={request.query.get('token', '')}&take=1")
            return _say(
                409,
                "The viewer is open in another window",
                "It has one scene, which is shown in one window at a time. Close the other window and load this page "
                "again, or go on here: the conversation and the segments stay.",
                f"<a href='{address}'>Use it in this window</a>",
            )
        response = await handler(request)
        if opening:
            response.set_cookie(self._cookie, self._token, httponly=True, samesite="Strict")
        return response

    def protect(self, app: web.Application) -> None:
        """Stand before everything that ``app`` serves."""
        app.middlewares.insert(0, self.check)
        app.on_response_prepare.append(_add_headers)

    async def _serve_window(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._window is not None:
            return _say(409, "The viewer is open in another window", "Load the page again.")
        self._window = request
        try:
            return await handler(request)
        finally:
            self._window = None

    async def _is_free(self, take: bool) -> bool:
        """Whether no window has the page, or not any longer after a moment; ``take`` closes the one that has."""
        if take and self._window is not None and self._window.transport is not None:
            self._window.transport.close()
        for _ in range(20):
            if self._window is None:
                return True
            await asyncio.sleep(_LEAVING_SECONDS / 20)
        return False

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), self._token.encode())

    def _is_own(self, request: web.Request) -> bool:
        """The Host header names this machine, and an Origin header this page: no other page may use it."""
        try:
            name = urlsplit(f"//{request.host}").hostname or ""
        except ValueError:
            return False
        origin = request.headers.get("Origin")
        return name in _OWN_NAMES and (origin is None or origin == f"http://{request.host}")


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update({**_HEADERS, "Content-Security-Policy": _POLICY.format(host=request.host)})


def _say(status: int, title: str, text: str, more: str = "") -> web.Response:
    page = _PAGE.format(title=html.escape(title), text=html.escape(text), more=more)
    return web.Response(status=status, text=page, content_type="text/html")
