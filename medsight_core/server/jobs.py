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

from medsight_core.errors import BusyError, CancelledError, NotFoundError, ServerUnavailableError
from medsight_core.protocol import PATH_JOBS
from medsight_core.server.infer import accepted, build_response
from medsight_core.server.job import Job, Result
from medsight_core.server.memory import Memory, needed
from medsight_core.server.metrics import Metrics
from medsight_core.server.places import Places
from medsight_core.server.turns import Turns

KEEP_SECONDS = 3600.0
MAX_JOBS = 64  # with their label files, some megabytes each
MAX_WAITING = 16  # questions of one client, so that no one takes all the room

router = APIRouter(prefix=PATH_JOBS)


class Jobs:
    """All questions of a server, in a line for each place that answers; those started as jobs by their id."""

    def __init__(
        self, memory: Memory | None = None, metrics: Metrics | None = None, places: Places | None = None
    ) -> None:
        """None yet. memory: what questions must fit into; anything goes without it. places: one when left out."""
        self.metrics = metrics or Metrics()
        self._memory = memory
        self._places = places or Places()
        self._lines = [Turns() for _ in range(self._places.count)]
        self._threads = anyio.CapacityLimiter(self._places.count)
        self._by_id: dict[str, Job] = {}
        self._running: dict[Job, asyncio.Task[None]] = {}  # the event loop keeps no strong reference to a task

    @property
    def waiting(self) -> int:
        """How many questions wait for their turn."""
        return len(self._running) - self.working

    @property
    def working(self) -> int:
        """How many questions are being answered: one a place at most."""
        return sum(job.working for job in self._running)

    def check_room(self, who: str = "", voxel_bytes: int = 0, place: int | None = None) -> None:
        """Raise BusyError when a question of ``who`` about an image of ``voxel_bytes`` cannot be taken now.

        place: where it would be answered; any when left out. TooLargeError when it never can.
        """
        own = sum(job.who == who for job in self._running)
        wait = self.metrics.pace()
        if own >= MAX_WAITING:
            raise BusyError(f"You have {own} questions waiting here, and more are not taken.", wait)
        if len(self._running) >= MAX_JOBS:
            raise BusyError(f"This server has {len(self._running)} questions waiting and takes no more.", wait)
        if self._memory is not None:
            there = [job for job in self._running if job.working and place in (None, job.place)]
            returning = sum(needed(job.voxel_bytes) for job in there)
            self._memory.admit(voxel_bytes, returning, wait)

    async def answer(self, job: Job) -> Result:
        """Wait for the answer to a question that has no id. Raises what it fails with, and as `check_room`."""
        self._admit(job)
        await asyncio.shield(self._begin(job))
        result = job.result()
        assert result is not None  # noqa: S101 - it has ended
        return result

    def start(self, job: Job) -> None:
        """Begin, and keep the job for whoever asks for its id. Raises as `check_room`."""
        self._admit(job)
        while len(self._by_id) >= MAX_JOBS:  # fewer than these are waiting
            ended = [other for other in self._by_id.values() if other.finished]
            self.drop(min(ended, key=lambda other: other.who != job.who))  # one's own before those of others
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

    def _admit(self, job: Job) -> None:
        job.place = self._places.of(job.image, [self._line(place) for place in range(self._places.count)])
        with self.metrics.refusals():
            self.check_room(job.who, job.voxel_bytes, job.place)

    def _line(self, place: int) -> int:
        """How many questions a place has, with the one that it answers."""
        return sum(job.place == place for job in self._running)

    def _begin(self, job: Job) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(job.run(self._lines[job.place], self._threads, self._make_room))
        self._running[job] = task

        def ended(_: asyncio.Task[None]) -> None:
            del self._running[job]
            self.metrics.count(job)

        task.add_done_callback(ended)
        return task

    def _make_room(self, job: Job) -> None:
        """For the thread that is about to answer: what was asked for in good time may find memory taken by now."""
        if self._memory is not None:  # questions beside it may still take all that they need
            beside = sum(needed(other.voxel_bytes) for other in list(self._running) if other.began_before(job))
            self._memory.claim(job.voxel_bytes, self.metrics.pace(), beside)


@router.post("", status_code=201)
async def start(
    request: Request, image: str = "", session_id: str = "", params: Annotated[str, Form()] = "{}"
) -> dict[str, Any]:
    """Start a question; parameters and refusals as of ``POST /infer/medsight``. Reply ``{"id"}``."""
    jobs: Jobs = request.app.state.jobs
    job = await accepted(request, image, session_id, params)
    jobs.start(job)
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
