"""A headless Chromium, driven by its DevTools protocol: what a person does with a page, and what it then shows."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator

import aiohttp

SECONDS = 300.0  # a limit for starved machines; nothing here takes ten
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-extensions", "--no-first-run", "--mute-audio", "--remote-debugging-port=0",
    "--force-color-profile=srgb", "--disable-dev-shm-usage",
)  # fmt: skip


def chromium() -> str | None:
    """Where one is, if there is one."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Page:
    """One tab. ``requests``: the addresses that it has asked for; ``problems``: what its console called an error."""

    def __init__(self, loop: asyncio.AbstractEventLoop, socket: aiohttp.ClientWebSocketResponse):
        self._loop, self._socket, self._number = loop, socket, 0
        self.requests: list[str] = []
        self.problems: list[str] = []
        self.downloads: list[str] = []
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """One command of the protocol, and what comes back."""
        return self._loop.run_until_complete(self._call(method, arguments))

    async def _call(self, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": arguments})
        while True:
            message = json.loads((await asyncio.wait_for(self._socket.receive(), SECONDS)).data)
            self._hear(message)
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]

    def _hear(self, message: dict[str, Any]) -> None:
        kind, told = message.get("method"), message.get("params", {})
        if kind == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif kind == "Network.webSocketCreated":
            self.requests.append(told["url"])
        elif kind == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(told["exceptionDetails"])[:500])
        elif kind == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.problems.append(told["entry"]["text"])
        elif kind == "Page.downloadWillBegin":
            self.downloads.append(told["suggestedFilename"])

    def open(self, address: str) -> None:
        self.call("Page.navigate", url=address)

    def eval(self, script: str) -> Any:
        """The value of an expression in the page."""
        outcome = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in outcome, f"{script}: {outcome['exceptionDetails']}"
        return outcome["result"].get("value")

    def wait(self, condition: str | Callable[[], Any], seconds: float = SECONDS) -> Any:
        """Until an expression in the page, or a function here, is true; its value."""
        deadline = time.monotonic() + seconds
        while True:
            value = self.eval(condition) if isinstance(condition, str) else condition()
            if value:
                return value
            assert time.monotonic() < deadline, f"not within {seconds:g} s: {condition}"
            time.sleep(0.05)

    def text(self, selector: str) -> str:
        """What can be read in the first element; empty when there is none."""
        return self.eval(f"document.querySelector({json.dumps(selector)})?.innerText || ''")

    def click(self, selector: str, words: str = "") -> None:
        """Press the mouse on the first element, or on the first with these words, once it is there."""
        find = (
            f"[...document.querySelectorAll({json.dumps(selector)})]"
            f".find(e => e.innerText.includes({json.dumps(words)}) && e.getClientRects().length && !e.disabled)"
        )
        self.wait(f"!!{find}")
        x, y = self.eval(
            f"(e => {{ e.scrollIntoView({{block: 'nearest'}}); const r = e.getClientRects()[0]; "
            f"return [r.x + r.width / 2, r.y + r.height / 2] }})({find})"
        )
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, button="left", clickCount=1)
        self.mouse("mouseReleased", x, y, button="left", clickCount=1)

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def type(self, text: str) -> None:
        """Write where the cursor is."""
        self.call("Input.insertText", text=text)

    def key(self, key: str, code: int, **more: Any) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **more)

    def screenshot(self, path: Path | None = None, selector: str = "") -> bytes:
        """A PNG of the page, or of one element."""
        clip: dict[str, Any] = {}
        if selector:
            box = self.eval(
                f"(r => ({{x: r.x, y: r.y, width: r.width, height: r.height, scale: 1}}))"
                f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
            )
            clip = {"clip": box}
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png", **clip)["data"])
        if path is not None:
            path.write_bytes(data)
        return data


class Browser:
    """A running Chromium that opens pages."""

    def __init__(self, loop: asyncio.AbstractEventLoop, session: aiohttp.ClientSession, port: int):
        self._loop, self._session, self._port = loop, session, port

    def page(self, width: int = 1600, height: int = 940) -> Page:
        """A new tab of this size."""

        async def connect() -> aiohttp.ClientWebSocketResponse:
            async with self._session.put(f"http://127.0.0.1:{self._port}/json/new?about:blank") as response:
                address = (await response.json(content_type=None))["webSocketDebuggerUrl"]
            return await self._session.ws_connect(address, max_msg_size=0)

        page = Page(self._loop, self._loop.run_until_complete(connect()))
        page.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        return page


@contextmanager
def browser(downloads: Path | None = None) -> Iterator[Browser]:
    """A Chromium of one's own, for as long as the block lasts; ``downloads``: where its files go."""
    loop = asyncio.new_event_loop()
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [str(chromium()), *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": profile},
            start_new_session=True,
        )
        try:
            told, deadline = Path(profile) / "DevToolsActivePort", time.monotonic() + SECONDS
            while not (told.exists() and len(told.read_text().splitlines()) > 1):
                assert process.poll() is None, "Chromium has ended"
                assert time.monotonic() < deadline, "Chromium does not start"
                time.sleep(0.1)
            port = int(told.read_text().splitlines()[0])
            session = loop.run_until_complete(_session())
            running = Browser(loop, session, port)
            if downloads is not None:
                page = running.page()
                page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
            yield running
            loop.run_until_complete(session.close())
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
            loop.close()


async def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession()
