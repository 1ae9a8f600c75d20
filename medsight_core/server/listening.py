"""`listen`: the socket of a server, taken before anything slow is imported."""

from __future__ import annotations

import errno
import socket

from medsight_core.errors import InputError
from medsight_core.server.settings import Settings


def listen(settings: Settings) -> socket.socket:
    """A listening socket, taken before anything slow so that a taken port is reported at once; InputError otherwise."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InputError(
                f"Port {settings.port} of {settings.host} is taken: "
                "stop the program that uses it, or choose another port."
            ) from None
        raise InputError(
            f"Cannot listen on {settings.host} port {settings.port} ({error.strerror}): "
            "use 127.0.0.1, or another port, 1024 or higher."
        ) from None
