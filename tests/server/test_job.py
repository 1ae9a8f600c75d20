"""One question and the line it stands in, without a server: what is told, in which order, and how it ends."""

from __future__ import annotations

import asyncio
import threading
import time

import anyio
import pytest

from medsight_core.errors import BusyError, CancelledError, InputError, MedSightError, ServerUnavailableError
from medsight_core.protocol import PHASES
from medsight_core.server import job as job_module
from medsight_core.server import jobs as jobs_module
from medsight_core.server.job import Job, Result
from medsight_core.server.jobs import Jobs
from medsight_core.server.memory import Memory
from medsight_core.server.places import Places


def run(main, *arguments):
    """A coroutine function on a new event loop."""
    return anyio.run(main, *arguments)


async def told(job: Job, after: int = 0) -> list:
    return [event async for event in job.events(after) if event is not None]


def speaking(*words: str):
    def work(progress, say) -> Result:
        progress("encode", 0.0)
        for word in words:
            progress("generate", 0.5)
            say(word)
        return Result({"answer": "".join(words)}, "x.nrrd", b"label")

    return work


def until_stopped(begun: threading.Event | None = None):
    def work(progress, say) -> Result:
        if begun is not None:
            begun.set()
        while True:
            progress("generate", 0.1)
            time.sleep(0.01)

    return work


def failing(error: Exception):
    def work(progress, say) -> Result:
        raise error

    return work


def test_what_happens_is_told_in_order_and_numbered():
    async def main():
        jobs, job = Jobs(), Job(speaking("The ", "liver."))
        jobs.start(job)
        return await told(job)

    events = run(main)
    assert [event.number for event in events] == [1, 2, 3, 4, 5]
    assert [event.kind for event in events] == ["progress", "progress", "text", "text", "done"]
    assert events[0].data["phase"] == "encode"
    assert set(events[0].data) == {"phase", "done", "elapsed", "total"}
    assert [event.data["text"] for event in events[2:4]] == ["The ", "liver."]
    assert events[4].data["reply"] == {"answer": "The liver."}
    assert all(event.data["phase"] in PHASES for event in events if event.kind == "progress")


def test_an_event_is_written_as_its_standard_says():
    assert job_module.Event(7, "text", {"text": "a\nü"}).to_sse() == (
        'id: 7\nevent: text\ndata: {"text": "a\\n\\u00fc"}\n\n'
    )


def test_who_comes_late_hears_what_was_missed_and_only_that():
    async def main():
        jobs, job = Jobs(), Job(speaking("a", "b"))
        jobs.start(job)
        everything = await told(job)
        return everything, await told(job), await told(job, after=3), await told(job, after=5), await told(job, 99)

    everything, again, rest, nothing, other = run(main)
    assert again == everything == other, "a number that was never told is another server's"
    assert rest == everything[3:]
    assert nothing == []


def test_without_news_there_is_a_sign_of_life(monkeypatch):
    monkeypatch.setattr(job_module, "BEAT_SECONDS", 0.02)

    async def main():
        jobs, job = Jobs(), Job(until_stopped())
        jobs.start(job)
        async for event in job.events():
            if event is None:
                job.stop(CancelledError("Enough."))
                break
        return (await told(job))[-1].kind

    monkeypatch.setattr(job_module, "PROGRESS_SECONDS", 60.0)
    assert run(main) == "cancelled"


def test_one_after_another_in_the_order_of_asking_and_each_hears_its_place():
    order = []

    def work(name):
        def answer(progress, say) -> Result:
            order.append(name)
            time.sleep(0.02)
            return Result({"answer": name})

        return answer

    async def main():
        jobs = Jobs()
        asked = [Job(work(name)) for name in "abcd"]
        for job in asked:
            jobs.start(job)
        return [await told(job) for job in asked]

    first, second, third, fourth = run(main)
    assert order == list("abcd")
    assert [event.kind for event in first] == ["done"]
    assert [event.data["ahead"] for event in fourth[:-1]] == [3, 2, 1]
    assert [event.data["ahead"] for event in third[:-1]] == [2, 1]
    assert fourth[0].data["phase"] == "queued"
    assert [job[-1].data["reply"]["answer"] for job in (first, second, third, fourth)] == list("abcd")


def test_with_two_places_two_images_are_answered_at_once_and_one_image_waits_for_itself():
    meeting = threading.Barrier(2)  # broken unless both are there at the same time

    def work(progress, say) -> Result:
        meeting.wait(30)
        return Result({})

    async def main():
        jobs = Jobs(places=Places(2))
        asked = [Job(work, image="a"), Job(work, image="b"), Job(speaking("c"), image="a")]
        for job in asked:
            jobs.start(job)
        return asked, [await told(job) for job in asked]

    asked, (first, second, third) = run(main)
    assert [job.place for job in asked] == [0, 1, 0]
    assert [events[-1].kind for events in (first, second, third)] == ["done"] * 3
    assert second[0].kind == "done", "it did not wait"
    assert third[0].data["ahead"] == 1


def test_memory_that_one_beside_may_still_take_is_not_given_to_another():
    """Of 16 bytes, questions take 5: a third at the same time would leave none of the reserve of 2."""

    async def main():
        memory, go_on = Memory(2, lambda: 0, lambda: None, lambda: 99, lambda: 16), threading.Event()

        def work(progress, say) -> Result:
            go_on.wait(30)
            return Result({})

        jobs = Jobs(memory, places=Places(3))
        asked = [Job(work, image=image, voxel_bytes=1) for image in "abc"]
        for job in asked:
            jobs.start(job)
            while not (job.working or job.finished):
                await anyio.sleep(0.01)
        third = await told(asked[2])
        go_on.set()
        return [(await told(job))[-1].kind for job in asked[:2]], third[-1].data

    others, data = run(main)
    assert others == ["done", "done"]
    assert data["status"] == 503
    assert data["detail"].startswith("The server is short of memory: this image takes some ")


def test_who_is_cancelled_while_waiting_leaves_the_line_at_once():
    async def main():
        jobs, begun = Jobs(), threading.Event()
        working, waiting, last = Job(until_stopped(begun)), Job(speaking("never")), Job(speaking("last"))
        for job in (working, waiting, last):
            jobs.start(job)
        await asyncio.to_thread(begun.wait)
        waiting.stop(CancelledError("Not needed."))
        left = await told(waiting)
        assert not working.finished
        working.stop(CancelledError("Enough."))
        return left, await told(working), await told(last)

    left, worked, last = run(main)
    assert [event.kind for event in left] == ["progress", "cancelled"]
    assert left[-1].data == {"detail": "Not needed.", "status": 409}
    assert worked[-1].kind == "cancelled"
    assert [event.data.get("ahead") for event in last[:2]] == [2, 1]
    assert last[-1].data["reply"] == {"answer": "last"}


def test_a_failure_is_told_with_the_sentence_and_status_of_a_refusal(caplog):
    async def main(error):
        jobs, job = Jobs(), Job(failing(error))
        jobs.start(job)
        (event,) = await told(job)
        with pytest.raises(MedSightError) as caught:
            job.result()
        with pytest.raises(MedSightError):
            await jobs.answer(Job(failing(error)))
        return event, str(caught.value)

    event, sentence = run(main, InputError("One sentence."))
    assert (event.kind, event.data, sentence) == (
        "failed",
        {"detail": "One sentence.", "status": 400},
        "One sentence.",
    )
    event, sentence = run(main, KeyError("CANARY"))
    assert event.data["status"] == 500
    assert event.data["detail"] == sentence
    assert sentence.startswith("The server failed inside: look for incident ")
    assert "CANARY" not in caplog.text


def test_a_cancelled_answer_that_was_ready_is_no_answer():
    def work(progress, say) -> Result:
        job.stop(CancelledError("Too late."))
        return Result({"answer": "x"})

    async def main():
        nonlocal job
        jobs, job = Jobs(), Job(work)
        jobs.start(job)
        return (await told(job))[-1].kind

    job = None
    assert run(main) == "cancelled"


def test_stopping_the_server_ends_every_question():
    async def main():
        jobs, begun = Jobs(), threading.Event()
        asked = [Job(until_stopped(begun)), Job(speaking("a"))]
        for job in asked:
            jobs.start(job)
        plain = asyncio.ensure_future(jobs.answer(Job(speaking("b"))))
        await asyncio.to_thread(begun.wait)
        jobs.stop()
        ends = [(await told(job))[-1] for job in asked]
        with pytest.raises(ServerUnavailableError, match="The server was stopped before it had the answer: start it"):
            await plain
        return ends

    assert [(event.kind, event.data["status"]) for event in run(main)] == [("failed", 503)] * 2


def test_the_table_makes_room_by_forgetting_what_has_ended(monkeypatch):
    monkeypatch.setattr(jobs_module, "MAX_JOBS", 2)

    async def main():
        jobs = Jobs()
        ended, running = Job(speaking("a")), Job(until_stopped())
        jobs.start(ended)
        await told(ended)
        jobs.start(running)
        third = Job(speaking("b"))
        jobs.start(third)
        with pytest.raises(InputError, match="There is no such job"):
            jobs.get(ended.id)
        assert jobs.get(running.id) is running
        with pytest.raises(BusyError) as full:
            jobs.start(Job(speaking("c")))
        assert str(full.value) == "This server has 2 questions waiting and takes no more. Ask again in 5 seconds."
        running.stop(CancelledError("Enough."))
        await told(third)

    run(main)


def test_an_old_job_is_forgotten(monkeypatch):
    monkeypatch.setattr(jobs_module, "KEEP_SECONDS", 0.05)

    async def main():
        jobs, job = Jobs(), Job(speaking("a"))
        jobs.start(job)
        await told(job)
        assert jobs.get(job.id) is job
        await anyio.sleep(0.2)
        with pytest.raises(InputError, match=r"There is no such job: .* Ask the question again\."):
            jobs.get(job.id)

    run(main)


def test_one_who_asks_much_leaves_room_for_others(monkeypatch):
    monkeypatch.setattr(jobs_module, "MAX_WAITING", 2)

    async def main():
        jobs = Jobs()
        asked = [Job(until_stopped(), "anna"), Job(until_stopped(), "anna"), Job(until_stopped(), "ben")]
        for job in asked:
            jobs.start(job)
        with pytest.raises(BusyError) as refused:
            jobs.start(Job(speaking("c"), "anna"))
        for job in asked:
            job.stop(CancelledError("Enough."))
            await told(job)
        return str(refused.value)

    assert run(main) == "You have 2 questions waiting here, and more are not taken. Ask again in 5 seconds."


def test_who_needs_room_loses_own_answers_before_those_of_others(monkeypatch):
    monkeypatch.setattr(jobs_module, "MAX_JOBS", 2)

    async def main():
        jobs = Jobs()
        other, own, new = Job(speaking("a"), "ben"), Job(speaking("b"), "anna"), Job(speaking("c"), "anna")
        for job in (other, own):
            jobs.start(job)
            await told(job)
        jobs.start(new)
        assert jobs.get(other.id) is other
        with pytest.raises(InputError, match="There is no such job"):
            jobs.get(own.id)
        await told(new)

    run(main)


def test_a_question_whose_turn_comes_when_memory_is_gone_is_told_to_wait():
    free = [10_000]
    memory = Memory(1000, kept=lambda: 0, forget=lambda: None, total=lambda: 10_000, free=lambda: free[0])

    async def main():
        jobs, begun = Jobs(memory), threading.Event()
        working, waiting = Job(until_stopped(begun), voxel_bytes=100), Job(speaking("x"), voxel_bytes=100)
        for job in (working, waiting):
            jobs.start(job)
        await asyncio.to_thread(begun.wait)
        free[0] = 1499
        working.stop(CancelledError("Enough."))
        ending = (await told(waiting))[-1]
        with pytest.raises(BusyError):
            jobs.start(Job(speaking("y"), voxel_bytes=100))
        return ending

    ending = run(main)
    assert (ending.kind, ending.data["status"], ending.data["retry_after"]) == ("failed", 503, 5.0)
    assert ending.data["detail"].startswith("The server is short of memory: this image takes some 0.0 GB and 0.0 GB")
