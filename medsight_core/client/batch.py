"""What a server says of a batch of questions, as plain data. Opens no connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from medsight_core.client.cases import nonsense
from medsight_core.protocol import BATCH_STATES


@dataclass(frozen=True)
class Batch:
    """How far the same question about many images is, or how it ended.

    status: one of `medsight_core.protocol.BATCH_STATES`. answered, skipped: images of ``total``; those that are skipped
    held this answer already. failed: (image, why). image: that is being asked about. eta: seconds, None while nobody
    knows.
    """

    status: str
    total: int
    done: int
    answered: int
    skipped: int
    failed: tuple[tuple[str, str], ...] = ()
    image: str = ""
    eta: float | None = None

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.status in BATCH_STATES[2:]


def parse_batch(data: Any) -> Batch:
    """The batch in a reply of ``/batch/infer``."""
    try:
        if data["status"] not in BATCH_STATES:
            raise ValueError
        counts = {key: int(data[key]) for key in ("total", "done", "answered", "skipped")}
        failed = tuple((str(each["image"]), str(each["detail"])) for each in data["failed"])
        eta = data.get("eta")
        return Batch(data["status"], **counts, failed=failed, image=str(data.get("image") or ""), eta=eta)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise nonsense("a batch") from None
