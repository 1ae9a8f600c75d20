"""A progress bar on stderr for work that takes longer than a moment; silent where nobody watches."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator, Protocol

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from medsight_core.cli.failures import errors


class Phase(Protocol):
    """Called with what is going on, and how much of it is done (0..1), or None when that cannot be known."""

    def __call__(self, description: str, fraction: float | None = None) -> None:
        """Show it."""


@contextmanager
def progress() -> Iterator[Phase]:
    """A bar that shows the phase last reported; it disappears at the end."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:

        def phase(description: str, fraction: float | None = None) -> None:
            if not bar.tasks or bar.tasks[0].description != description:
                for task in bar.tasks:
                    bar.remove_task(task.id)
                bar.add_task(description, total=None)
            if fraction is not None:
                bar.update(bar.tasks[0].id, total=1.0, completed=fraction)

        yield phase
