"""Draw the panel after real questions to a real server, without Slicer, as a PNG for the documentation.

    MEDSIGHT_TOKEN=... python tests/slicer/render_panel.py docs/images/slicer_panel.png http://127.0.0.1:8000 \\
        studies/CTChest4.nrrd "Outline both lungs." "Is there a liver?"

Wiring and texts are the module's; widgets are the stand-ins of harness/, so Slicer itself looks a little different.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"  # before PySide6 is imported

import slicer
from harness import slicer_app

MODULE = Path(__file__).parents[2] / "slicer_extension" / "MedSIGHT" / "MedSIGHT.py"
ANSWER_SECONDS = 600


def main(output: str, address: str, volume: str, *prompts: str) -> None:
    """Ask ``prompts`` about the file ``volume`` and save the panel to ``output``."""
    with tempfile.TemporaryDirectory() as folder:
        slicer_app.install(Path(folder) / "Slicer.ini")
        module = slicer_app.load_module(MODULE)
        slicer.app.userSettings().setValue("MedSIGHT/Address", address)
        slicer.app.userSettings().setValue("MedSIGHT/Token", os.environ.get("MEDSIGHT_TOKEN", ""))
        widget = slicer_app.make_widget(module, "MedSIGHT")
        widget.parent.resize(440, 900)
        widget.parent.show()
        slicer.modules.volumes.logic().AddArchetypeVolume(volume, Path(volume).name.split(".")[0])
        panel = widget.panel
        panel.enter()
        slicer_app.wait_until(lambda: not panel.background.busy)
        for prompt in prompts:
            panel.ui.promptEdit.plainText = prompt
            panel.ui.askButton.click()
            slicer_app.wait_until(lambda: not panel.background.busy, ANSWER_SECONDS)
        Path(output).parent.mkdir(parents=True, exist_ok=True)
        saved = widget.parent.grab().save(output)
        widget.cleanup()
        widget.parent.delete()
    if not saved:
        raise SystemExit(f"{output} cannot be written: check the folder.")


if __name__ == "__main__":
    main(*sys.argv[1:])
