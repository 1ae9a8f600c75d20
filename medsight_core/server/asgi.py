"""The server's outermost app: the guard around our endpoints and the kept part of MONAI Label.

Two rules hold it together. What is not added here does not exist: MONAI Label's app is not mounted whole, because it
writes files where it is told, lets any web page in and serves its logs. And nothing slow runs on the event loop: the
model works in a thread or in processes of its own (`medsight_core.server.jobs`), so ``/medsight/info`` answers in
milliseconds throughout.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request

from medsight_core import NOTICE, __version__
from medsight_core.packing import has_blosc2
from medsight_core.protocol import (
    CAPABILITY_BLOSC2,
    CAPABILITY_JOBS,
    CAPABILITY_PACKED,
    CAPABILITY_SOFT,
    CAPABILITY_TRAINING,
    CAPABILITY_UNCHANGED,
    MAX_HISTORY_TURNS,
    MAX_PROMPT_CHARACTERS,
    MAX_VOXELS,
    PATH_INFO,
    PROTOCOL_VERSION,
)
from medsight_core.server import (
    batch,
    corrections,
    failures,
    infer,
    jobs,
    login,
    models,
    reviews,
    sampling,
    status,
    stock,
    training,
    uploads,
    volumes,
)
from medsight_core.server.guard import Guard
from medsight_core.server.memory import Memory
from medsight_core.server.replicas import check_room
from medsight_core.server.settings import Settings


def create_app(settings: Settings, workspace: Path) -> FastAPI:
    """The ASGI app of a server with these settings; one per process, as MONAI Label keeps its state globally.

    workspace: folder for uploads, see `medsight_core.server.workspace`; it must outlive the app.

    Takes seconds, most of it imports. Raises InputError when MONAI Label cannot use the studies folder or there is no
    room for so many replicas, ModelError when the model's configuration cannot be used.
    """
    if settings.replicas > 1:
        check_room(settings.replicas, settings.model, settings.reserve_bytes)
    stock.configure(settings)
    app = FastAPI(title="MedSIGHT", version=__version__, openapi_url=None)
    label_app = app.state.label_app = stock.start_app(workspace)
    memory = Memory(settings.reserve_bytes, label_app.kept_bytes, label_app.forget)
    app.state.jobs = jobs.Jobs(memory, places=label_app.places)
    app.state.batches = batch.Batches()
    app.state.volumes = volumes.KeptVolumes(workspace / "volumes", admit=memory.admit)
    failures.add_handlers(app)
    app.state.token = settings.token
    app.include_router(login.router)
    app.include_router(infer.router)
    app.include_router(jobs.router)
    app.include_router(batch.router)
    app.include_router(sampling.router)
    app.include_router(corrections.router)
    app.include_router(reviews.router)
    app.include_router(training.router)
    app.include_router(models.router)
    app.include_router(uploads.router)
    app.include_router(volumes.router)
    app.include_router(status.router)

    @app.get(PATH_INFO)
    async def info(request: Request) -> dict[str, Any]:
        """Who this server is and what may be asked, without touching the model's weights."""
        return {
            "protocol": PROTOCOL_VERSION,
            "version": __version__,
            "notice": NOTICE,
            "capabilities": [
                CAPABILITY_JOBS,
                CAPABILITY_SOFT,
                CAPABILITY_TRAINING,
                CAPABILITY_UNCHANGED,
                CAPABILITY_PACKED,
                *([CAPABILITY_BLOSC2] if has_blosc2() else []),
            ],
            "limits": {
                "upload_bytes": settings.max_upload_bytes,
                "voxels": MAX_VOXELS,
                "prompt_characters": MAX_PROMPT_CHARACTERS,
                "history_turns": MAX_HISTORY_TURNS,
            },
            **request.app.state.label_app.describe(),
        }

    stock.add_kept_calls(app)
    app.add_middleware(Guard, settings=settings, memory=memory)
    app.add_middleware(failures.Incidents)  # the outermost
    return app
