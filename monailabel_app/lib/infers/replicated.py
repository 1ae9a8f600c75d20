"""The MONAI Label task with several processes behind it, each a `MedSightInfer` of its own.

Paths and words travel to them; volumes, caches and models stay there, and label files come back by their path. The same
image goes to the same process (`Places`). Each reads which version is served at each question, as one alone does.
"""

from __future__ import annotations

import functools
import os
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from medsight_core.engine.impression import Impression
from medsight_core.engine.registry import Registry
from medsight_core.engine.served import ServedModel
from medsight_core.errors import MedSightError, ServerError
from medsight_core.files import file_hash
from medsight_core.server import absent
from medsight_core.server.memory import resident_memory
from medsight_core.server.metrics import Cache
from medsight_core.server.places import Places
from medsight_core.server.replicas import EndedError, Replicas, StoppedError, share_of_threads

absent.install()  # before anything of MONAI Label

from monailabel_app.lib.infers.medsight import MedSightInfer  # noqa: E402

Tell = Callable[..., None]

_KNOWN_FILES = 1024  # of which the content is remembered


@dataclass(frozen=True)
class Held:
    """What a cache in another process was like when it was last told."""

    hits: int = 0
    misses: int = 0
    nbytes: int = 0


@dataclass(frozen=True)
class State:
    """What a replica holds: the version that is loaded ("" for none), caches by name, bytes of memory."""

    version: str
    caches: Mapping[str, Held]
    resident: int


class Replica:
    """A `MedSightInfer` in a process of its own, and what it is told to do; every call tells its `State`."""

    def __init__(self, registry: Registry, device: str, bits: int | None, threads: int, scratch: str) -> None:
        """device, bits: as of `ServedModel`. threads: of the processor. scratch: folder for files on their way out."""
        torch.set_num_threads(threads)
        tempfile.tempdir = scratch
        self._served = ServedModel(registry, device, bits)
        self._infer = MedSightInfer(self._served)

    def answer(
        self, request: dict[str, Any], tell: Tell
    ) -> tuple[tuple[str | None, dict[str, Any]], bytes | None, State]:
        """The label file's path and the answer, the file of soft masks if there is one; tells progress and words."""
        soft: list[bytes] = []
        heard = {"progress": functools.partial(tell, "progress"), "say": functools.partial(tell, "say")}
        answered = self._infer({**request, **heard, "take_soft": soft.append})
        return answered, soft[0] if soft else None, self._state()

    def impression(self, image: Path, tell: Tell) -> Impression:
        """`MedSightInfer.impression`."""
        return self._infer.impression(image)

    def load(self, tell: Tell) -> State:
        """Load the model."""
        self._infer.load()
        return self._state()

    def forget(self, tell: Tell) -> State:
        """Empty the caches."""
        self._infer.forget()
        return self._state()

    def _state(self) -> State:
        caches = {name: Held(each.hits, each.misses, each.nbytes) for name, each in self._infer.caches().items()}
        return State(self._served.version, caches, resident_memory())


class ReplicatedInfer(MedSightInfer):
    """The task whose questions are answered by as many processes as there are places.

    They are started by `start`, `load` or the first question; when one has died, it loads its model at once.
    """

    def __init__(self, served: ServedModel, places: Places) -> None:
        """Start nothing. Raises ModelError when the configuration is unusable."""
        super().__init__(served)
        self._places = places
        self._states: list[State | None] = [None] * places.count
        self._keys: dict[tuple[Any, ...], str] = {}
        threads = share_of_threads(places.count)
        make = functools.partial(Replica, served.registry, served.device, served.bits, threads, tempfile.gettempdir())
        self._replicas = Replicas(places.count, make)

    def __call__(self, request: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """As of `MedSightInfer`; by the replica of ``request["place"]``. Raises EndedError when that dies meanwhile."""
        hear = {name: request[name] for name in ("progress", "say") if name in request}

        def told(kind: str, *what: Any) -> None:
            if kind in hear:
                hear[kind](*what)

        place = request.get("place", 0)
        plain = {name: value for name, value in request.items() if not callable(value)}
        try:
            answered, soft, state = self._replicas.call(place, "answer", plain, hear=told)
        except EndedError:
            self._begin_again(place)
            raise
        self._states[place] = state
        if soft is not None and "take_soft" in request:
            request["take_soft"](soft)
        return answered

    def impression(self, image: Path) -> Impression:
        """As of `MedSightInfer`; by the replica that has the image, if one has."""
        place = self._places.known(self.image_key(image)) or 0
        try:
            impression: Impression = self._replicas.call(place, "impression", image)
        except StoppedError:
            raise SystemExit from None  # of the thread that looks
        except ServerError as error:
            self._begin_again(place)
            raise RuntimeError("A replica died while it looked at an image.") from error  # perhaps of the image
        return impression

    def load(self) -> None:
        """Start all replicas and load their models."""
        with ThreadPoolExecutor(self._places.count) as threads:
            list(threads.map(self._load, range(self._places.count)))

    @property
    def loaded(self) -> bool:
        """Whether every replica has the version loaded that is served."""
        served = self._served.registry.current()
        return all(state is not None and state.version == served for state in self._states)

    def caches(self) -> Mapping[str, Cache]:
        """What all replicas together keep, as they told last."""
        told = [state.caches for state in self._states if state is not None]
        names = dict.fromkeys(name for caches in told for name in caches)
        each = {name: [caches.get(name, Held()) for caches in told] for name in names}
        return {
            name: Held(sum(one.hits for one in all_), sum(one.misses for one in all_), sum(one.nbytes for one in all_))
            for name, all_ in each.items()
        }

    def forget(self) -> None:
        """Empty the caches of all replicas; takes a moment."""
        for place, state in enumerate(self._states):
            if state is not None:
                with suppress(ServerError):
                    self._states[place] = self._replicas.call(place, "forget")

    def resident(self) -> int:
        """Bytes of memory that this process and its replicas hold, the latter as they told last."""
        return resident_memory() + sum(state.resident for state in self._states if state is not None)

    def image_key(self, path: str | Path) -> str:
        """What is in a file; read once, and again when it has changed."""
        if not os.path.isfile(path):
            return str(path)
        stat = os.stat(path)
        known = (str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        if known not in self._keys:
            if len(self._keys) >= _KNOWN_FILES:
                self._keys.clear()
            self._keys[known] = file_hash(Path(path))
        return self._keys[known]

    def start(self) -> None:
        """Start all replicas, without their models. Raises ServerError when Ray does not start."""
        self._replicas.start()

    def close(self) -> None:
        """End all replicas."""
        self._replicas.stop()

    def _load(self, place: int) -> None:
        self._states[place] = self._replicas.call(place, "load")

    def _begin_again(self, place: int) -> None:
        self._states[place] = None

        def load() -> None:
            with suppress(MedSightError):  # whoever asks next is told
                self._load(place)

        threading.Thread(target=load, name="load", daemon=True).start()
