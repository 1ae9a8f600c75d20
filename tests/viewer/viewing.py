"""`medsight view` as a process of its own, and looks at the pictures that its page shows."""

from __future__ import annotations

import colorsys
import io
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

import numpy as np
from browser import SECONDS, Page
from PIL import Image

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "sample_data" / "demo_model"
SLICES = ("Red", "Green", "Yellow")  # axial, coronal, sagittal
VIEWS = (*SLICES, "ThreeD")


@dataclass
class Viewing:
    """The command's process, and the page's address."""

    process: subprocess.Popen[str]
    address: str

    def stop(self) -> int:
        """Ctrl+C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(SECONDS)


@contextmanager
def viewing(*options: object, **environment: str) -> Iterator[Viewing]:
    """``medsight view`` with these options, from when its page can be opened until the block ends."""
    command = [sys.executable, "-m", "medsight_core", "view", "--no-browser", "--port", "0", *map(str, options)]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=lambda: [lines.put(line) for line in process.stdout] + [lines.put("")], daemon=True).start()
    try:
        said, address = [], None
        while address is None:
            said.append(lines.get(timeout=SECONDS))
            assert said[-1], "".join(said)
            address = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", said[-1])
        yield Viewing(process, address[0])
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def open_study(page: Page, viewing: Viewing, study: str) -> None:
    """Open the page, choose a study, and wait until every slice view shows it."""
    page.open(viewing.address)
    page.click(".study", study)
    page.wait(lambda: page.text(".study.chosen") == study)
    for view in SLICES:
        page.wait(lambda view=view: picture(page, view).std() > 10)


def picture(page: Page, view: str) -> np.ndarray:
    """What a view shows, without what lies over it: (rows, columns, 3), 0..255."""
    page.eval("document.querySelectorAll('.over').forEach(e => { e.style.visibility = 'hidden' })")
    data = page.screenshot(selector=f".view-{view} .remote-controlled-area")
    page.eval("document.querySelectorAll('.over').forEach(e => { e.style.visibility = '' })")
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def colors(page: Page) -> dict[str, tuple[int, int, int]]:
    """The colours of the segments in the list, by name."""
    rows = page.eval(
        "[...document.querySelectorAll('.segments li')].map(e => [e.querySelector('.name span span').innerText, "
        "getComputedStyle(e.querySelector('.dot')).backgroundColor])"
    )
    return {name.strip(): tuple(map(int, re.findall(r"\d+", color)[:3])) for name, color in rows}


def colored(pixels: np.ndarray, color: tuple[int, int, int]) -> int:
    """How many pixels have the hue of a colour, and enough of it: a pale segment has none."""
    hue = np.asarray(Image.fromarray(pixels.astype(np.uint8)).convert("HSV")).astype(int)[..., 0]
    wanted = round(255 * colorsys.rgb_to_hsv(*(channel / 255 for channel in color))[0])
    apart = np.abs((hue - wanted + 128) % 256 - 128)
    chroma = pixels.max(axis=-1) - pixels.min(axis=-1)
    return int(((apart <= 8) & (chroma > 40)).sum())


def ask(page: Page, prompt: str) -> None:
    """Write a question and press Enter."""
    page.wait("!document.querySelector('.prompt').disabled")
    page.click(".prompt")
    page.type(prompt)
    page.key("Enter", 13)
    page.wait(lambda: prompt in page.text(".thread"))


def answered(page: Page) -> str:
    """The thread, once nothing is awaited any more."""
    page.wait("!document.querySelector('.bar')")
    return page.text(".thread")


def seconds_until(page: Page, condition: str) -> float:
    """How long that took."""
    began = time.monotonic()
    page.wait(condition)
    return time.monotonic() - began
