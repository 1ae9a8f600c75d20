"""Take the documentation's pictures of the panel: real questions to a real server, without Slicer.

    make screenshots

Wiring and texts are the module's; widgets are the stand-ins of harness/, so Slicer itself looks a little different.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"  # before PySide6 is imported

import slicer
from harness import slicer_app
from PySide6 import QtCore
from scenes import slice_view

from medsight_core.server.running import running_server
from medsight_core.server.settings import Settings
from sample_data.fetch import fetch

MODULE = Path(__file__).parents[2] / "slicer_extension" / "MedSIGHT" / "MedSIGHT.py"
SAMPLE, NAME = "ct-chest", "CTChest"
WIDTH = 440
ANSWER_SECONDS = 600


def main(folder: Path, studies: Path, model: Path) -> None:
    """Write ``slicer-server.png``, ``-training.png``, ``-panel.png`` and ``-report.png`` into ``folder``."""
    volume = fetch(studies, [SAMPLE])[SAMPLE]
    with ExitStack() as stack:
        server = stack.enter_context(running_server(Settings(studies, model, port=0)))
        settings = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "Slicer.ini"
        slicer_app.install(settings)
        module = slicer_app.load_module(MODULE)
        for orientation, name in (("Axial", "Red"), ("Sagittal", "Yellow"), ("Coronal", "Green")):
            slice_view(orientation, name=name)
        widget = slicer_app.make_widget(module, "MedSIGHT")
        widget.parent.show()
        slicer.modules.volumes.logic().AddArchetypeVolume(str(volume), NAME)
        panel = widget.panel
        take(widget, folder / "slicer-server.png", 860, panel.ui.serverSection)
        panel.ui.addressEdit.text, panel.ui.tokenEdit.text = server.address, server.token
        panel.enter()
        slicer_app.wait_until(lambda: not panel.connection.background.busy, ANSWER_SECONDS)
        training = panel.training.ui.trainingSection
        training.collapsed = False
        slicer_app.wait_until(lambda: not panel.training.background.busy, ANSWER_SECONDS)
        take(widget, folder / "slicer-training.png", 1100, training)
        training.collapsed = True
        ask(panel, "Outline the right lung and the left lung.")
        choose(panel.ui.scopeSelector, "Several axial slices")
        panel.ui.firstSliceBox.value, panel.ui.lastSliceBox.value = 12, 20
        ask(panel, "Is there a spleen on these slices?")
        segmentation = panel.segments.ui.segmentsTable.segmentationNode().GetSegmentation()
        panel.segments.select(segmentation.GetNthSegmentID(0))
        take(widget, folder / "slicer-panel.png", 980)
        panel.ui.reportSection.collapsed = False
        panel.ui.collectButton.click()
        take(widget, folder / "slicer-report.png", 1360)
        widget.cleanup()
        widget.parent.delete()


def ask(panel, prompt: str) -> None:
    """Write it, click, and wait for the answer; SystemExit when there is none."""
    asked = len(panel.asker.conversation(panel.volume).turns)
    panel.ui.promptEdit.plainText = prompt
    panel.ui.askButton.click()
    slicer_app.wait_until(lambda: not panel.background.busy, ANSWER_SECONDS)
    if len(panel.asker.conversation(panel.volume).turns) == asked:
        raise SystemExit(f"The question was not answered: {panel.ui.statusLabel.text}")


def choose(selector, words: str) -> None:
    """The entry of a list with these words."""
    selector.currentIndex = [selector.itemText(n) for n in range(selector.count)].index(words)


def take(widget, path: Path, height: int, part=None) -> None:
    """The panel of this height, or a part of it, as a picture; SystemExit when it cannot be written."""
    for size in (height + 1, height):  # a label that wraps anew finds its height with the next one
        widget.parent.resize(WIDTH, size)
        QtCore.QCoreApplication.processEvents()
    if not (part or widget.parent).grab().save(str(path)):
        raise SystemExit(f"{path} cannot be written: check the folder.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--studies", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    options = parser.parse_args()
    main(options.folder, options.studies, options.model)
