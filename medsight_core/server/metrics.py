"""What a server has done, in numbers, and how they are written for Prometheus.

Labels hold words of this file and the model's version alone: no prompt, name, id or address. Knows nothing of HTTP.
The format: https://prometheus.io/docs/instrumenting/exposition_formats
"""

from __future__ import annotations

import bisect
from collections import Counter
from contextlib import contextmanager
from typing import Iterator, Mapping, Protocol, Sequence, Union

from medsight_core.errors import BusyError, CancelledError, InputError, MedSightError
from medsight_core.server.job import Job

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OUTCOMES = ("answered", "cancelled", "refused", "busy", "failed")
BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)  # seconds
_FORGETS = 0.3  # how much the last answer counts in the pace
_PACE = (5.0, 120.0)  # seconds; nobody is told to come back sooner or later

Labels = Mapping[str, str]
Sample = tuple[str, Labels, Union[int, float]]  # what follows the metric's name, labels, value


class Cache(Protocol):
    """What is told of a cache."""

    hits: int
    misses: int

    @property
    def nbytes(self) -> int:
        """Bytes held now."""


class Histogram:
    """Counts of seconds, by upper bound."""

    def __init__(self) -> None:
        """Nothing seen."""
        self._counts = [0] * (len(BUCKETS) + 1)
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect.bisect_left(BUCKETS, seconds)] += 1
        self._sum += seconds

    def samples(self) -> Iterator[Sample]:
        """As Prometheus wants them: counts up to each bound, the sum and the number."""
        total = 0
        for bound, count in zip((*map(_number, BUCKETS), "+Inf"), self._counts):
            total += count
            yield "_bucket", {"le": bound}, total
        yield "_sum", {}, self._sum
        yield "_count", {}, total


class Metrics:
    """Counts of a server's questions since it was started; belongs to the event loop's thread."""

    def __init__(self) -> None:
        """Nothing has happened."""
        self._outcomes: Counter[str] = Counter()
        self._waited, self._answered = Histogram(), Histogram()
        self._pace = 0.0

    def count(self, job: Job) -> None:
        """Count a question that has ended."""
        try:
            job.result()
        except MedSightError as error:
            self._outcomes[_outcome(error)] += 1
            return
        self._outcomes["answered"] += 1
        waited, answered = job.seconds
        self._waited.add(waited)
        self._answered.add(answered)
        self._pace = answered if not self._pace else (1 - _FORGETS) * self._pace + _FORGETS * answered

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Count a question that is refused in this block."""
        try:
            yield
        except MedSightError as error:
            self._outcomes[_outcome(error)] += 1
            raise

    def pace(self) -> float:
        """Seconds that an answer takes of late: so soon there may be room again."""
        return min(max(self._pace, _PACE[0]), _PACE[1])

    def text(
        self, waiting: int, working: int, resident: int, free: int, caches: Mapping[str, Cache], version: str
    ) -> str:
        """Everything, in Prometheus' text format.

        waiting, working: questions now. resident, free: bytes of memory. caches: by name. version: of the model.
        """
        read = [("_total", {"cache": name, "found": found}, count) for name, cache in caches.items()
                for found, count in (("yes", cache.hits), ("no", cache.misses))]  # fmt: skip
        held = [("", {"cache": name}, cache.nbytes) for name, cache in caches.items()]
        outcomes = [("_total", {"outcome": outcome}, self._outcomes[outcome]) for outcome in OUTCOMES]
        return "".join(
            (
                _family("medsight_questions", "counter", "Questions by how they ended.", outcomes),
                _family("medsight_wait_seconds", "histogram", "Seconds that answered questions waited for their turn.",
                        list(self._waited.samples())),
                _family("medsight_answer_seconds", "histogram", "Seconds that it took to answer, without waiting.",
                        list(self._answered.samples())),
                _family("medsight_questions_waiting", "gauge", "Questions in the queue.", [("", {}, waiting)]),
                _family("medsight_questions_working", "gauge", "Questions being answered.", [("", {}, working)]),
                _family("medsight_cache_reads", "counter", "Looks into a cache, by whether it was there.", read),
                _family("medsight_cache_bytes", "gauge", "Bytes that a cache holds.", held),
                _family("medsight_free_memory_bytes", "gauge", "Memory that can be had without swapping.",
                        [("", {}, free)]),
                _family("process_resident_memory_bytes", "gauge", "Resident memory of the server.",
                        [("", {}, resident)]),
                _family("medsight_model_info", "gauge", "The model that answers.", [("", {"version": version}, 1)]),
            )
        )  # fmt: skip


def _outcome(error: MedSightError) -> str:
    kinds = {CancelledError: "cancelled", BusyError: "busy", InputError: "refused"}
    return next((word for kind, word in kinds.items() if isinstance(error, kind)), "failed")


def _family(name: str, kind: str, told: str, samples: Sequence[Sample]) -> str:
    """One metric; a counter's own name has the ending that its samples have, as this version of the format wants it."""
    own = f"{name}_total" if kind == "counter" else name
    lines = [f"# HELP {own} {told}", f"# TYPE {own} {kind}"]
    lines += [f"{name}{ending}{_labels(labels)} {_number(value)}" for ending, labels, value in samples]
    return "\n".join(lines) + "\n"


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return repr(value) if isinstance(value, float) and not value.is_integer() else str(int(value))
