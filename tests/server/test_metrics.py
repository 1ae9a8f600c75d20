"""What is counted, and that Prometheus can read it."""

from __future__ import annotations

import anyio
import pytest
from exposition import parse

from medsight_core.engine.cache import PlaneCache
from medsight_core.errors import BusyError, CancelledError, InputError, MedSightError
from medsight_core.server.job import Job, Result
from medsight_core.server.jobs import Jobs
from medsight_core.server.metrics import Histogram, Metrics


def exposition(metrics: Metrics, **others) -> dict[str, float]:
    numbers = {"waiting": 0, "working": 0, "resident": 1, "free": 2, "caches": {}, "version": "tiny", **others}
    return parse(metrics.text(**numbers))


def ended(*works) -> Metrics:
    async def main() -> Metrics:
        jobs = Jobs()
        for work in works:
            job = Job(work)
            jobs.start(job)
            async for _ in job.events():
                pass
        await anyio.sleep(0)
        return jobs.metrics

    return anyio.run(main)


def failing(error: Exception):
    def work(progress, say) -> Result:
        raise error

    return work


def test_questions_are_counted_by_how_they_ended():
    errors = (InputError("x"), CancelledError("x"), MedSightError("x"), KeyError("x"), BusyError("x", 3))
    values = exposition(ended(lambda progress, say: Result({}), *map(failing, errors)))
    count = {word: values[f'medsight_questions_total{{outcome="{word}"}}'] for word in
             ("answered", "refused", "cancelled", "failed", "busy")}  # fmt: skip
    assert count == {"answered": 1, "refused": 1, "cancelled": 1, "failed": 2, "busy": 1}
    assert values["medsight_answer_seconds_count"] == values["medsight_wait_seconds_count"] == 1


def test_what_is_refused_at_the_door_is_counted():
    metrics = Metrics()
    with pytest.raises(InputError), metrics.refusals():
        raise InputError("x")
    assert exposition(metrics)['medsight_questions_total{outcome="refused"}'] == 1


def test_seconds_are_counted_below_each_bound():
    histogram = Histogram()
    for seconds in (0.1, 0.2, 3.0, 3.0, 1e6):
        histogram.add(seconds)
    samples = list(histogram.samples())
    below = {labels["le"]: value for ending, labels, value in samples if ending == "_bucket"}
    assert (below["0.1"], below["0.25"], below["2.5"], below["5"], below["600"], below["+Inf"]) == (1, 2, 2, 4, 4, 5)
    assert samples[-2:] == [("_sum", {}, pytest.approx(1_000_006.3)), ("_count", {}, 5)]


def test_caches_memory_queue_and_model_are_told():
    cache = PlaneCache()
    cache.hits, cache.misses = 7, 3
    values = exposition(Metrics(), waiting=2, working=1, resident=123, caches={"features": cache}, version='v"1"\n\\')
    assert values['medsight_cache_reads_total{cache="features",found="yes"}'] == 7
    assert values['medsight_cache_reads_total{cache="features",found="no"}'] == 3
    assert values['medsight_cache_bytes{cache="features"}'] == 0
    assert (values["medsight_questions_waiting"], values["medsight_questions_working"]) == (2, 1)
    assert values["process_resident_memory_bytes"] == 123
    assert values[r'medsight_model_info{version="v\"1\"\n\\"}'] == 1


def test_the_pace_follows_the_last_answers_within_bounds():
    assert Metrics().pace() == 5.0
    metrics = ended(lambda progress, say: Result({}))
    assert metrics.pace() == 5.0
    metrics._pace = 1000.0
    assert metrics.pace() == 120.0
