"""`serve`: run a server in this process until it is stopped, and tell the person in front of it how to connect.

Knows sockets and uvicorn; what is served is `medsight_core.server.asgi`. To run one beside other work, in a process of
its own, see `medsight_core.server.running`.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import signal
import socket
import sys
import threading
import time
from dataclasses import replace
from typing import Callable

import uvicorn
from fastapi import FastAPI

from medsight_core import NOTICE
from medsight_core.errors import MedSightError, NotFoundError, ServerError
from medsight_core.protocol import SERVING, TOKEN_ENVIRONMENT
from medsight_core.server.asgi import create_app
from medsight_core.server.failures import log_incident
from medsight_core.server.listening import listen
from medsight_core.server.settings import Settings, is_loopback
from medsight_core.server.training import end_training
from medsight_core.server.workspace import workspace

_GRACE_SECONDS = 10  # for replies under way when the server is told to stop
_ORPHAN_SECONDS = 20.0  # after which a server whose starter is gone ends, whatever it is doing

logger = logging.getLogger(__name__)


def serve(settings: Settings, say: Callable[[str], None] | None = None, stop_with_input: bool = False) -> None:
    """Serve until interrupted (Ctrl+C or SIGTERM). ``say`` gets each line for the person who started it.

    stop_with_input: stop when standard input ends, as it does when the program that holds its other end is gone.

    One of the lines is the token, if it was generated; the default prints. Runs in the main thread only, as it handles
    signals.
    Raises InputError when the address cannot be listened on or the studies cannot be used, ModelError when the model's
    configuration cannot, ServerError when the server does not come up.
    """
    say = say or functools.partial(print, flush=True)  # whoever starts us through a pipe waits for these lines
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # Uvicorn stops gracefully and then lets the signal do what it would have done: here, unwind, so that files go.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if stop_with_input:
        threading.Thread(target=_stop_with_input, name="input", daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt), listen(settings) as listener, workspace() as folder:
        bound = replace(settings, port=listener.getsockname()[1])
        say("Starting the MedSIGHT server ...")
        app = create_app(bound, folder)

        def ready() -> None:
            for line in welcome(bound, show_token=settings.token_generated):
                say(line)
            threading.Thread(target=_warm_up, args=(app.state.label_app,), name="warm-up", daemon=True).start()

        # One worker: MONAI Label keeps sessions and training state per process. No access log: addresses hold ids.
        config = uvicorn.Config(
            app,
            log_config=None,  # its own would switch MONAI Label's silenced loggers on again
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        server = _Server(config, ready, stopping=functools.partial(_stop_work, app))
        try:
            app.state.label_app.start()
            server.run(sockets=[listener])
        finally:
            app.state.label_app.close()
        if not server.started:
            raise ServerError("The server could not start: the lines above say why.")


def welcome(settings: Settings, show_token: bool) -> list[str]:
    """What a person needs to connect, line by line."""
    lines = [
        f"{SERVING} {settings.address}",
        f"Token:           {settings.token if show_token else f'the one you gave (as in {TOKEN_ENVIRONMENT})'}",
        "In 3D Slicer:    module MedSIGHT, enter this address and token, press Connect.",
        f"Studies:         {settings.studies}",
        *([] if settings.bits is None else [f"Language model:  in {settings.bits} bits"]),
        NOTICE,
        "Stop with Ctrl+C.",
    ]
    if not is_loopback(settings.host):
        lines.insert(
            2,
            f"WARNING:         {settings.host} lets other machines in, unencrypted: "
            "put a TLS proxy before it, and guard the token.",
        )
    return lines


class _Server(uvicorn.Server):
    """Uvicorn's server, which calls ``ready`` once it accepts connections and ``stopping`` before it waits for them."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready
        self._stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping()
        await super().shutdown(sockets)


def _stop_with_input() -> None:
    while os.read(sys.stdin.fileno(), 1 << 10):  # not the buffered file, which the interpreter locks at its end
        pass
    signal.raise_signal(signal.SIGTERM)
    time.sleep(_ORPHAN_SECONDS)
    os._exit(1)


def _stop_work(app: FastAPI) -> None:
    """End what would keep a server that is to stop: questions, and a training, which nobody would hear of any more."""
    with contextlib.suppress(NotFoundError):
        app.state.batches.stop()
    app.state.jobs.stop()
    with contextlib.suppress(NotFoundError):
        end_training(app.state.label_app)


def _warm_up(label_app: object) -> None:
    try:
        label_app.warm_up()  # type: ignore[attr-defined]
    except MedSightError as error:
        logger.error("The model cannot be used: %s", error)
    except Exception as error:
        log_incident(error)
