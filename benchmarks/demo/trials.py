"""What is asked of the shipped model, through the engine as any user's question, and what came out.

A `Trial` is one question with its outcome; figures are made of nothing else. Knows how to ask, not what is good.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.demo.exams import Exam
from medsight_core.answer import Answer
from medsight_core.engine.engine import Engine
from medsight_core.engine.wording import listed
from medsight_core.evaluation.mask_scores import dice
from medsight_core.imaging.volume import Volume
from medsight_core.terminology import other_side, split_side


@dataclass(frozen=True)
class Trial:
    """One thing asked for.

    kind: "outline", "check" (yes or no), "several". name: what was asked for; names of several with commas between.
    present: whether it is there. accepted: whether it was outlined. said: "yes", "no" or "" as the sentence begins.
    dice: of the outline with the truth, 0 when refused, None for absent things. swapped: the outline fits the other
    side better. misnamed: it fits another structure better, and this one hardly. presence: the detector's probability.
    exact: whether names and number of all outlines are right. seconds: the answer took.
    """

    kind: str
    site: str
    subject: str
    orientation: str
    name: str
    present: bool
    accepted: bool
    said: str = ""
    dice: float | None = None
    swapped: bool = False
    misnamed: bool = False
    confidence: float = 0.0
    presence: float | None = None
    exact: bool | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Slice:
    """One plane of an exam that is asked about."""

    exam: Exam
    orientation: str
    index: int

    def ask(self, engine: Engine, question: str, volume: Volume | None = None) -> tuple[Answer, float]:
        """The answer and its seconds. volume: another image in the place of the exam's own."""
        start = time.perf_counter()
        plane = self.exam.plane(self.orientation, self.index)
        answer = engine.ask(volume or self.exam.volume, question, "plane", plane)
        return answer, time.perf_counter() - start

    def truth(self, name: str) -> np.ndarray:
        """What of a name lies on the plane, bool (rows, columns)."""
        return self.outlined(self.exam.truth[name])

    def outlined(self, mask: np.ndarray) -> np.ndarray:
        """What of a mask (I, J, K) lies on the plane."""
        return self.exam.on_slice(mask, self.orientation, self.index)


def slices_of(exam: Exam, count: int, orientations: Sequence[str], rng: np.random.Generator) -> Iterator[Slice]:
    """``count`` random planes that show something."""
    found = 0
    for _ in range(50 * count):
        orientation = str(rng.choice(list(orientations)))
        index = int(rng.integers(exam.slices(orientation)))
        if exam.visible(orientation, index)[0]:
            yield Slice(exam, orientation, index)
            found += 1
            if found == count:
                return


def outline_trials(
    engine: Engine, plane: Slice, each: int, foreign: Collection[str], rng: np.random.Generator
) -> Iterator[Trial]:
    """Outline up to ``each`` things that are there and as many that are not.

    foreign: names that such an image cannot show; a fifth of what is not there, or all where nothing else is missing.
    """
    shown, absent = _drawn(plane, each, foreign, rng)
    scores = engine.detect(plane.exam.volume, "plane", plane.exam.plane(plane.orientation, plane.index))
    for name in (*shown, *absent):
        answer, seconds = plane.ask(engine, f"Outline the {name}.")
        yield _outcome("outline", plane, name, name in shown, answer, seconds, scores)


def absent_trials(engine: Engine, plane: Slice, names: Sequence[str]) -> Iterator[Trial]:
    """Outline things that are not there."""
    for name in names:
        answer, seconds = plane.ask(engine, f"Outline the {name}.")
        yield _outcome("outline", plane, name, False, answer, seconds, {})


def check_trials(
    engine: Engine,
    plane: Slice,
    each: int,
    foreign: Collection[str],
    rng: np.random.Generator,
    volume: Volume | None = None,
) -> Iterator[Trial]:
    """Ask whether things are there, as many that are as that are not. volume: another image in the exam's place.

    foreign: as of `outline_trials`.
    """
    shown, absent = _drawn(plane, each, foreign, rng)
    count = min(len(shown), len(absent))
    for name in (*shown[:count], *absent[:count]):
        answer, seconds = plane.ask(engine, f"Is there a {name}?", volume)
        yield _outcome("check", plane, name, name in shown, answer, seconds, {}, scored=volume is None)


def several_trial(engine: Engine, plane: Slice, rng: np.random.Generator) -> Trial | None:
    """Outline two to four things at once that are there; None where there are fewer than two."""
    shown = _askable(plane)[0]
    if len(shown) < 2:
        return None
    names = [str(name) for name in rng.choice(shown, min(len(shown), int(rng.integers(2, 5))), replace=False)]
    answer, seconds = plane.ask(engine, f"Outline the {listed(names)}.")
    exact = sorted(region.name for region in answer.regions) == sorted(names)
    return Trial(
        "several", plane.exam.site, plane.exam.subject, plane.orientation, ", ".join(names), True, exact,
        exact=exact, seconds=seconds,
    )  # fmt: skip


def volume_trial(engine: Engine, exam: Exam, name: str) -> Trial:
    """Outline one thing that is there in a whole volume."""
    start = time.perf_counter()
    answer = engine.ask(exam.volume, f"Outline the {name}.")
    seconds = time.perf_counter() - start
    region = next((region for region in answer.regions if region.name == name), None)
    overlap, swapped = 0.0, False
    if region is not None and region.mask is not None:
        overlap = dice(region.mask, exam.truth[name])
        other = exam.truth.get(other_side(name))
        swapped = other is not None and dice(region.mask, other) > overlap
    confidence = region.confidence if region else 0.0
    return Trial(
        "volume", exam.site, exam.subject, "axial", name, True, region is not None, "", overlap, swapped,
        confidence=confidence, seconds=seconds,
    )  # fmt: skip


def _askable(plane: Slice) -> tuple[list[str], list[str]]:
    """What a plane shows and what it does not; without what has a side where nobody can tell sides."""
    shown, absent = plane.exam.visible(plane.orientation, plane.index)
    if plane.orientation == "sagittal":
        shown, absent = ([name for name in names if not split_side(name)[0]] for names in (shown, absent))
    return list(shown), list(absent)


def _drawn(plane: Slice, each: int, foreign: Collection[str], rng: np.random.Generator) -> tuple[list[str], list[str]]:
    shown, absent = _askable(plane)
    shown = [str(name) for name in rng.permutation(shown)[:each]]
    if foreign:
        count = min(max(1, len(absent) // 4), len(foreign))
        absent = [*absent, *(str(name) for name in rng.choice(sorted(foreign), count, replace=False))]
    return shown, [str(name) for name in rng.permutation(absent)[: max(len(shown), 1)]]


def _outcome(
    kind: str,
    plane: Slice,
    name: str,
    present: bool,
    answer: Answer,
    seconds: float,
    scores: Mapping[str, float],
    scored: bool = True,
) -> Trial:
    region = next((region for region in answer.regions if region.name == name), None)
    accepted = bool(answer.regions) if not present else region is not None
    overlap, swapped, misnamed, confidence = (0.0 if present and scored else None), False, False, 0.0
    if region is not None:
        confidence = region.confidence
    if region is not None and region.mask is not None and present and scored:
        found = plane.outlined(region.mask)
        overlap = dice(found, plane.truth(name))
        others = {other: _overlap(plane, found, other) for other in plane.exam.truth if other != name}
        swapped = others.get(other_side(name), 0.0) > overlap
        misnamed = overlap < 0.1 and max(others.values(), default=0.0) > 0.5
    words = answer.text.lower()
    said = "yes" if words.startswith("yes") else "no" if words.startswith("no") else ""
    return Trial(
        kind, plane.exam.site, plane.exam.subject, plane.orientation, name, present, accepted, said, overlap,
        swapped, misnamed, confidence, scores.get(name), None, seconds,
    )  # fmt: skip


def _overlap(plane: Slice, found: np.ndarray, name: str) -> float:
    truth = plane.truth(name)
    return dice(found, truth) if truth.any() else 0.0
