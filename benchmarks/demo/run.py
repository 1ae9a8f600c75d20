"""The whole examination of a model: exams, questions, controls. One row a question; what they mean is `summary`'s."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from benchmarks.demo.controls import from_another_modality, shuffled_codes, without_presence
from benchmarks.demo.degrade import WORSE, blank
from benchmarks.demo.exams import SEED, Exam, foreign_names, held_out_exams, real_exams
from benchmarks.demo.trials import (
    Slice,
    Trial,
    check_trials,
    outline_trials,
    several_trial,
    slices_of,
    volume_trial,
)
from benchmarks.demo.wording import WordingTrial, wording_trials
from medsight_core.engine.engine import Engine
from medsight_core.imaging.volume import Volume
from sample_data.generate.sources import Material

_DEEP = ("thalamus", "caudate nucleus", "putamen", "pallidum", "hippocampus", "amygdala")
DEEP_NAMES = tuple(f"{side} {name}" for name in _DEEP for side in ("left", "right"))
_VIEWS = {"fetal": ("axial",), "chest": ("axial", "coronal"), "abdomen": ("axial", "coronal")}
_CONTROL_PLANES = 40


@dataclass(frozen=True)
class Size:
    """How much is asked. scans: exams of each site; planes: of each exam; each: things on a plane."""

    scans: dict[str, int]
    planes: int
    each: int


SIZES = {
    "full": Size({"brain": 12, "chest": 8, "head": 4, "abdomen": 8, "fetal": 40}, planes=4, each=5),
    "half": Size({"brain": 8, "chest": 5, "head": 3, "abdomen": 5, "fetal": 25}, planes=3, each=4),
    "quick": Size({"brain": 2, "chest": 2, "head": 1, "abdomen": 2, "fetal": 4}, planes=2, each=2),
}


class Examiner:
    """Asks one engine everything, always the same questions.

    earlier: rows of parts that were asked before, which are not asked again where another part needs them.
    """

    def __init__(
        self, engine: Engine, material: Material, size: Size, earlier: Mapping[str, Any] | None = None
    ) -> None:
        self.engine, self.material, self.size = engine, material, size
        self._earlier = earlier or {}
        rng = np.random.default_rng(SEED)
        self.planes = [
            plane
            for exam in held_out_exams(material, size.scans)
            for plane in slices_of(exam, 1 if exam.site == "fetal" else size.planes, self._views(exam), rng)
        ]
        self._exams = list({plane.exam.site: plane.exam for plane in self.planes}.values())

    def ask(self, part: str) -> Any:
        """The rows of a part (one of `PARTS`) as plain JSON."""
        return _plain(PARTS[part](self))

    def outlines(self) -> list[list[Trial]]:
        """One thing at a time, present and absent ones; a list for each plane."""
        return self._outlined

    @cached_property
    def _outlined(self) -> list[list[Trial]]:
        """Outlines of each plane as it is; parts of them are what worse copies and controls are compared with."""
        if "outlines" in self._earlier:
            return [[Trial(**row) for row in rows] for rows in self._earlier["outlines"]]
        return [self._outlines(place) for place in range(len(self.planes))]

    def _outlines(self, place: int, engine: Engine | None = None, volume: Volume | None = None) -> list[Trial]:
        """Outlines on the plane of a place, of the same things whatever the engine and the volume."""
        plane = self.planes[place] if volume is None else _on(self.planes[place], volume)
        rng, foreign = np.random.default_rng([SEED + 1, place]), foreign_names(plane.exam, self._exams)
        return list(outline_trials(engine or self.engine, plane, self.size.each, foreign, rng))

    def _views(self, exam: Exam) -> Sequence[str]:
        offered = self.engine.config.orientations
        return [view for view in _VIEWS.get(exam.site, ("axial", "coronal", "sagittal")) if view in offered]

    def checks(self, empty: bool = False) -> list[Trial]:
        """Yes or no; of ``empty`` images too, where no answer can be better than chance."""
        rng, found = np.random.default_rng(SEED + 2), list[Trial]()
        for plane in self.planes:
            foreign, image = foreign_names(plane.exam, self._exams), blank(plane.exam.volume) if empty else None
            found += check_trials(self.engine, plane, self.size.each, foreign, rng, image)
        return found

    def several(self) -> list[Trial]:
        """Two to four things at once."""
        rng = np.random.default_rng(SEED + 3)
        found = (several_trial(self.engine, plane, rng) for plane in self.planes)
        return [trial for trial in found if trial]

    def worse(self) -> dict[str, list[Trial]]:
        """The same outlines of brains, chests and fetuses as they are ("none") and on worse copies."""
        places = [n for n, plane in enumerate(self.planes) if plane.exam.site in ("brain", "chest", "fetal")]
        rng, outcomes = np.random.default_rng(SEED + 4), {"none": list(chain(*(self._outlined[n] for n in places)))}
        for name, make in WORSE.items():
            worse = (self._outlines(n, volume=make(self.planes[n].exam.volume, rng)) for n in places)
            outcomes[name] = list(chain(*worse))
        return outcomes

    def controls(self) -> dict[str, list[Trial]]:
        """The same questions with a part taken out, and questions for what belongs to another modality."""
        places = range(0, len(self.planes), max(1, len(self.planes) // _CONTROL_PLANES))
        engines = {
            "codes shuffled": shuffled_codes(self.engine, SEED),
            "presence check off": without_presence(self.engine),
        }
        found = {"as it is": list(chain(*(self._outlined[n] for n in places)))}
        for name, engine in engines.items():
            found[name] = list(chain(*(self._outlines(n, engine) for n in places)))
        rng = np.random.default_rng(SEED + 5)
        found["names of another modality"] = [
            trial
            for n in places
            for trial in from_another_modality(self.engine, self.planes[n], self._exams, self.size.each, rng)
        ]
        return found

    def volumes(self) -> Iterator[Trial]:
        """One thing at a time in real volumes, whole."""
        for exam in real_exams(self.material.studies):
            for name in DEEP_NAMES if exam.site == "brain" else ("right lung", "left lung"):
                if name in exam.truth:
                    yield volume_trial(self.engine, exam, name)

    def wording(self) -> Iterator[WordingTrial]:
        """Free questions, each about an image of its site."""
        return wording_trials(self.engine, self.planes)

    def seconds(self, count: int = 10) -> dict[str, list[float]]:
        """Of first answers about planes never looked at, and of second questions about the same planes."""
        first, second = [], []
        for plane in self.planes[:count]:
            fresh = Engine(self.engine.model, self.engine.processor)
            name = plane.exam.visible(plane.orientation, plane.index)[0][0]
            first.append(plane.ask(fresh, f"Outline the {name}.")[1])
            second.append(plane.ask(fresh, f"Is there a {name}?")[1])
        return {"first": first, "second": second}


PARTS: Mapping[str, Callable[[Examiner], Any]] = {
    "seconds": Examiner.seconds,
    "outlines": Examiner.outlines,
    "checks": Examiner.checks,
    "blank": lambda examiner: examiner.checks(empty=True),
    "several": Examiner.several,
    "wording": Examiner.wording,
    "volumes": Examiner.volumes,
    "worse": Examiner.worse,
    "controls": Examiner.controls,
}


def _plain(found: Any) -> Any:
    if isinstance(found, dict):
        return {name: _plain(each) for name, each in found.items()}
    if isinstance(found, (Trial, WordingTrial)):
        return asdict(found)
    return found if isinstance(found, float) else [_plain(each) for each in found]


def _on(plane: Slice, volume: Volume) -> Slice:
    return replace(plane, exam=replace(plane.exam, volume=volume))
