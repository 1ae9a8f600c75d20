"""A progress bar on stderr for work that takes longer than a moment, above what is being said meanwhile.

Silent where nobody watches.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator, Protocol

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from medsight_core.cli.failures import errors


class Phase(Protocol):
    """Called with what is going on, and how much of it is done (0..1), or None when that cannot be known."""

    def __call__(self, description: str, fraction: float | None = None) -> None:
        """Show it."""

    def say(self, piece: str) -> None:
        """Add to the text under the bar."""


class _Shown:
    def __init__(self) -> None:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=errors)
        self._text = Text()

    def __rich__(self) -> Group:
        return Group(self._bar.get_renderable(), *([self._text] if self._text else []))

    def __call__(self, description: str, fraction: float | None = None) -> None:
        if not self._bar.tasks or self._bar.tasks[0].description != description:
            for task in self._bar.tasks:
                self._bar.remove_task(task.id)
            self._bar.add_task(description, total=None)
        if fraction is not None:
            self._bar.update(self._bar.tasks[0].id, total=1.0, completed=fraction)

    def say(self, piece: str) -> None:
        self._text.append(piece)


class _Unseen:
    def __call__(self, description: str, fraction: float | None = None) -> None:
        """Nothing: nobody watches."""

    def say(self, piece: str) -> None:
        """Nothing: nobody watches."""


@contextmanager
def progress() -> Iterator[Phase]:
    """A bar that shows the phase last reported and how long it takes; it disappears at the end."""
    if not errors.is_terminal:
        yield _Unseen()
        return
    shown = _Shown()
    with Live(shown, console=errors, transient=True, refresh_per_second=10):
        yield shown
