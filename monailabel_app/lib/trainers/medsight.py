"""MONAI Label's train task: a better version of the model from the masks that people corrected.

MONAI Label runs it in a process of its own, which has an app of its own and may be killed at any moment. Knows MONAI
Label's datastore; what is done with the cases is `medsight_core.training.learn`.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.train import TrainTask

from medsight_core.data import review
from medsight_core.data.corrected_cases import Case, corrected_cases, known_to
from medsight_core.data.correction import KEY, Correction
from medsight_core.data.correction_store import CorrectionStore
from medsight_core.engine.served import ServedModel
from medsight_core.errors import CancelledError, InputError
from medsight_core.protocol import TRAINING_FAILED, TRAINING_KEPT, TRAINING_PROMOTED, TRAINING_RUNNING
from medsight_core.server.failures import foreseen
from medsight_core.training.state import TrainingFile, TrainingState
from monailabel_app.lib.strategies.worklist import images_of

if TYPE_CHECKING:  # what trains is heavy, and the server itself never does
    from medsight_core.training.adapt import Progress, Report
    from medsight_core.training.learn import Lesson

_WRITE_SECONDS = 0.5  # between two reports of one phase
_NICER = 10  # a question goes before training


class MedSightTrain(TrainTask):
    """Learns from corrections; one at a time for each studies folder.

    defaults: the options of a request; most: of the numbers among them.
    """

    defaults: ClassVar[dict[str, Any]] = {"submitted_too": False, "steps": 0, "learning_rate": 0.0, "seed": 0}
    most: ClassVar[dict[str, float]] = {"steps": 100_000, "learning_rate": 1.0, "seed": 2**31 - 1}

    def __init__(self, served: ServedModel, store: CorrectionStore, sets: Path) -> None:
        """Load nothing. sets: folder with what `sample_data.site_sets` makes; made at the first training."""
        super().__init__("Learns from corrected masks; served only if it is better on them and no worse elsewhere.")
        self._served, self._store, self._sets = served, store, sets

    @property
    def file(self) -> TrainingFile:
        """Where the state of the training is."""
        return TrainingFile(self._served.registry.root / "training.json")

    def config(self) -> dict[str, Any]:
        """The options and their defaults, which MONAI Label's clients show.

        submitted_too: learn from labels that nobody has reviewed as well. steps, learning_rate: 0 for what
        `medsight_core.training.adapt` takes by itself.
        """
        return dict(self.defaults)

    def options(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The options of a request, defaults for those that it leaves out; what else is in it is MONAI Label's.

        Raises InputError for a value that cannot be.
        """
        options = {name: request.get(name, default) for name, default in self.defaults.items()}
        if not isinstance(options["submitted_too"], bool):
            raise InputError(f"submitted_too is {options['submitted_too']!r}: use true or false.")
        for name, most in self.most.items():
            value, kinds = options[name], (int, float) if name == "learning_rate" else (int,)
            if not isinstance(value, kinds) or isinstance(value, bool) or not 0 <= value <= most:
                what = "number" if float in kinds else "whole number"
                raise InputError(f"{name} is {value!r}: use a {what} from 0 to {most:g}.")
        return options

    def cases(self, datastore: Datastore, options: Mapping[str, Any]) -> tuple[list[Case], list[str]]:
        """What there is to learn from, and sentences about what is left out. options: as of `options`.

        Raises InputError when there is nothing.
        """
        submitted_too = options["submitted_too"]
        status, known = _status_in(datastore, self._store), known_to(self._served.config())
        found, told = corrected_cases(self._store, images_of(datastore), status, known, submitted_too)
        if not found:
            which = "handed in" if submitted_too else "approved"
            advice = "correct one and hand it in" if submitted_too else "review them, or train with submitted_too"
            raise InputError(
                " ".join([f"There is no corrected label to learn from that was {which}: {advice}.", *told[:3]])
            )
        return found, told

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Train. What goes wrong is told in the state's file, and ends this process with a sentence."""
        logging.getLogger("monailabel").setLevel(logging.CRITICAL + 1)  # what it prints can be read by clients
        with suppress(OSError, AttributeError):
            os.nice(_NICER)
        told = _Told(self.file)
        try:
            options = self.options(request)
            cases, notices = self.cases(datastore, options)
            told.begin(len(cases), notices)
            lesson = self.learn(cases, options, told)
        except Exception as error:
            sentence = str(foreseen(error))
            told.end(TRAINING_FAILED, sentence)
            raise SystemExit(sentence) from None
        outcome = TRAINING_PROMOTED if lesson.verdict.allowed else TRAINING_KEPT
        told.end(outcome, lesson.verdict.reason, lesson.version.name, lesson.told)
        return told.state.to_json()

    def learn(self, cases: list[Case], options: Mapping[str, Any], report: Report) -> Lesson:
        """What is done with the cases."""
        from medsight_core.training.adapt import AdaptOptions
        from medsight_core.training.learn import learn

        replay, reference = self.sets()
        given = {name: value for name, value in options.items() if value and name != "submitted_too"}
        return learn(self._served.registry, cases, AdaptOptions(replay, reference, **given), report)

    def sets(self) -> tuple[list[Case], list[Case]]:
        """Images to keep the model's answers on, and the frozen set that tells what it forgot."""
        from sample_data.site_sets import read_sets, write_sets

        if not self._sets.is_dir():
            write_sets(self._sets, self._sets.with_name("samples"))
        return read_sets(self._sets)


class _Told:
    """Reports of one training, written to the state's file and printed for MONAI Label's ``GET /train/``."""

    def __init__(self, file: TrainingFile) -> None:
        self.state = TrainingState(TRAINING_RUNNING)
        self._file, self._began, self._parent = file, time.monotonic(), os.getppid()
        self._written = float("-inf")

    def begin(self, cases: int, notices: Sequence[str]) -> None:
        """Say what is learned from."""
        self._write(replace(self.state, phase="prepare", cases=cases, notices=tuple(notices)))

    def __call__(self, progress: Progress) -> None:
        """Hear how far it is. Raises CancelledError when the server that asked for it is gone."""
        if os.getppid() != self._parent:
            raise CancelledError("The server that started this training is gone: start it, and the training again.")
        again = progress.phase == self.state.phase and time.monotonic() - self._written < _WRITE_SECONDS
        if not again:
            self._write(replace(self.state, **asdict(progress)))

    def end(self, state: str, detail: str, version: str = "", left_out: Sequence[str] = ()) -> None:
        """Say how it ended."""
        notices = (*self.state.notices, *left_out)
        self._write(
            replace(self.state, state=state, phase="", eta=None, detail=detail, version=version, notices=notices)
        )

    def _write(self, state: TrainingState) -> None:
        self._written = time.monotonic()
        self.state = replace(state, elapsed=round(self._written - self._began, 1))
        self._file.write(self.state)
        with suppress(OSError):  # nobody listens any more
            print(f"PROGRESS {json.dumps(self.state.to_json())}", flush=True)


def _status_in(datastore: Datastore, store: CorrectionStore) -> Callable[[Correction], str]:
    """What reviewers say of a version: of the current one as MONAI Label knows it, of earlier ones as was kept."""

    def status(correction: Correction) -> str:
        known = datastore.get_label_info(correction.image_id, correction.tag) or {}
        if (known.get(KEY) or {}).get("version") != correction.version:
            known = store.notes(correction.image_id, correction.version)
        return str((known.get(review.KEY) or {}).get("status") or "")

    return status
