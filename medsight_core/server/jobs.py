"""``/medsight/jobs``: questions that can be followed while they are answered, and cancelled.

``POST`` takes what ``POST /infer/medsight`` takes and replies at once with an id. ``GET .../{id}/events`` streams what
happens (`medsight_core.protocol` lists the events), from the beginning or after ``Last-Event-ID``.
``GET .../{id}/result`` replies as infer would. ``DELETE .../{id}`` stops the question. A job is kept in memory only,
and forgotten once its result was fetched, `KEEP_SECONDS` after it ended, or to make room.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, AsyncIterator

import anyio
from fastapi import APIRouter, Form, Header, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from medsight_core.errors import CancelledError, NotFoundError, ServerUnavailableError
from medsight_core.protocol import PATH_JOBS
from medsight_core.server.infer import accepted, build_response
from medsight_core.server.job import Job, Result
from medsight_core.server.turns import Turns

KEEP_SECONDS = 3600.0
MAX_JOBS = 64  # with their label files, some megabytes each

router = APIRouter(prefix=PATH_JOBS)


class Jobs:
    """All questions of a server, in one line; those that were started as jobs by their id."""

    def __init__(self) -> None:
        """None yet."""
        self._turns = Turns()
        self._thread = anyio.CapacityLimiter(1)
        self._by_id: dict[str, Job] = {}
        self._running: dict[Job, asyncio.Task[None]] = {}  # the event loop keeps no strong reference to a task

    async def answer(self, job: Job) -> Result:
        """Wait for the answer to a question that has no id. Raises what it fails with."""
        await asyncio.shield(self._begin(job))
        result = job.result()
        assert result is not None  # noqa: S101 - it has ended
        return result

    def start(self, job: Job) -> None:
        """Begin, and keep the job for whoever asks for its id.

        Raises ServerUnavailableError when there is no room: `MAX_JOBS` are waiting.
        """
        while len(self._by_id) >= MAX_JOBS:
            ended = next((other for other in self._by_id.values() if other.finished), None)
            if ended is None:
                raise ServerUnavailableError(
                    f"This server has {len(self._by_id)} questions waiting and takes no more: ask again later."
                )
            self.drop(ended)
        self._by_id[job.id] = job
        loop = asyncio.get_running_loop()
        self._begin(job).add_done_callback(lambda _: loop.call_later(KEEP_SECONDS, self.drop, job))

    def get(self, job_id: str) -> Job:
        """The job of this id; NotFoundError when it is none, or no longer."""
        if job_id not in self._by_id:
            raise NotFoundError(
                "There is no such job: its answer was fetched, it ended long ago, or the server was started anew. "
                "Ask the question again."
            )
        return self._by_id[job_id]

    def drop(self, job: Job) -> None:
        """Forget a job."""
        self._by_id.pop(job.id, None)

    def stop(self) -> None:
        """End all questions, as the server ends."""
        for job in self._running:
            job.stop(ServerUnavailableError("The server was stopped before it had the answer: start it and ask again."))

    def _begin(self, job: Job) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(job.run(self._turns, self._thread))
        self._running[job] = task
        task.add_done_callback(lambda _: self._running.pop(job))
        return task


@router.post("", status_code=201)
async def start(
    request: Request, image: str = "", session_id: str = "", params: Annotated[str, Form()] = "{}"
) -> dict[str, Any]:
    """Start a question; parameters and refusals as of ``POST /infer/medsight``. Reply ``{"id"}``."""
    job = Job(await accepted(request.app.state.label_app, image, session_id, params))
    request.app.state.jobs.start(job)
    return {"id": job.id}


@router.get("/{job_id}/events")
async def events(request: Request, job_id: str, last_event_id: Annotated[str, Header()] = "") -> Response:
    """The job's events as they come, and those that were missed after ``Last-Event-ID`` before them."""
    job = request.app.state.jobs.get(job_id)
    seen = int(last_event_id) if last_event_id.isdecimal() and len(last_event_id) < 10 else 0

    async def stream() -> AsyncIterator[str]:
        async for event in job.events(after=seen):
            yield ": still here\n\n" if event is None else event.to_sse()

    # Not even a proxy may keep them to itself.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream(), media_type="text/event-stream", headers=headers)


@router.get("/{job_id}/result")
async def result(request: Request, job_id: str) -> Response:
    """What ``POST /infer/medsight`` would have replied, once; the job is forgotten with it."""
    jobs: Jobs = request.app.state.jobs
    job = jobs.get(job_id)
    answer = job.result()
    if answer is None:
        raise NotFoundError("This job has no answer yet: wait for its event 'done'.")
    response = build_response(answer)
    jobs.drop(job)
    return response


@router.delete("/{job_id}")
async def cancel(request: Request, job_id: str) -> Response:
    """Stop a job that has not ended; its event ``cancelled`` says when it has. Forget one that has."""
    jobs: Jobs = request.app.state.jobs
    job = jobs.get(job_id)
    if job.finished:
        jobs.drop(job)
    else:
        job.stop(CancelledError("The question was cancelled: ask it again if it was a mistake."))
    return JSONResponse({"id": job.id})
