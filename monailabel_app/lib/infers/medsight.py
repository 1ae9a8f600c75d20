"""The MONAI Label task that asks the engine: an image path and params in, a label file and JSON out.

Derived from MONAI Label's plain ``InferTask``; its ``BasicInferTask`` would copy the network and unpickle weights.
Knows nothing of HTTP. The caller removes the label file.
"""

from __future__ import annotations

import os
import tempfile
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from medsight_core.answer import Answer
from medsight_core.engine.cache import PlaneCache
from medsight_core.engine.description import describe
from medsight_core.engine.engine import Engine
from medsight_core.engine.impression import Impression
from medsight_core.engine.served import ServedModel
from medsight_core.errors import ModelError
from medsight_core.imaging.segmentation_file import write_labelmap, write_masks, write_segmentation
from medsight_core.imaging.shelf import VolumeShelf
from medsight_core.imaging.volume import Volume, read_volume
from medsight_core.model.bits import check_bits
from medsight_core.protocol import EXTENSION_SEGMENTATION, PACKED_EXTENSIONS, PLAIN_EXTENSIONS
from medsight_core.server.memory import resident_memory
from medsight_core.server.metrics import Cache
from medsight_core.server.question import DEFAULT_PROMPT, question_of
from medsight_core.soft_masks import write_soft

MODEL_ENVIRONMENT = "MEDSIGHT_MODEL"


class MedSightInfer(InferTask):
    """One engine per process, loaded at the first use and asked by one thread at a time.

    Between two questions it may become another version's (`ServedModel`). While one question is answered nobody else
    loads a version, and only the thread that looks at images may still hold the one before.
    """

    def __init__(self, served: ServedModel) -> None:
        """Read what the model offers from its configuration; load nothing. Raises ModelError when that is unusable."""
        super().__init__(
            type=InferType.SEGMENTATION,
            labels=[],
            dimension=3,
            description="MedSIGHT: answers a question about the volume and outlines what it names.",
            config={"prompt": DEFAULT_PROMPT},  # MONAI Label's Slicer plugin shows this as an editable option
        )
        self._served = served
        self._lock = threading.Lock()
        self._idle = threading.Event()
        self._idle.set()
        self._shelf = VolumeShelf()
        served.config()

    def is_valid(self) -> bool:
        """Always: an unusable model does not get this far."""
        return True

    def engine(self) -> Engine:
        """The engine, loaded by whoever comes first. Raises ModelError when the folder cannot be used."""
        with self._lock:
            return self._served.engine()

    def load(self) -> None:
        """Load the model now. Raises ModelError when the folder cannot be used."""
        self.engine()

    @property
    def loaded(self) -> bool:
        """Whether a question would find the model loaded."""
        return self._served.loaded

    def describe(self) -> dict[str, Any]:
        """What may be asked (`Engine.describe`), and whether the weights are ``loaded``. Never waits for a load."""
        return {**describe(self._served.config(), self._served.bits), "loaded": self.loaded}

    def caches(self) -> Mapping[str, Cache]:
        """What is kept to be quicker the next time, by what it is."""
        return self._caches()

    def forget(self) -> None:
        """Let go of what is kept only to be quicker the next time."""
        for cache in self._caches().values():
            cache.clear()

    def resident(self) -> int:
        """Bytes of memory that this process holds, and those that answer for it."""
        return resident_memory()

    def image_key(self, path: str | Path) -> str:
        """Which image a file is, for `Places`; "" where that makes no difference."""
        return ""

    def start(self) -> None:
        """Start what works beside this process."""

    def close(self) -> None:
        """End what was started beside this process."""

    def _caches(self) -> dict[str, PlaneCache | VolumeShelf]:
        engine = self._served.held
        own = {} if engine is None else {"features": engine.cache, "memories": engine.memories}
        return {"volumes": self._shelf, **own}

    def codes(self) -> dict[str, str]:
        """The model's region code by structure name."""
        return {name: code for code, name in self._served.config().names_of_codes.items()}

    def __call__(self, request: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """Answer the question in ``request`` about the image at ``request["image"]``.

        ``request`` may hold ``progress`` and ``say`` of `Engine.ask`, and ``take_soft``, which gets the file of soft
        masks when the question wants it; only this process can put them there.
        Returns the label file's path (None when nothing was found and a segmentation was asked for; a plain labelmap is
        then all zeros, as stock clients expect a file) and `Answer.to_json` with MONAI Label's ``label_names``.
        Raises the errors of `question_of`, `read_volume` and `Engine.ask`.
        """
        question, extension = question_of(request)
        progress = request.get("progress") or _silent
        progress("encode", 0.0)
        volume = self._shelf.read(request["image"], question.modality)
        progress("encode", 0.0)  # reading takes a while: a place to stop
        with self._lock, self._busy():
            answer = self._served.engine().answer(volume, question, progress, request.get("say"))
        progress("decode", 1.0)
        wanted = bool(answer.regions) or extension in PLAIN_EXTENSIONS
        label_file = _write(volume, answer, extension) if wanted else None
        softs = {region.label: region.soft for region in answer.regions if region.soft is not None}
        if softs and "take_soft" in request:
            request["take_soft"](write_soft(softs))
        return label_file, {**answer.to_json(), "label_names": label_names(answer)}

    def impression(self, image: Path) -> Impression:
        """What an image looks like to the model (`Engine.impression`); halts while a question is being answered.

        Raises the errors of `read_volume`.
        """

        def make_way(phase: str, done: float) -> None:
            self._idle.wait()

        make_way("read", 0.0)
        return self.engine().impression(read_volume(image), progress=make_way)

    @contextmanager
    def _busy(self) -> Iterator[None]:
        self._idle.clear()
        try:
            yield
        finally:
            self._idle.set()


def model_folder(conf: Mapping[str, Any]) -> Path:
    """The model's folder from the app's ``conf``, or else the environment; ModelError when neither names one."""
    model = conf.get("model") or os.environ.get(MODEL_ENVIRONMENT)
    if not model:
        raise ModelError(f"No model folder is named: start with --conf model DIR or set {MODEL_ENVIRONMENT}.")
    return Path(model)


def few_bits(conf: Mapping[str, Any]) -> int | None:
    """The bits of the language model from the app's ``conf``, None for all. Raises what `check_bits` raises."""
    bits: Any = conf.get("bits") or None
    bits = int(bits) if str(bits).isdecimal() else bits
    check_bits(bits, conf.get("device", "cpu"))
    return bits


def label_names(answer: Answer) -> dict[str, int]:
    """Label value by name, from which stock clients name their segments; a repeated name gets its label appended."""
    names: dict[str, int] = {}
    for region in answer.regions:
        name = region.name if region.name not in names else f"{region.name} {region.label}"
        names[name] = region.label
    return names


def _silent(phase: str, done: float) -> None:
    """Progress that nobody asked for."""


_WRITERS: dict[str, Callable[[str, Volume, Answer], None]] = {
    EXTENSION_SEGMENTATION: write_segmentation,
    **{ending: partial(write_masks, codec=codec) for codec, ending in PACKED_EXTENSIONS.items()},
}


def _write(volume: Volume, answer: Answer, extension: str) -> str:
    handle, path = tempfile.mkstemp(suffix=extension, prefix="label")
    os.close(handle)
    try:
        _WRITERS.get(extension, write_labelmap)(path, volume, answer)
    except BaseException:
        os.unlink(path)
        raise
    return path
