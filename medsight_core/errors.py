"""What can go wrong, as types that every layer shares.

Each error carries one sentence for the person who meets it: the offending value and what to do about it. Doors
translate the type, never the sentence: ``http_status`` for the server, ``exit_code`` for the command line.
This module knows nothing of volumes, models or HTTP libraries.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable


class MedSightError(Exception):
    """Base of all errors that a user may meet; ``str(error)`` is one sentence that says what to do."""

    http_status = 500
    exit_code = 1


class InputError(MedSightError):
    """A request that cannot be answered as it stands (a bad prompt, plane, option or address)."""

    http_status = 400
    exit_code = 2


class VolumeError(InputError):
    """An image that cannot be read or used: missing, damaged, not three-dimensional, NaN voxels."""

    http_status = 422


class NotFoundError(InputError):
    """Something named in a request does not exist here (an image id, a session, a model)."""

    http_status = 404


class TooLargeError(InputError):
    """An upload, image or prompt above the configured limit."""

    http_status = 413


class AuthenticationError(InputError):
    """No token, or a wrong one."""

    http_status = 401


class ForbiddenError(InputError):
    """A request that this server refuses from anybody (a foreign origin, a path outside the studies)."""

    http_status = 403


class CancelledError(MedSightError):
    """A question that somebody stopped before it was answered."""

    http_status = 409
    exit_code = 130


class ModelError(MedSightError):
    """A model folder that is missing, incomplete, or does not fit this version."""

    http_status = 503


class ServerError(MedSightError):
    """The server failed, answered nonsense, or stopped while a question was on its way."""

    http_status = 502
    exit_code = 3


class ServerUnavailableError(ServerError):
    """Nobody answers at the server's address, or not in time."""

    http_status = 503


class BusyError(ServerUnavailableError):
    """A server that takes no more now, for want of room or memory. ``retry_after``: seconds after which it may.

    The text ends with how long to wait, unless the time is not known (0).
    """

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        self.retry_after = max(0.0, retry_after)
        wait = math.ceil(self.retry_after)
        again = f" Ask again in {wait} second{'s' * (wait != 1)}."
        super().__init__(message + again * (wait > 0 and not message.endswith(again)))


BY_STATUS: dict[int, type[MedSightError]] = {
    kind.http_status: kind
    for kind in (
        InputError,
        VolumeError,
        NotFoundError,
        TooLargeError,
        AuthenticationError,
        ForbiddenError,
        CancelledError,
    )
}


def from_status(status: int, message: str, retry_after: float | None = None) -> MedSightError:
    """The error that a server's reply of this HTTP status stands for (`ServerError` for any other status).

    retry_after: seconds after which the server says that it may be asked again, where it says so.
    """
    if status == BusyError.http_status and retry_after is not None:
        return BusyError(message, retry_after)
    return BY_STATUS.get(status, ServerError)(message)


def run_program(program: Callable[[], None]) -> int:
    """The exit code of a program of its own: 0, or that of an error, whose sentence goes to stderr."""
    try:
        program()
    except MedSightError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0
