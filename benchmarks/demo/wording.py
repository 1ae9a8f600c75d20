"""Whether the shipped model knows what is meant: free questions that nobody wrote with its templates in sight."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.demo.trials import Slice
from medsight_core.engine.engine import Engine
from sample_data.questions.read import Question, read_questions


@dataclass(frozen=True)
class WordingTrial:
    """One question: whether the answer speaks of the things that were meant, and of nothing else.

    named: what the answer outlines or calls not seen.
    """

    id: str
    form: str
    site: str
    question: str
    meant: tuple[str, ...]
    named: tuple[str, ...]
    text: str
    understood: bool


def wording_trials(engine: Engine, planes: Sequence[Slice]) -> Iterator[WordingTrial]:
    """Each question about a plane of its site, whose sides can be told."""
    by_site = defaultdict(list)
    for plane in planes:
        if plane.orientation != "sagittal":
            by_site[plane.exam.site].append(plane)
    for number, question in enumerate(read_questions()):
        choices = by_site.get(question.site)
        if choices:
            yield ask(engine, choices[number % len(choices)], question)


def ask(engine: Engine, plane: Slice, question: Question) -> WordingTrial:
    """Ask one of them."""
    answer = engine.ask(
        plane.exam.volume,
        question.question,
        "plane",
        plane.exam.plane(plane.orientation, plane.index),
        question.history,
    )
    named = {*(region.name for region in answer.regions), *answer.absent}
    meant = set(question.names)
    if question.form == "off-topic":
        right = not named
    elif question.asked and not meant:
        right = not answer.regions and question.asked.lower() in answer.text.lower()
    else:
        right = named == meant or (bool(question.asked) and named - {question.asked} == meant)
    return WordingTrial(
        question.id, question.form, question.site, question.question, question.names, tuple(sorted(named)),
        answer.text, right,
    )  # fmt: skip
