"""``/train/`` as MONAI Label's clients call it, and ``/medsight/training``, which tells how far a training is.

MONAI Label accepts two trainings at once and forgets to stop one that it has just accepted; here one runs at a time for
a studies folder, whoever started it. Knows nothing of how anything is learned.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import anyio.to_thread
import psutil
from fastapi import APIRouter, Request

from medsight_core.errors import InputError, NotFoundError
from medsight_core.protocol import PATH_TRAIN, PATH_TRAINING, TRAINING_STARTING
from medsight_core.training.state import TrainingState

_APPEAR_SECONDS = 5.0  # until MONAI Label has started the process of a training that it accepted

router = APIRouter()
_one_at_a_time = threading.Lock()


@router.post(PATH_TRAIN + "{model}")
async def start(request: Request, model: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
    """Start a training in a process of its own; MONAI Label's task as JSON.

    Of ``params`` the options of what trains under that name count, in `monailabel_app.lib.trainers`. Raises
    NotFoundError for another name, a version or prepared data that are not there, InputError while a training runs, and
    when there is nothing to learn from.
    """
    label_app = request.app.state.label_app

    def begin() -> dict[str, Any]:
        from monailabel.utils.async_tasks.task import AsyncTask

        with _one_at_a_time:
            if running(label_app) and not _ends(label_app):
                raise InputError("A training is running already: wait for it, or stop it.")
            trainer = label_app.trainer(model)
            options = trainer.options(params or {})
            cases, notices = trainer.cases(label_app.datastore(), options)
            trainer.file.write(TrainingState(TRAINING_STARTING, cases=len(cases), notices=tuple(notices)))
            return _plain(AsyncTask.run("train", request={"model": model, **options})[0])

    return await anyio.to_thread.run_sync(begin)


@router.delete(PATH_TRAIN)
async def stop(request: Request) -> dict[str, Any]:
    """End the training that this server started; MONAI Label's task as JSON. NotFoundError when none runs."""
    return await anyio.to_thread.run_sync(end_training, request.app.state.label_app)


@router.get(PATH_TRAINING)
async def state(request: Request) -> dict[str, Any]:
    """How far the training is, or how the last one ended: a `TrainingState`."""
    label_app = request.app.state.label_app

    def read() -> dict[str, Any]:
        told: TrainingState = label_app.trainer().file.read(running(label_app))
        return told.to_json()

    return await anyio.to_thread.run_sync(read)


def running(label_app: Any) -> bool:
    """Whether a training runs, or is about to; also one of another process on the same studies."""
    return bool(_active()) or bool(label_app.registry().at_work())


def _ends(label_app: Any) -> bool:
    """Whether a training has ended of which MONAI Label's task does not know yet; knows within seconds."""
    deadline = time.monotonic() + _APPEAR_SECONDS
    while running(label_app) and not label_app.registry().at_work() and time.monotonic() < deadline:
        time.sleep(0.05)
    return not running(label_app)


def end_training(label_app: Any) -> dict[str, Any]:
    """Kill this server's training, and remove what it leaves. Raises NotFoundError when there is none."""
    with _one_at_a_time:
        deadline = time.monotonic() + _APPEAR_SECONDS
        while (stopped := _kill()) is None:
            if not _active() or time.monotonic() > deadline:
                raise NotFoundError("No training of this server is running: there is nothing to stop.")
            time.sleep(0.05)
        file = label_app.trainer().file
        _wait_until_gone(label_app)
        file.write(file.read(running=False))
        label_app.registry().clean_up()
        return _plain(stopped)


def _kill() -> dict[str, Any] | None:
    """MONAI Label's task of the process that was killed; None when there is none yet, or no longer."""
    from monailabel.utils.async_tasks.task import AsyncTask

    try:
        stopped: dict[str, Any] | None = AsyncTask.stop("train")
        return stopped
    except psutil.NoSuchProcess:  # it ended by itself at this moment
        return None


def _active() -> list[dict[str, Any]]:
    from monailabel.utils.async_tasks.utils import tasks

    return [task for task in tasks("train") if task["status"] in ("SUBMITTED", "RUNNING")]


def _plain(task: dict[str, Any]) -> dict[str, Any]:
    """A copy of what another thread goes on writing to."""
    return {**task, "details": list(task.get("details", ()))}


def _wait_until_gone(label_app: Any) -> None:
    deadline = time.monotonic() + _APPEAR_SECONDS
    while label_app.registry().at_work() and time.monotonic() < deadline:
        time.sleep(0.05)
