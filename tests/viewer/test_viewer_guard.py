"""Who gets in, over real HTTP: the middleware before an app with a page, a file and a socket."""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from slicer_extension.viewer import guard
from slicer_extension.viewer.guard import Guard

TOKEN = "the-token-of-this-test"


@pytest.fixture
def guarded(monkeypatch):
    """Runs a coroutine with a session and the address of a guarded app."""
    monkeypatch.setattr(guard, "_LEAVING_SECONDS", 0.2)

    async def page(request):
        return web.Response(text="the page")

    async def socket(request):
        answer = web.WebSocketResponse()
        await answer.prepare(request)
        async for message in answer:
            await answer.send_str(message.data)
        return answer

    def run(work):
        async def inside():
            app = web.Application()
            app.add_routes([web.get("/", page), web.get("/index.html", page), web.get("/ws", socket)])
            app.add_routes([web.get("/file.js", page)])
            server = TestServer(app)
            Guard(TOKEN, 1234).protect(app)
            async with server, aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
                return await work(session, str(server.make_url("/")))

        return asyncio.run(inside())

    return run


async def _get(session, address, **options):
    async with session.get(address, **options) as response:
        return response.status, await response.text(), response.headers


def test_address_opens_the_page_and_what_belongs_to_it(guarded):
    async def work(session, root):
        assert (await _get(session, root + "file.js"))[0] == 401
        status, text, headers = await _get(session, f"{root}?token={TOKEN}")
        assert (status, text) == (200, "the page")
        cookie = headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert headers["Referrer-Policy"] == "no-referrer"
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'self';")
        assert "http:" not in policy
        assert (await _get(session, root + "file.js"))[0] == 200
        async with session.ws_connect(root + "ws") as socket:
            await socket.send_str("hello")
            assert (await socket.receive()).data == "hello"

    guarded(work)


@pytest.mark.parametrize("query", ["", "?token=", "?token=wrong", "?token=w%C3%B6rong"])
def test_without_the_token_there_is_a_sentence(guarded, query):
    async def work(session, root):
        status, text, headers = await _get(session, root + query)
        assert status == 401
        assert "Open the whole address that 'medsight view' printed." in text.replace("&#x27;", "'")
        assert "Set-Cookie" not in headers
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(root + "ws")

    guarded(work)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Origin": "http://evil.example"},
        {
            "Host": "[",
        },
    ],
)
def test_other_names_and_other_pages_are_refused(guarded, headers):
    async def work(session, root):
        status, text, _ = await _get(session, f"{root}?token={TOKEN}", headers=headers)
        assert status in (400, 403)
        assert text != "the page"

    guarded(work)


def test_second_window_is_told_and_may_take_over(guarded):
    async def work(session, root):
        address = f"{root}?token={TOKEN}"
        await _get(session, address)
        first = await session.ws_connect(root + "ws")
        status, text, _ = await _get(session, address)
        assert status == 409
        assert "The viewer is open in another window" in text
        assert f"/index.html?token={TOKEN}&amp;take=1" in text
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(root + "ws")
        assert (await _get(session, address + "&take=1"))[:2] == (200, "the page")
        assert (await first.receive()).type in (
            aiohttp.WSMsgType.CLOSED,
            aiohttp.WSMsgType.CLOSE,
            aiohttp.WSMsgType.ERROR,
        )
        async with session.ws_connect(root + "ws") as second:
            await second.send_str("mine")
            assert (await second.receive()).data == "mine"

    guarded(work)


def test_window_that_is_reloaded_is_not_another_one(guarded):
    async def work(session, root):
        await _get(session, f"{root}?token={TOKEN}")
        socket = await session.ws_connect(root + "ws")
        asyncio.get_running_loop().call_later(0.05, lambda: asyncio.ensure_future(socket.close()))
        assert (await _get(session, f"{root}?token={TOKEN}"))[0] == 200
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(socket.receive(), 0.1)

    guarded(work)
