"""Several copies of one worker, each in a process of its own that is started again when it dies, on Ray.

Plain actors of Ray, not Ray Serve: Serve would put a router, a queue, a controller and an HTTP proxy of its own beside
those of the server, which already lets everybody take turns, cancels, and refuses what does not fit into memory; which
copy is asked must be decided by the image; and Serve asks for some twenty packages more than Ray itself, telemetry
among them. What is taken from Ray is what would be hard to get right: processes that live and die with this one, are
started again, and stream what they tell.

Ray runs whatever it is told to, so it listens on the loopback address alone, wants a token that only its own processes
have, and keeps its files in a folder that only this user may enter. It reports to nobody.
Knows nothing of questions, models or HTTP.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import queue
import secrets
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from medsight_core.errors import (
    BusyError,
    CancelledError,
    InputError,
    MedSightError,
    ServerError,
    ServerUnavailableError,
)
from medsight_core.server.failures import ElsewhereError, trace_of
from medsight_core.server.memory import free_memory

MOST = 64
PROCESS_BYTES = 700 << 20  # a worker without its model: torch, MONAI and what they keep; Ray's own share of it
_RETURN_SECONDS = 120.0  # a worker that is gone is back in seconds, on a starved machine in minutes
_AGAIN_SECONDS = 0.2
_LAST_WORDS_SECONDS = 5.0
_THREADS = 16  # calls of one worker at the same time: a question, looking at images, small ones
_STORE_BYTES = 128 << 20  # shared memory for results; what is larger goes to files
_LONGEST_FOLDER = 40  # characters: Ray's sockets lie 65 deeper, and the system wants fewer than 108
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on any system: one machine, so that it binds to loopback addresses
    "RAY_AUTH_MODE": "token",
    "RAY_memory_monitor_refresh_ms": "0",  # who is refused for want of memory is decided here; Ray would kill
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # workers see the GPUs that this process sees
    "RAY_ENABLE_AUTO_CONNECT": "0",  # a call after the end must not start a Ray of its own, with none of this set
}
_TOKEN = secrets.token_hex(32)

Hear = Callable[..., None]


class EndedError(BusyError):
    """The process that was at work ended before it had a result."""


class StoppedError(ServerUnavailableError):
    """Asked of processes that were ended on purpose."""

    def __init__(self) -> None:
        super().__init__("The server was stopped before it had the answer: start it and ask again.")


class Replicas:
    """``count`` workers. Nothing is started before the first call, which takes Ray some ten seconds.

    make: makes a worker in its process, at its first call; it and what it holds are pickled. A method of a worker that
    is called gets ``tell`` behind its other arguments: what it passes to it, the caller hears, and `CancelledError` is
    raised there when the caller no longer wants the result.
    """

    def __init__(self, count: int, make: Callable[[], Any]) -> None:
        self.count = count
        self._make = make
        self._lock = threading.Lock()
        self._stopped = False
        self._ray: Any = None
        self._actors: list[Any] = []
        self._folder: Path | None = None

    def call(self, place: int, method: str, *arguments: Any, hear: Hear | None = None) -> Any:
        """What a method of worker ``place`` returns. hear: hears what it tells; what that raises ends the call.

        A worker that is just being started again is waited for. Raises what the method raises (`ElsewhereError` for
        what nobody foresaw), EndedError when the process dies meanwhile, ServerError when it does not come back,
        StoppedError after `stop`.
        """
        ray, actor = self._started(place)
        deadline = time.monotonic() + _RETURN_SECONDS
        while True:
            try:
                return _follow(ray, actor, method, arguments, hear)
            except Exception as error:
                if self._stopped:
                    raise StoppedError from None
                if not isinstance(error, _NotBegunError):
                    raise
                if time.monotonic() > deadline:
                    raise ServerError(
                        "The process that should answer is gone and does not come back: start the server anew."
                    ) from None
                time.sleep(_AGAIN_SECONDS)

    def start(self) -> None:
        """Start the processes, which a first `call` does otherwise. Raises ServerError when Ray does not start.

        Call it in the main thread where signals matter: Ray takes SIGTERM for itself, and dies of it untidily.
        """
        self._started(0)

    def stop(self) -> None:
        """End all processes, for good. Calls under way fail."""
        self._stopped = True
        with self._lock:
            if self._ray is not None:
                self._ray.shutdown()
                self._ray, self._actors = None, []
            if self._folder is not None:
                _remove(self._folder)
                self._folder = None

    def _started(self, place: int) -> tuple[Any, Any]:
        with self._lock:
            if self._stopped:
                raise StoppedError
            if self._ray is None:
                self._start()
            return self._ray, self._actors[place]

    def _start(self) -> None:
        check_count(self.count)
        os.environ.update(_ENVIRONMENT, RAY_AUTH_TOKEN=_TOKEN)
        import ray  # not before: it reads the environment once

        self._folder, sigterm = _private_folder(), signal.getsignal(signal.SIGTERM)
        try:
            ray.init(
                address="local",
                num_cpus=self.count,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                object_store_memory=_STORE_BYTES,
                _node_ip_address="127.0.0.1",
                _temp_dir=str(self._folder / "ray"),
            )
            kind: Any = ray.remote(_Actor)
            kind = kind.options(num_cpus=1, max_restarts=-1, max_concurrency=_THREADS)
            self._actors = [kind.remote(self._make) for _ in range(self.count)]
        except Exception as error:  # whatever it meets: a full disk, a machine too slow for its patience
            ray.shutdown()
            _remove(self._folder)
            raise ServerError(
                f"Ray, which runs the replicas, did not start ({type(error).__name__}): it gives up after 30 seconds, "
                "which are too few for a very busy machine; start again, or without --replicas."
            ) from error
        self._ray = ray
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.default_int_handler if sigterm == signal.SIG_DFL else sigterm)


def check_count(count: int) -> None:
    """Raise InputError for so many replicas as there cannot be, and when Ray, which runs several, is not installed."""
    if not 1 <= count <= MOST:
        raise InputError(f"{count} replicas are not offered: use 1 to {MOST}.")
    if count > 1 and not has_ray():
        raise InputError(f"{count} replicas need Ray, which is not installed: pip install 'medsight[scale]'.")


def has_ray() -> bool:
    """Whether Ray is installed. It is not imported: it reads its environment when it is."""
    return importlib.util.find_spec("ray") is not None


def check_room(count: int, model: Path, reserve: int, free: int | None = None) -> None:
    """Raise InputError when so many copies of a model would not leave ``reserve`` bytes of ``free``, as of now."""
    stored = sum(file.stat().st_size for file in model.glob("*.safetensors"))
    need = count * (2 * stored + PROCESS_BYTES)  # a CPU computes in twice as many bytes as are stored
    free = free_memory() if free is None else free
    if need + reserve > free:
        raise InputError(
            f"{count} replicas take some {need / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free, of which "
            f"{reserve / 1e9:.1f} GB are kept in reserve: use fewer."
        )


def share_of_threads(count: int) -> int:
    """How many threads of torch each of so many processes should use."""
    import torch

    return max(1, torch.get_num_threads() // count)


class _NotBegunError(Exception):
    """A worker that was not there."""


def _follow(ray: Any, actor: Any, method: str, arguments: tuple[Any, ...], hear: Hear | None) -> Any:
    call, begun, stop = secrets.token_hex(8), False, None
    kind: str = ""
    what: Any = None
    try:
        for reference in actor.run.options(num_returns="streaming").remote(call, method, arguments):
            kind, what = ray.get(reference)
            begun = True
            if kind == "told" and hear is not None and stop is None:
                try:
                    hear(*what)
                except BaseException as error:
                    stop = error  # the worker must have stopped before anybody else's turn begins
                    actor.stop.remote(call)
    except ray.exceptions.RayError as error:
        if stop is None and not begun:
            raise _NotBegunError from error
        if stop is None:
            raise EndedError(
                "The process that was answering ended before it had the answer, perhaps for want of memory; another "
                "takes its place.",
                1.0,
            ) from None
    if stop is not None:
        raise stop
    if kind == "failed":
        raise what
    return what


class _Actor:
    """A worker and its calls, in its process."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._worker: Any = None
        self._running: set[str] = set()
        self._threads = ThreadPoolExecutor(_THREADS)  # lasting ones, which keep the threads that torch makes for each

    def run(self, call: str, method: str, arguments: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
        """What is told, and the end: ("told", what)..., then ("done", result) or ("failed", error)."""
        news: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

        def tell(*what: Any) -> None:
            if call not in self._running:
                raise CancelledError("Whoever asked does not want the answer any more.")
            news.put(("told", what))

        def work() -> None:
            try:
                news.put(("done", getattr(self._made(), method)(*arguments, tell)))
            except MedSightError as error:
                news.put(("failed", error))
            except BaseException as error:
                news.put(("failed", ElsewhereError(trace_of(error))))

        self._running.add(call)
        try:
            yield "begun", None
            self._threads.submit(work)
            last = ""
            while last not in ("done", "failed"):
                last, what = news.get()
                yield last, what
        finally:
            self._running.discard(call)

    def stop(self, call: str) -> None:
        """Let what ``call`` does end the next time that it tells something."""
        self._running.discard(call)

    def _made(self) -> Any:
        with self._lock:
            if self._worker is None:
                self._worker = self._make()
            return self._worker


def _private_folder() -> Path:
    """A new folder with a path short enough for sockets, in that of temporary files if its own is."""
    place = tempfile.gettempdir()
    if len(place) > _LONGEST_FOLDER - len("/ray-12345678"):
        place = "/tmp"  # noqa: S108 - the folder itself is this user's alone
    return Path(tempfile.mkdtemp(prefix="ray-", dir=place))


def _remove(folder: Path) -> None:
    """Remove a folder in which processes that are about to end may still write."""
    deadline = time.monotonic() + _LAST_WORDS_SECONDS
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            time.sleep(_AGAIN_SECONDS)


@contextlib.contextmanager
def running(count: int, make: Callable[[], Any]) -> Iterator[Replicas]:
    """Workers for the block. Raises ServerError when Ray does not start."""
    replicas = Replicas(count, make)
    try:
        replicas.start()
        yield replicas
    finally:
        replicas.stop()
