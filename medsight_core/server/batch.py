"""``/batch/infer``, MONAI Label's call for asking the same about many images, so that annotators find an answer there.

MONAI Label does it in a process of its own with a model of its own, and one bad image ends it. Here each image is a
question in the same line as everybody's, so that people are answered in between and one model is in memory. An answer
is kept as the image's label under `TAG_PREANNOTATED`, which nothing learns from. Who asks the same again goes on where
it ended.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, Request

from medsight_core.answer import Answer
from medsight_core.errors import BusyError, CancelledError, InputError, NotFoundError
from medsight_core.files import file_hash
from medsight_core.imaging.segmentation_file import write_segmentation
from medsight_core.imaging.volume import read_volume
from medsight_core.protocol import (
    BATCH_IMAGES,
    EXTENSION_SEGMENTATION,
    ID_PATTERN,
    KEY_PREANNOTATION,
    MODEL,
    PATH_BATCH,
    TAG_PREANNOTATED,
)
from medsight_core.server.failures import foreseen
from medsight_core.server.infer import job_of
from medsight_core.server.job import Job, Result
from medsight_core.server.jobs import Jobs
from medsight_core.server.publishing import image_file
from medsight_core.server.question import question_of

router = APIRouter()

_WHO = "batch"  # takes turns with the people who ask
_LONGEST_WAIT = 5.0  # seconds between two looks whether there is room


@dataclass
class Batch:
    """One batch. answered, skipped, failed: of the ``total`` images those that have had their turn."""

    prompt: str
    images: Sequence[str]
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    status: str = "SUBMITTED"
    answered: int = 0
    skipped: int = 0
    failed: list[dict[str, str]] = field(default_factory=list)
    image: str = ""
    started: str = field(default_factory=lambda: _now())
    ended: str = ""
    began: float = field(default_factory=time.monotonic)

    @property
    def done(self) -> int:
        """How many images have had their turn."""
        return self.answered + self.skipped + len(self.failed)

    def to_json(self) -> dict[str, Any]:
        """MONAI Label's task, and under keys of our own how far it is; eta in seconds, None while nobody knows."""
        asked = self.answered + len(self.failed)
        left = len(self.images) - self.done
        eta = (time.monotonic() - self.began) / asked * left if asked and not self.ended else None
        return {
            "id": self.id, "status": self.status, "start_ts": self.started, "end_ts": self.ended or None,
            "request": {"model": MODEL, "prompt": self.prompt},
            "details": [f"{self.done} / {len(self.images)}"],
            "total": len(self.images), "done": self.done, "answered": self.answered, "skipped": self.skipped,
            "failed": list(self.failed), "image": self.image, "eta": eta,
        }  # fmt: skip


class Batches:
    """The batch of a server that runs, or ran last. Belongs to the event loop's thread."""

    def __init__(self) -> None:
        """None yet."""
        self.last: Batch | None = None
        self._task: asyncio.Task[None] | None = None
        self._job: Job | None = None
        self._stopped = False

    def start(
        self, label_app: Any, jobs: Jobs, question: Mapping[str, Any], images: Sequence[str], anew: bool
    ) -> Batch:
        """Begin. Raises InputError while one runs."""
        if self._task is not None and not self._task.done():
            raise InputError("A batch is running already: wait for it, or stop it with DELETE /batch/infer.")
        self._stopped, self.last = False, Batch(question_of(question)[0].prompt, images)
        self._task = asyncio.get_running_loop().create_task(self._run(self.last, label_app, jobs, dict(question), anew))
        return self.last

    def stop(self) -> Batch:
        """Stop after what is kept by now. NotFoundError when none runs."""
        if self.last is None or self._task is None or self._task.done():
            raise NotFoundError("No batch is running: there is nothing to stop.")
        self._stopped = True
        if self._job is not None:
            self._job.stop(CancelledError("The batch was stopped."))
        return self.last

    async def _run(self, batch: Batch, label_app: Any, jobs: Jobs, question: dict[str, Any], anew: bool) -> None:
        batch.status, text = "RUNNING", json.dumps({**question, "result_extension": EXTENSION_SEGMENTATION})
        for image in batch.images:
            if self._stopped:
                break
            batch.image = image
            try:
                known = not anew and await anyio.to_thread.run_sync(_is_answered, label_app, image, question)
                if known:
                    batch.skipped += 1
                    continue
                self._job = await job_of(label_app, image, "", text, _WHO)
                result = await _answer(jobs, self._job)
                await anyio.to_thread.run_sync(_keep, label_app, image, question, result)
                batch.answered += 1
            except Exception as error:  # one bad image must not keep the others from being asked about
                if self._stopped:
                    break
                batch.failed.append({"image": image, "detail": str(foreseen(error))})
            finally:
                self._job = None
        batch.image, batch.ended = "", _now()
        batch.status = "STOPPED" if self._stopped else "DONE"


@router.post(PATH_BATCH + "/{model}")
async def start(
    request: Request, model: str, images: str = BATCH_IMAGES[0], params: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Ask ``params`` (as of ``POST /infer/medsight``) about images; the batch as JSON, at once.

    images: one of `BATCH_IMAGES`. Images that hold an answer of this version to the same question are skipped unless
    ``params`` has ``anew``. Raises InputError for a question that cannot be asked and while a batch runs.
    """
    if model != MODEL:
        raise NotFoundError(f"There is no such model on this server: POST {PATH_BATCH}/{MODEL}.")
    if images not in BATCH_IMAGES:
        raise InputError(f"images is none that is known: use one of {', '.join(BATCH_IMAGES)}.")
    question = dict(params or {})
    anew = question.pop("anew", False)
    if not isinstance(anew, bool):
        raise InputError(f"anew is {anew!r}: use true or false.")
    if "image" in question:
        raise InputError("The params must not name an image: choose them with images in the address.")
    asked = question_of(question)[0].to_params()
    label_app = request.app.state.label_app
    chosen = await anyio.to_thread.run_sync(_chosen, label_app.datastore(), images)
    batch: Batch = request.app.state.batches.start(label_app, request.app.state.jobs, asked, chosen, anew)
    return batch.to_json()


@router.get(PATH_BATCH)
async def status(request: Request) -> dict[str, Any]:
    """How far the batch is, or how the last one ended; NotFoundError when this server has had none."""
    batch: Batch | None = request.app.state.batches.last
    if batch is None:
        raise NotFoundError(f"There was no batch yet: POST {PATH_BATCH}/{MODEL}.")
    return batch.to_json()


@router.delete(PATH_BATCH)
async def stop(request: Request) -> dict[str, Any]:
    """Stop the batch; what was answered stays."""
    batch: Batch = request.app.state.batches.stop()
    return batch.to_json()


async def _answer(jobs: Jobs, job: Job) -> Result:
    """The answer to one of a batch's questions, which wait until the server has room: nobody waits for them."""
    while True:
        try:
            return await jobs.answer(job)
        except BusyError as error:
            if job.finished:
                raise  # its turn had come already
            await asyncio.sleep(min(max(error.retry_after, 0.5), _LONGEST_WAIT))


def _chosen(datastore: Any, images: str) -> list[str]:
    """The images that are meant, but for those whose ids no call could name."""
    datastore.refresh()  # its watcher can miss a file
    lists = {
        "all": datastore.list_images,
        "labeled": datastore.get_labeled_images,
        "unlabeled": datastore.get_unlabeled_images,
    }
    return sorted(filter(ID_PATTERN.fullmatch, lists[images]()))


def _said(label_app: Any, image: str, question: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked, of which image and by which version: when all of it is the same, so is the answer."""
    content = file_hash(image_file(label_app.datastore(), image))
    return {
        "question": dict(question),
        "image_hash": content,
        "model_version": label_app.describe()["model"]["version"],
    }


def _is_answered(label_app: Any, image: str, question: Mapping[str, Any]) -> bool:
    known = label_app.datastore().get_label_info(image, TAG_PREANNOTATED).get(KEY_PREANNOTATION)
    if not isinstance(known, dict):
        return False
    return all(known.get(key) == value for key, value in _said(label_app, image, question).items())


def _keep(label_app: Any, image: str, question: Mapping[str, Any], result: Result) -> None:
    """Save an answer as the image's label; of one that outlines nothing, a file without segments."""
    datastore, reply = label_app.datastore(), result.reply
    said = {**_said(label_app, image, question), "model_version": reply["model"]["version"], "answered": _now()}
    names = [{"name": region["name"], "idx": region["label"]} for region in reply["regions"]]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "label.nrrd"
        if result.label is None:
            empty = Path(folder) / f"label{EXTENSION_SEGMENTATION}"
            write_segmentation(empty, read_volume(datastore.get_image_uri(image)), Answer(reply["answer"]))
            empty.replace(path)
        else:
            path.write_bytes(result.label)
        info = {"label_info": names, "model": MODEL, "params": reply, KEY_PREANNOTATION: said}
        datastore.save_label(image, str(path), TAG_PREANNOTATED, info)


def _now() -> str:
    return datetime.now().strftime("%Y-%m-%d %H:%M:%S")  # as MONAI Label writes it
