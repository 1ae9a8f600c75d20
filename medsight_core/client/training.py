"""What a server says of a training and of the model's versions, as plain data.

Turns JSON into these types, or into one sentence when it makes no sense. Opens no connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping

from medsight_core.client.cases import nonsense
from medsight_core.protocol import TRAINING_ENDED, TRAINING_PROMOTED, TRAINING_STATES


@dataclass(frozen=True)
class Training:
    """How far a training is, or how the last one ended.

    state: one of `medsight_core.protocol.TRAINING_STATES`. phase: what is going on; done: 0..1 of it. loss, eta
    (seconds), held_out (Dice on cases that only measure): None while nobody knows. cases: that it learns from. notices:
    sentences about corrections that were left out. version: that came out of it. detail: how it ended.
    """

    state: str
    phase: str = ""
    done: float = 0.0
    epoch: int = 0
    step: int = 0
    steps: int = 0
    loss: float | None = None
    eta: float | None = None
    held_out: float | None = None
    elapsed: float = 0.0
    cases: int = 0
    notices: tuple[str, ...] = ()
    version: str = ""
    detail: str = ""

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.state in TRAINING_ENDED

    @property
    def promoted(self) -> bool:
        """Whether what came out of it is served."""
        return self.state == TRAINING_PROMOTED


@dataclass(frozen=True)
class ModelVersion:
    """One version of the model: (before, after) Dice on new cases and on the reference set, None for the base.

    may_be_served: by the server's rule, for the ``reason``. served: whether it answers now.
    """

    name: str
    parent: str
    created: str
    served: bool
    may_be_served: bool
    reason: str
    new_cases: tuple[float, float] | None = None
    reference: tuple[float, float] | None = None


def parse_training(data: Any) -> Training:
    """The training in a reply of ``GET /medsight/training``."""
    try:
        if data["state"] not in TRAINING_STATES:
            raise ValueError
        known = {name: data[name] for name in Training.__dataclass_fields__ if name in data}
        return Training(**{**known, "notices": tuple(map(str, data.get("notices", ())))})
    except (AttributeError, KeyError, TypeError, ValueError):
        raise nonsense("a training") from None


def parse_models(data: Any) -> tuple[ModelVersion, ...]:
    """The versions in a reply of ``GET /medsight/models``, the base first."""
    try:
        return tuple(_version(each, str(data["current"])) for each in data["versions"])
    except (AttributeError, KeyError, TypeError, ValueError):
        raise nonsense("the versions of the model") from None


def parse_served(data: Any) -> str:
    """The version that is served now, in a reply to a promotion or rollback."""
    try:
        return str(data["current"])
    except (KeyError, TypeError):
        raise nonsense("which version is served") from None


def _version(data: Mapping[str, Any], current: str) -> ModelVersion:
    measured = data["evaluation"] or {}
    return ModelVersion(
        str(data["name"]),
        str(data["parent"]),
        str(data["created"]),
        served=data["name"] == current,
        may_be_served=data["may_be_served"] is True,
        reason=str(data["reason"]),
        new_cases=_dice(measured.get("held_out")),
        reference=_dice(measured.get("reference")),
    )


def _dice(score: Mapping[str, Any] | None) -> tuple[float, float] | None:
    if score is None or score["before"] is None or score["after"] is None:
        return None
    return float(score["before"]), float(score["after"])
