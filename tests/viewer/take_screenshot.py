"""Take the documentation's picture of the page, after a real question to the model that ships with MedSIGHT.

python tests/viewer/take_screenshot.py docs/images/viewer.png --studies studies --model sample_data/demo_model
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from browser import browser, chromium
from viewing import SLICES, answered, ask, open_study, picture, viewing

_SETTLE_SECONDS = 3.0  # when nothing moves any more, pictures come again in full quality


def main() -> None:
    """Ask for both lungs in the chest CT, go to one, ask for something absent, and save what the window shows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--studies", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    options = parser.parse_args()
    if chromium() is None:
        raise SystemExit("There is no Chromium to take the picture with: apt-get install chromium.")
    with viewing("--studies", options.studies, "--model", options.model) as running, browser() as chrome:
        page = chrome.page(1600, 940)
        open_study(page, running, "ct-chest")
        ask(page, "Outline the right lung and the left lung.")
        answered(page)
        ask(page, "Is there a spleen?")
        answered(page)
        page.click(".thread p a", "left lung")
        page.wait(lambda: "left lung" in page.text(".segments li.chosen"))
        page.mouse("mouseMoved", 5, 5)
        before = None
        while before is None or any((now != then).any() for now, then in zip(_pictures(page), before)):
            before = _pictures(page)
            time.sleep(_SETTLE_SECONDS)
        options.output.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(options.output)


def _pictures(page) -> list:
    return [picture(page, view) for view in (*SLICES, "ThreeD")]


if __name__ == "__main__":
    main()
