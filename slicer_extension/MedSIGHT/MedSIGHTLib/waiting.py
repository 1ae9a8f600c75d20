"""A question that is not answered yet: what has been said so far, and which phase takes how long.

Plain data and words; knows neither Slicer, Qt nor HTTP. Times are seconds of a clock that only moves forward.
"""

from __future__ import annotations

from medsight_core.client import Progress, Text
from MedSIGHTLib.translating import _

PREPARE, UPLOAD, RECEIVE = "prepare", "upload", "receive"  # phases on this side; the server's are in the protocol

_WORDS = {
    PREPARE: _("Preparing the volume"),
    UPLOAD: _("Uploading the volume"),
    "queued": _("Waiting in the server's line"),
    "encode": _("Looking at the volume"),
    "generate": _("Writing the answer"),
    "decode": _("Outlining"),
    RECEIVE: _("Receiving the outlines"),
}


class Waiting:
    """From the click to the answer.

    prompt, looked_at: as in `Turn`. text: what the model has said so far. done: 0..1 of the present phase, None when
    nobody can know.
    """

    def __init__(self, prompt: str, looked_at: str, now: float):
        """Asked at ``now``; no server has said anything yet."""
        self.prompt, self.looked_at = prompt, looked_at
        self.text = ""
        self.done: float | None = None
        self._asked = self._since = now
        self._phase = ""
        self._ahead = 0
        self._finished: list[tuple[str, float]] = []

    def hear(self, event: Progress | Text, now: float) -> None:
        """Something happened."""
        if isinstance(event, Text):
            self.text += event.text
            return
        if event.phase != self._phase:
            if self._phase:
                self._finished.append((self._phase, now - self._since))
            self._phase, self._since = event.phase, now - event.elapsed
        self.done, self._ahead = event.done, event.ahead

    def sentence(self, now: float) -> str:
        """Which phase it is in, how far, and for how long: "Outlining, 40 % · 3 s (12 s in all)"."""
        words = _WORDS.get(self._phase, _("Waiting for the server"))
        if self._ahead:
            words += (
                _(", 1 question before this one")
                if self._ahead == 1
                else _(", {count} questions before this one").format(count=self._ahead)
            )
        elif self.done is not None:
            words += f", {self.done:.0%}".replace("%", " %")
        took, total = max(now - self._since, 0.0), max(now - self._asked, 0.0)
        return f"{words} · {took:.0f} s" + (
            _(" ({total} s in all)").format(total=f"{total:.0f}") if total - took >= 1 else ""
        )

    def took(self, now: float) -> str:
        """After the end, what took how long: "Answered in 14.2 s: uploading 2.1 s, outlining 3.0 s"."""
        phases = [*self._finished, (self._phase, now - self._since)] if self._phase else []
        parts = [f"{_WORDS.get(phase, phase).lower()} {seconds:.1f} s" for phase, seconds in phases if seconds >= 0.1]
        return _("Answered in {seconds} s").format(seconds=f"{now - self._asked:.1f}") + (
            f": {', '.join(parts)}." if parts else "."
        )
