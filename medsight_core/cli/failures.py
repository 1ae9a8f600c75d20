"""What goes wrong in a command: one sentence on stderr and an exit code, never a traceback unless it is asked for.

0 success, 2 a request that cannot be answered as it stands, 3 the server failed, 1 anything else, 130 stopped by Ctrl+C
(`medsight_core.errors` gives each error its code).
"""

from __future__ import annotations

import functools
import signal
import threading
from contextlib import contextmanager
from typing import Callable, Iterator, ParamSpec, TypeVar

import typer
from rich.console import Console

from medsight_core.errors import CancelledError, MedSightError

INTERRUPTED = CancelledError.exit_code  # what a shell reports for a process that SIGINT ended

errors = Console(stderr=True, highlight=False)
debug = False  # set by ``medsight --debug``

P = ParamSpec("P")
R = TypeVar("R")


def guarded(command: Callable[P, R]) -> Callable[P, R]:
    """The command, with whatever it raises told as one sentence and turned into an exit code."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt:
            errors.print("Stopped.")
            raise typer.Exit(INTERRUPTED) from None
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise  # typer's own
        except MedSightError as error:
            if debug:
                errors.print_exception()
            say(str(error))
            raise typer.Exit(error.exit_code) from None
        except Exception as error:
            if debug:
                errors.print_exception()
                raise typer.Exit(1) from None
            what = " ".join(f"{type(error).__name__}: {error}".split())
            say(f"Something unforeseen went wrong ({what}): run 'medsight --debug ...' again to see where.")
            raise typer.Exit(1) from None

    return run


@contextmanager
def ctrl_c() -> Iterator[threading.Event]:
    """An event that the first Ctrl+C in the block sets, for what can end in good order; the second interrupts."""
    pressed = threading.Event()
    # Only the main thread handles signals; and a shell's background job must go on ignoring them.
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield pressed
        return

    def first(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        pressed.set()

    before = signal.signal(signal.SIGINT, first)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


def say(sentence: str) -> None:
    """One red sentence on stderr."""
    errors.print(sentence, style="red", markup=False, soft_wrap=True)
