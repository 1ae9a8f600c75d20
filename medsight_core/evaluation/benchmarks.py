"""The benchmarks by name: their files, how a record is read, and how bad records are told.

Knows no pixels, no model and no scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from medsight_core.errors import InputError, NotFoundError
from medsight_core.evaluation import outline_readers as outlines
from medsight_core.evaluation import question_readers as questions
from medsight_core.evaluation.cases import Case
from medsight_core.evaluation.records import Record, find, records

_JSON = (".json", ".jsonl")


@dataclass(frozen=True)
class Benchmark:
    """One benchmark.

    title: for people.
    patterns: of its files, relative to its folder, of which the first that matches any is taken.
    parse: one record as cases; none for one that does not belong to the test set.
    group: what ``Case.modality`` is here.
    key: where a JSON file that holds one object has its records.
    more: pattern of files that may be there besides.
    """

    title: str
    patterns: tuple[str, ...]
    parse: Callable[[Record], list[Case]]
    group: str = "modality"
    key: str | None = None
    more: str | None = None


def _either(*stems: str) -> tuple[str, ...]:
    return tuple(f"{stem}{suffix}" for stem in stems for suffix in _JSON)


BENCHMARKS = {
    "diagseg": Benchmark("DiagSeg", _either("diagseg"), outlines.diagseg, more=f"{outlines.DIAGSEG_QUESTIONS}.json*"),
    "mecovqa-g": Benchmark("MeCoVQA-G", _either("MeCoVQA_Grounding_test"), outlines.mecovqa_g),
    "vqa-rad": Benchmark("VQA-RAD", ("VQA_RAD Dataset Public.json",), questions.vqa_rad, group="organ"),
    "slake": Benchmark("SLAKE", ("test.json",), questions.slake),
    "pathvqa": Benchmark("PathVQA", (*_either("test"), "**/test-*.parquet"), questions.pathvqa),
    # Files by modality repeat the questions of the files by data set.
    "omnimedvqa": Benchmark(
        "OmniMedVQA",
        ("QA_information/Open-access/Modality_*.json", "QA_information/Open-access/*.json"),
        questions.omnimedvqa,
    ),
    "mmmu-med": Benchmark(
        "MMMU-Med", (*_either("validation"), "**/validation-*.parquet"), questions.mmmu_med, group="subject"
    ),
    "biomedparse": Benchmark("BiomedParse", ("**/test.json",), outlines.biomedparse, key="annotations"),
}


def benchmark_named(name: str) -> Benchmark:
    """The benchmark of a name. Raises InputError with all names for another."""
    if name not in BENCHMARKS:
        raise InputError(f"Unknown benchmark {name!r}: use one of {', '.join(BENCHMARKS)}.")
    return BENCHMARKS[name]


def read_cases(benchmark: Benchmark, root: Path, unpack: Path, skip_bad: bool = False) -> tuple[list[Case], list[str]]:
    """All cases of a benchmark's folder in the files' order, and a sentence for each record that was left out.

    unpack: folder for pictures that a parquet file holds.
    Raises InputError for the first bad record unless ``skip_bad``, and when nothing is left.
    """
    if not root.is_dir():
        raise NotFoundError(f"There is no folder '{root}': give the folder of {benchmark.title} with --data.")
    cases: dict[str, Case] = {}
    bad: list[str] = []
    for item in _records(benchmark, root, unpack):
        try:
            if isinstance(item, InputError):
                raise item
            for case in _parse(benchmark, item):
                if case.id in cases:
                    raise InputError(f"{item}: another record has its id {case.id!r}.")
                cases[case.id] = case
        except InputError as error:
            if not skip_bad:
                raise bad_record(error) from error
            bad.append(str(error))
    if not cases:
        raise InputError(f"'{root}' holds no test questions of {benchmark.title}: check that it is the right folder.")
    return list(cases.values()), bad


def bad_record(error: InputError) -> InputError:
    """The error with what else than repairing the record can be done."""
    return type(error)(f"{str(error).rstrip('.')}; repair it, or leave such records out with --skip-bad.")


def _records(benchmark: Benchmark, root: Path, unpack: Path) -> Iterator[Record | InputError]:
    files = find(root, *benchmark.patterns)
    if benchmark.more:
        files += sorted(root.glob(benchmark.more))
    for path in files:
        yield from records(path, root, unpack, benchmark.key)


def _parse(benchmark: Benchmark, record: Record) -> list[Case]:
    try:
        return benchmark.parse(record)
    except InputError as error:
        raise type(error)(f"{record}: {error}") from error
