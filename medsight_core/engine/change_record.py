"""What is written down of every training: the three parts of a predetermined change control plan, and the way back.

The parts are those of the FDA's guidance on such plans: description of modifications, modification protocol, impact
assessment. Plain data and its text; it knows no files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from medsight_core.answer import NOTICE
from medsight_core.engine.promotion import MOST_LOST, Evaluation, Score, Verdict


@dataclass(frozen=True)
class ChangeRecord:
    """Facts by name, plain JSON.

    modifications: what changed in the model. protocol: how it was trained. data: what it was trained and measured on,
    without anything that names a patient. impact: sentences, whom the change may help or harm and how that is held off.
    """

    modifications: Mapping[str, Any] = field(default_factory=dict)
    protocol: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    impact: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ChangeRecord:
        """Raises TypeError when it is none."""
        return cls(**data)

    def to_text(self, name: str, parent: str, created: str, evaluation: Evaluation, verdict: Verdict) -> str:
        """The record as Markdown, for people."""
        decision = "It may be served." if verdict.allowed else "It is kept and not served."
        return "\n".join(
            [
                f"# Model version {name}, trained from {parent}",
                "",
                f"{created}. {NOTICE}",
                "",
                "## 1. Description of modifications",
                "",
                *_facts(self.modifications),
                "",
                "## 2. Modification protocol",
                "",
                "Method:",
                "",
                *_facts(self.protocol),
                "",
                "Data:",
                "",
                *_facts(self.data),
                "",
                "Evaluation:",
                "",
                "| requests | n | Dice before | Dice after |",
                "|---|---|---|---|",
                _row("corrected, held out", evaluation.held_out),
                _row("reference set", evaluation.reference),
                "",
                "Rule: served only if Dice on the held-out corrected cases rises and on the reference set falls by no "
                f"more than {MOST_LOST:g}.",
                f"{decision} {verdict.reason}",
                "",
                "## 3. Impact assessment",
                "",
                *(f"- {sentence}" for sentence in self.impact),
                "",
                f"Rollback: `medsight models rollback` serves the version before, `--to {parent}` the one that this "
                "was trained from. No file of a version ever changes, so its answers come back bit for bit.",
                "",
            ]
        )


def _facts(facts: Mapping[str, Any]) -> list[str]:
    return [f"- {name.replace('_', ' ')}: {_text(value)}" for name, value in facts.items()] or ["- nothing is recorded"]


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(each)}" for name, each in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _row(what: str, score: Score) -> str:
    return f"| {what} | {score.n} | {score.before:.3f} | {score.after:.3f} |"
