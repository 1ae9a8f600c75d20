"""Draw the panel in the middle of a worklist, without Slicer, as a PNG for the documentation.

    python tests/slicer/render_worklist.py docs/images/slicer-worklist.png sample_data/demo_model studies/ct-chest.nrrd

Starts a real server of its own on copies of that image, labels one case, takes the next, asks the model about it first,
and corrects one outline. Wiring and texts are the module's; widgets are the stand-ins of harness/, so Slicer itself
looks a little different.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"  # before PySide6 is imported

import numpy as np
import slicer  # before the tests' folder of that name can be found

sys.path.insert(0, str(Path(__file__).parents[1]))  # what tests share

from harness import slicer_app
from panels import TOKEN
from PySide6 import QtCore
from worklists import begin, draw, masks_in, press, segmentation

from medsight_core.server.running import running_server
from medsight_core.server.settings import Settings

MODULE = Path(__file__).parents[2] / "slicer_extension" / "MedSIGHT" / "MedSIGHT.py"
ANSWER_SECONDS = 1800
QUESTION = "Outline both lungs."


def main(output: str, model: str, image: str) -> None:
    """Save the panel to ``output``, after a round with the model in a folder about copies of an image file."""
    with tempfile.TemporaryDirectory() as folder:
        studies = Path(folder) / "studies"
        studies.mkdir()
        for number in range(1, 5):
            shutil.copy(image, studies / f"chest-{number:02d}.nrrd")
        slicer_app.install(Path(folder) / "Slicer.ini")
        module = slicer_app.load_module(MODULE)
        with running_server(Settings(studies, Path(model), port=0, token=TOKEN)) as server:
            slicer.app.userSettings().setValue("MedSIGHT/Address", server.address)
            slicer.app.userSettings().setValue("MedSIGHT/Token", TOKEN)
            widget = slicer_app.make_widget(module, "MedSIGHT")
            widget.parent.show()
            annotate(widget.panel)
            widget.panel.enter()  # back from the Segment Editor
            for height in (1301, 1300):  # a label that wraps anew finds its height with the next one
                widget.parent.resize(460, height)
                QtCore.QCoreApplication.processEvents()
            Path(output).parent.mkdir(parents=True, exist_ok=True)
            saved = widget.parent.grab().save(output)
            widget.cleanup()
            widget.parent.delete()
    if not saved:
        raise SystemExit(f"{output} cannot be written: check the folder.")


def annotate(panel) -> None:
    """One case labelled, the next with the model's outlines, one of them corrected."""
    begin(panel, "Anna")
    panel.worklist.ui.firstQuestionEdit.text = QUESTION
    press(panel, "nextButton")
    heart = np.zeros(panel.volume.GetImageData().GetDimensions(), bool)
    heart[40:60, 40:60, 5:15] = True
    draw(panel, "heart", heart)
    press(panel, "submitButton")
    panel.worklist.ui.askFirstBox.checked = True
    press(panel, "nextButton")
    slicer_app.wait_until(lambda: not panel.background.busy, ANSWER_SECONDS)
    for name, mask in masks_in(segmentation(panel), panel.volume).items():
        draw(panel, name, np.roll(mask, 1, 0))
        break


if __name__ == "__main__":
    main(*sys.argv[1:])
