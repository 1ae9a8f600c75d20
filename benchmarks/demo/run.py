"""The whole examination of a model: exams, questions, controls. One row a question; what they mean is `summary`'s."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.demo.controls import shuffled_codes, without_presence
from benchmarks.demo.degrade import WORSE, blank
from benchmarks.demo.exams import SEED, Exam, held_out_exams, real_exams
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


FULL = Size({"brain": 12, "chest": 8, "head": 4, "abdomen": 8, "fetal": 40}, planes=4, each=5)
QUICK = Size({"brain": 2, "chest": 2, "head": 1, "abdomen": 2, "fetal": 4}, planes=2, each=2)


class Examiner:
    """Asks one engine everything, always the same questions."""

    def __init__(self, engine: Engine, material: Material, size: Size) -> None:
        self.engine, self.material, self.size = engine, material, size
        rng = np.random.default_rng(SEED)
        self.planes = [
            plane
            for exam in held_out_exams(material, size.scans)
            for plane in slices_of(exam, 1 if exam.site == "fetal" else size.planes, self._views(exam), rng)
        ]
        self.foreign = sorted({name for plane in self.planes for name in plane.exam.names})

    def _views(self, exam: Exam) -> Sequence[str]:
        offered = self.engine.config.orientations
        return [view for view in _VIEWS.get(exam.site, ("axial", "coronal", "sagittal")) if view in offered]

    def outlines(self) -> list[Trial]:
        """One thing at a time on every plane, present and absent ones."""
        return list(chain(*self._plain))

    @cached_property
    def _plain(self) -> list[list[Trial]]:
        """Outlines of each plane as it is; parts of them are what worse copies and controls are compared with."""
        return [self._outlines(place) for place in range(len(self.planes))]

    def _outlines(self, place: int, engine: Engine | None = None, volume: Volume | None = None) -> list[Trial]:
        """Outlines on the plane of a place, of the same things whatever the engine and the volume."""
        plane = self.planes[place] if volume is None else _on(self.planes[place], volume)
        rng = np.random.default_rng([SEED + 1, place])
        return list(outline_trials(engine or self.engine, plane, self.size.each, self.foreign, rng))

    def checks(self, empty: bool = False) -> list[Trial]:
        """Yes or no; of ``empty`` images too, where no answer can be better than chance."""
        rng = np.random.default_rng(SEED + 2)
        return [
            trial
            for plane in self.planes
            for trial in check_trials(
                self.engine, plane, self.size.each, rng, blank(plane.exam.volume) if empty else None
            )
        ]

    def several(self) -> list[Trial]:
        """Two to four things at once."""
        rng = np.random.default_rng(SEED + 3)
        found = (several_trial(self.engine, plane, rng) for plane in self.planes)
        return [trial for trial in found if trial]

    def worse(self) -> dict[str, list[Trial]]:
        """The same outlines of brains, chests and fetuses as they are ("none") and on worse copies."""
        places = [n for n, plane in enumerate(self.planes) if plane.exam.site in ("brain", "chest", "fetal")]
        rng, outcomes = np.random.default_rng(SEED + 4), {"none": list(chain(*(self._plain[n] for n in places)))}
        for name, make in WORSE.items():
            worse = (self._outlines(n, volume=make(self.planes[n].exam.volume, rng)) for n in places)
            outcomes[name] = list(chain(*worse))
        return outcomes

    def controls(self) -> dict[str, list[Trial]]:
        """The same questions with a part taken out."""
        places = range(0, len(self.planes), max(1, len(self.planes) // _CONTROL_PLANES))
        engines = {
            "codes shuffled": shuffled_codes(self.engine, SEED),
            "presence check off": without_presence(self.engine),
        }
        return {"as it is": list(chain(*(self._plain[n] for n in places)))} | {
            name: list(chain(*(self._outlines(n, engine) for n in places))) for name, engine in engines.items()
        }

    def whole_volumes(self, studies: Path) -> Iterator[Trial]:
        """One thing at a time in real volumes, whole."""
        for exam in real_exams(studies):
            for name in DEEP_NAMES if exam.site == "brain" else ("right lung", "left lung"):
                if name in exam.truth:
                    yield volume_trial(self.engine, exam, name)

    def wording(self) -> list[WordingTrial]:
        """Free questions, each about an image of its site."""
        return list(wording_trials(self.engine, self.planes))

    def seconds(self, count: int = 10) -> dict[str, list[float]]:
        """Of first answers about planes never looked at, and of second questions about the same planes."""
        first, second = [], []
        for plane in self.planes[:count]:
            fresh = Engine(self.engine.model, self.engine.processor)
            name = plane.exam.visible(plane.orientation, plane.index)[0][0]
            first.append(plane.ask(fresh, f"Outline the {name}.")[1])
            second.append(plane.ask(fresh, f"Is there a {name}?")[1])
        return {"first": first, "second": second}


def examine(engine: Engine, material: Material, size: Size, report: Any = print) -> dict[str, Any]:
    """All rows of an examination, by what was asked, as plain JSON."""
    examiner = Examiner(engine, material, size)
    rows: dict[str, Any] = {}
    for name, ask in (
        ("seconds", examiner.seconds),
        ("outlines", examiner.outlines),
        ("checks", examiner.checks),
        ("blank", lambda: examiner.checks(empty=True)),
        ("several", examiner.several),
        ("wording", examiner.wording),
        ("volumes", lambda: list(examiner.whole_volumes(material.studies))),
        ("worse", examiner.worse),
        ("controls", examiner.controls),
    ):
        report(name)
        rows[name] = _plain(ask())
    return rows


def write_rows(path: Path, rows: dict[str, Any]) -> None:
    """Keep rows, so that figures can be read again without asking again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=0) + "\n", encoding="utf-8")


def _plain(found: Any) -> Any:
    if isinstance(found, dict):
        return {name: _plain(each) for name, each in found.items()}
    return [each if isinstance(each, float) else asdict(each) for each in found]


def _on(plane: Slice, volume: Volume) -> Slice:
    return replace(plane, exam=replace(plane.exam, volume=volume))
