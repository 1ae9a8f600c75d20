"""How far a training is, kept in a file so that another process can tell people.

The training writes it, the server reads it. A file that cannot be written or read never stops either.
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from medsight_core.files import write_whole
from medsight_core.protocol import TRAINING_ENDED, TRAINING_IDLE, TRAINING_STOPPED

STOPPED = "The training was stopped before its end: nothing is kept of it, and the served model is as it was."


@dataclass(frozen=True)
class TrainingState:
    """state: one of `medsight_core.protocol.TRAINING_STATES`. phase to held_out: of `adapt.Progress`; nan is None.

    elapsed: seconds since it began. cases: that it learns from. notices: sentences about corrections that were left
    out. version: that came out of it. detail: how it ended, as a sentence.
    """

    state: str = TRAINING_IDLE
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

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        data = {**asdict(self), "notices": list(self.notices)}
        return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in data.items()}


class TrainingFile:
    """The state in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, state: TrainingState) -> None:
        """Replace the file; a full disk is no reason to stop a training."""
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, json.dumps(state.to_json()).encode())

    def read(self, running: bool) -> TrainingState:
        """The state; a training that has not ended and does not run any more counts as stopped."""
        try:
            data = json.loads(self.path.read_bytes())
            state = TrainingState(**{**data, "notices": tuple(data["notices"])})
        except (OSError, ValueError, LookupError, TypeError):
            return TrainingState()
        if running or state.state in (TRAINING_IDLE, *TRAINING_ENDED):
            return state
        return replace(state, state=TRAINING_STOPPED, eta=None, detail=STOPPED)
