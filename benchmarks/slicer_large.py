"""What a large volume costs in the Slicer module: putting an answer in, and how long the event loop stands still.

    python -m benchmarks.slicer_large

On Slicer's real MRML library, with the panel on stand-ins for its widgets (tests/slicer/harness) and a scripted HTTP
server in the same process. Costs are processor time of the thread of the scene, so that other work on the machine does
not count. How long the loop stood still is the clock's time, less that for which Linux kept this process's threads
waiting for a core: on a machine with nothing else to do that is next to none.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import numpy as np

from benchmarks.provenance import commit

ROOT = Path(__file__).parents[1]
SHAPE = (512, 512, 300)
SEGMENTS = 10
TICK_MILLISECONDS = 5


@dataclass(frozen=True)
class Figures:
    """Seconds. mrml_import: the same labels, read by Slicer's own import. longest_stop: of the event loop, while the
    volume was hashed and sent and the outlines were received and read; by_the_clock: with what other processes took.
    asked: from the click to the answer.
    """

    mrml_import: float
    first_answer: float
    same_answer_again: float
    after_an_edit: float
    undo: float
    longest_stop: float
    by_the_clock: float
    asked: float


def measure(panel: Any, server: Any, shape: tuple[int, int, int] = SHAPE) -> Figures:
    """Ask three times about a volume of ``shape`` voxels (I, J, K); the scene is emptied before.

    panel: the module's, before ``server``, a scripted one (tests/slicer).
    """
    import slicer
    from harness.slicer_app import wait_until
    from panels import answers

    slicer.mrmlScene.Clear(0)
    masks = [_ball(shape, number) for number in range(SEGMENTS)]
    answers(server, _reply(masks))
    voxels = np.random.default_rng(0).integers(-1000, 1000, shape[::-1], dtype=np.int16)
    volume = slicer.util.addVolumeFromArray(voxels, np.diag([-1.0, -1.0, 1.0, 1.0]), "Large")
    imported = _import(masks, volume)
    del masks

    costs: list[float] = []
    finish = panel.asker.finish
    stops = Stops()

    def timed(*arguments: Any) -> Any:
        stops.end()  # what follows is no network and no codec
        begun = time.thread_time()
        try:
            return finish(*arguments)
        finally:
            costs.append(time.thread_time() - begun)

    panel.asker.finish = timed
    try:
        begun = time.monotonic()
        for number in range(3):
            if number == 2:
                _edit(volume)
            panel.ui.promptEdit.plainText = "Outline everything."
            stops.begin()
            panel.ui.askButton.click()
            wait_until(lambda: not panel.background.busy, 600)
            assert len(costs) == number + 1, panel.ui.statusLabel.text
            if number == 0:
                asked = time.monotonic() - begun
    finally:
        panel.asker.finish = finish
    undo = _costs(panel.ui.undoButton.click)
    return Figures(imported, *costs, undo, stops.longest, stops.by_the_clock, asked)


def report(figures: Figures, shape: tuple[int, int, int] = SHAPE) -> str:
    """The figures as Markdown."""
    size = " x ".join(map(str, shape))
    rows = [
        ("Slicer's own import of the labels", figures.mrml_import),
        ("an answer put in", figures.first_answer),
        ("the same answer again, in place", figures.same_answer_again),
        ("again after an edit, both kept", figures.after_an_edit),
        ("undo", figures.undo),
    ]
    return "\n".join(
        [
            f"{size} voxels, {SEGMENTS} segments, one run; {commit()}.",
            "",
            "| on the event loop | processor time, s |",
            "|---|---|",
            *(f"| {words} | {seconds:.2f} |" for words, seconds in rows),
            "",
            f"While hashing, sending and reading the loop stood still for {1000 * figures.longest_stop:.0f} ms at most "
            f"({1000 * figures.by_the_clock:.0f} ms by the clock); from the click to the answer {figures.asked:.1f} s.",
        ]
    )


class Stops:
    """The longest time between two ticks of a timer in the event loop, from `begin` to `end`."""

    def __init__(self) -> None:
        import qt

        self.longest = self.by_the_clock = 0.0
        self._last, self._waited = 0.0, _waited()
        self._timer = qt.QTimer()
        self._timer.setInterval(TICK_MILLISECONDS)
        self._timer.connect("timeout()", self._tick)

    def begin(self) -> None:
        self._last, self._waited = time.monotonic(), _waited()
        self._timer.start()

    def end(self) -> None:
        self._tick()
        self._timer.stop()

    def _tick(self) -> None:
        now, waited = time.monotonic(), _waited()
        stop = now - self._last
        self.by_the_clock = max(self.by_the_clock, stop)
        self.longest = max(self.longest, stop - sum(waited[t] - self._waited.get(t, 0.0) for t in waited))
        self._last, self._waited = now, waited


def _waited() -> dict[str, float]:
    """Seconds that each of this process's threads has waited for a core; nothing where the system does not say."""
    waited = {}
    for statistics in Path("/proc/self/task").glob("*/schedstat"):
        with suppress(OSError):  # a thread that has just ended
            waited[statistics.parent.name] = int(statistics.read_text().split()[1]) / 1e9
    return waited


def _costs(work: Callable[[], Any]) -> float:
    begun = time.thread_time()
    work()
    return time.thread_time() - begun


def _ball(shape: tuple[int, int, int], number: int) -> np.ndarray:
    """One of ten balls along a spiral, bool (I, J, K); neighbours overlap, so that there is more than one layer."""
    angle = 0.8 * number
    centre = 0.5 + 0.28 * np.array([np.cos(angle), np.sin(angle), (number - SEGMENTS / 2) / SEGMENTS * 2])
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    return sum(((a / n - c) / 0.13) ** 2 for a, n, c in zip(axes, shape, centre)) < 1


def _reply(masks: list[np.ndarray]) -> Any:
    from replies import reply_of

    return reply_of([f"structure {n}" for n in range(len(masks))], masks, np.eye(4))


def _import(masks: list[np.ndarray], volume: Any) -> float:
    """What it costs Slicer to make segments of a label volume that it has."""
    import slicer

    labels = np.zeros(masks[0].shape[::-1], np.uint8)
    for value, mask in enumerate(masks, 1):
        labels[mask.T] = value
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    slicer.util.updateVolumeFromArray(node, labels)
    node.CopyOrientation(volume)
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    logic = slicer.modules.segmentations.logic()
    seconds = _costs(lambda: logic.ImportLabelmapToSegmentationNode(node, segmentation))
    assert segmentation.GetSegmentation().GetNumberOfSegments() == len(masks)
    slicer.mrmlScene.RemoveNode(node)
    slicer.mrmlScene.RemoveNode(segmentation)
    return seconds


def _edit(volume: Any) -> None:
    """A person takes away a part of one segment."""
    import slicer
    from MedSIGHTLib.segments import segmentation_of

    node = segmentation_of(volume)
    segment_id = node.GetSegmentation().GetNthSegmentID(0)
    array = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment_id, volume)
    array[: array.shape[0] // 2] = 0
    slicer.util.updateSegmentBinaryLabelmapFromArray(array, node, segment_id, volume)


def main() -> None:
    """Measure and print."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"  # before PySide6 is imported
    import slicer  # before the tests' folder of that name can be found

    sys.path[:0] = [str(ROOT / "tests" / "slicer"), str(ROOT / "tests")]
    from harness import slicer_app
    from panels import TOKEN, script
    from scripted_server import scripted_server

    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        server = stack.enter_context(scripted_server())
        script(server)
        slicer_app.install(Path(folder) / "Slicer.ini")
        slicer.app.userSettings().setValue("MedSIGHT/Address", server.address)
        slicer.app.userSettings().setValue("MedSIGHT/Token", TOKEN)
        module = slicer_app.load_module(ROOT / "slicer_extension" / "MedSIGHT" / "MedSIGHT.py")
        widget = slicer_app.make_widget(module, "MedSIGHT")
        widget.parent.show()
        print(report(measure(widget.panel, server)))
        widget.cleanup()
        widget.parent.delete()


if __name__ == "__main__":
    main()
