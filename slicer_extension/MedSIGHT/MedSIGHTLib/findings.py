"""A report about one volume: what was found, in words, and the outlines that belong to it.

Findings begin as the answers of a `Conversation` and are a person's from then on: they can be written over, taken out
and added to. Plain data: knows neither Slicer, Qt nor how a report looks. It holds what was asked, answered, written
and measured, and nothing about the patient or the file.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Mapping

from medsight_core.answer import NOTICE, ModelInfo
from MedSIGHTLib.conversation import Conversation, Turn
from MedSIGHTLib.measuring import Measurements

_FORMAT = "medsight-report"
_VERSION = 1
_NOBODY = ModelInfo()


@dataclass(frozen=True)
class Structure:
    """Something outlined that a finding is about.

    segment_id: in MedSIGHT's segmentation of the volume. name, color (0..1 each), by_hand (a person has renamed or
    changed what the model outlined), measured (None when there is no outline any more) and unit (of ``measured.mean``,
    "HU" or empty): as they were when the report was measured last. confidence: 0..1, the answer's; None for
    none.
    """

    segment_id: str
    name: str
    color: tuple[float, float, float]
    by_hand: bool = False
    measured: Measurements | None = None
    unit: str = ""
    confidence: float | None = None


@dataclass(frozen=True)
class Finding:
    """One statement.

    text: the statement itself, which a person may have written over. question, looked_at, model: where it comes from,
    as in `Turn`; empty for a statement that a person has added.
    """

    text: str
    question: str = ""
    looked_at: str = ""
    model: ModelInfo = _NOBODY
    structures: tuple[Structure, ...] = ()


@dataclass(frozen=True)
class Report:
    """All findings about one volume, in the order in which they are told.

    taken: marks of the answers that have been turned into findings, so that one that was taken out stays out.
    """

    findings: tuple[Finding, ...] = ()
    taken: tuple[str, ...] = ()

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        """The models whose answers are in it, each once."""
        return tuple(dict.fromkeys(finding.model for finding in self.findings if finding.model != _NOBODY))

    def collect(self, conversation: Conversation) -> Report:
        """With a finding for each answer that has not been taken before."""
        new = {mark: turn for turn in conversation.turns if (mark := _mark(turn)) not in self.taken}
        return Report((*self.findings, *map(_finding, new.values())), (*self.taken, *new))

    def with_note(self) -> Report:
        """With an empty finding at the end, for a person to write."""
        return replace(self, findings=(*self.findings, Finding("")))

    def with_text(self, number: int, text: str) -> Report:
        """With other words for one finding (from 0)."""
        text = text.encode("utf-8", "replace").decode()  # half a character can be typed, but not be saved
        return self._with(number, replace(self.findings[number], text=text))

    def without(self, number: int, structure: int | None = None) -> Report:
        """Without one finding, or without one of its structures (from 0 both).

        Without its last finding it is as new: all answers can be collected again.
        """
        if structure is None:
            kept = (*self.findings[:number], *self.findings[number + 1 :])
            return Report(kept, self.taken) if kept else Report()
        finding = self.findings[number]
        kept = (*finding.structures[:structure], *finding.structures[structure + 1 :])
        return self._with(number, replace(finding, structures=kept))

    def _with(self, number: int, finding: Finding) -> Report:
        return replace(self, findings=(*self.findings[:number], finding, *self.findings[number + 1 :]))

    def to_json(self) -> str:
        """As text that `from_json` takes and other programs may read."""
        data = {"format": _FORMAT, "version": _VERSION, "notice": NOTICE, **asdict(self)}
        return json.dumps(data, ensure_ascii=False, allow_nan=False, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Report:
        """The report that was written as ``text``; ValueError when it is none, or a newer MedSIGHT's."""
        try:
            data = json.loads(text)
            if data["format"] != _FORMAT or int(data["version"]) > _VERSION:
                raise ValueError("of another kind or a newer version")
            findings = tuple(_read_finding(finding) for finding in data["findings"])
            return cls(findings, tuple(str(mark) for mark in data["taken"]))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a report: {error}") from None


def _mark(turn: Turn) -> str:
    """Says which answer this is and nothing of what was said; the same when the same is said again."""
    said = [turn.prompt, turn.looked_at, {**turn.answer.to_json(), "timings": {}}, sorted(turn.segment_ids.items())]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def _finding(turn: Turn) -> Finding:
    text, structures = turn.answer.text, []
    for region in turn.answer.regions:
        text = text.replace(f" [{region.label}]", "")
        segment_id = turn.segment_ids.get(region.label)
        if segment_id:
            structures.append(Structure(segment_id, region.name, region.color, confidence=region.confidence))
    return Finding(text, turn.prompt, turn.looked_at, turn.answer.model, tuple(structures))


def _read_finding(data: Mapping[str, Any]) -> Finding:
    return Finding(
        text=str(data["text"]),
        question=str(data["question"]),
        looked_at=str(data["looked_at"]),
        model=ModelInfo(*(str(data["model"][key]) for key in ("id", "version", "licence"))),
        structures=tuple(_read_structure(structure) for structure in data["structures"]),
    )


def _read_structure(data: Mapping[str, Any]) -> Structure:
    red, green, blue = (_number(channel) for channel in data["color"])
    measured = data["measured"]
    if measured is not None:
        mean = measured["mean"]
        measured = Measurements(
            _number(measured["volume_ml"]), _number(measured["diameter_mm"]), None if mean is None else _number(mean)
        )
    return Structure(
        str(data["segment_id"]),
        str(data["name"]),
        (red, green, blue),
        bool(data["by_hand"]),
        measured,
        str(data["unit"]),
        None if data.get("confidence") is None else _number(data["confidence"]),
    )


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("a number that is none")
    return number
