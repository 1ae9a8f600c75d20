"""MONAI Label's train tasks for the stages of the whole training, one for each.

As learning from corrections (`monailabel_app.lib.trainers.medsight`), with the same state, lock, cancelling and
registry; what differs is what is trained, and that data may come prepared.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from monailabel.interfaces.datastore import Datastore

from medsight_core.data.corrected_cases import Case
from medsight_core.data.correction_store import CorrectionStore
from medsight_core.data.prepared import prepared
from medsight_core.engine.served import ServedModel
from medsight_core.errors import InputError
from medsight_core.protocol import check_id
from monailabel_app.lib.trainers.medsight import MedSightTrain

if TYPE_CHECKING:
    from medsight_core.training.adapt import Report
    from medsight_core.training.learn import Lesson

STAGES: Mapping[str, str] = {
    "perceiver": "Region queries find what an image shows.",
    "codebook": "A codebook names region vectors.",
    "align-vision": "The language model reads image tokens.",
    "align-text": "Codes become masks.",
    "instruct": "One model answers and outlines.",
}
_PRESETS = ("demo", "smoke", "paper")


class StageTrain(MedSightTrain):
    """One stage. data: folder whose folders hold prepared data, None where the server has none."""

    defaults: ClassVar = {**MedSightTrain.defaults, "batch": 0, "preset": _PRESETS[0], "data": "", "parent": ""}
    most: ClassVar = {**MedSightTrain.most, "batch": 4096}

    def __init__(self, stage: str, served: ServedModel, store: CorrectionStore, sets: Path, data: Path | None) -> None:
        """Load nothing."""
        super().__init__(served, store, sets)
        self.description = f"A stage of the whole training. {STAGES[stage]}"
        self._stage, self._data = stage, data

    def options(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """As of `MedSightTrain`; batch: 0 for the preset's. parent: version to start from, "" for what is served.

        data: name of a folder of prepared data, "" to learn from the labels. Raises InputError for a value that cannot
        be, NotFoundError for a version or a folder that is not there.
        """
        options = super().options(request)
        if options["preset"] not in _PRESETS:
            raise InputError(f"preset is {options['preset']!r}: use one of {', '.join(_PRESETS)}.")
        if options["parent"]:
            self._served.registry.folder(check_id(options["parent"], "version"))
        self._prepared(options["data"])
        return options

    def cases(self, datastore: Datastore, options: Mapping[str, Any]) -> tuple[list[Case], list[str]]:
        """As of `MedSightTrain`; with prepared data there may be none, as they only measure then."""
        try:
            return super().cases(datastore, options)
        except InputError as error:
            if not options["data"]:
                raise
            return [], [f"Nothing measures what comes of it, so it is not served by itself. {error}"]

    def learn(self, cases: list[Case], options: Mapping[str, Any], report: Report) -> Lesson:
        """Train the stage."""
        from medsight_core.training.learn_stage import StageOptions, learn_stage

        given = {name: value for name, value in options.items() if name not in ("submitted_too", "data")}
        known = StageOptions(data=self._prepared(options["data"]), reference=self.sets()[1], **given)
        return learn_stage(self._served.registry, self._stage, cases, known, report)

    def _prepared(self, name: str) -> Path | None:
        if not name:
            return None
        if self._data is None:
            raise InputError("This server has no prepared data: start it with --training-data, or leave out data.")
        return prepared(self._data, name)
