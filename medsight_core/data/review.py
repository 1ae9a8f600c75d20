"""What a reviewer says of a label, in the words in which MONAI Label's Reviewer module reads and writes it.

Plain data: it knows neither labels nor HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medsight_core.errors import InputError

KEY = "segmentationMeta"  # of the Reviewer module's in the information that MONAI Label keeps with a label
DRAFT, SUBMITTED, APPROVED, FLAGGED = STATUSES = ("draft", "submitted", "approved", "flagged")
LEVELS = ("easy", "medium", "hard")

_LONGEST_COMMENT = 4000
_LONGEST_NAME = 128


@dataclass(frozen=True)
class Review:
    """status: one of `STATUSES`, or "" for none. level: how hard the case is, one of `LEVELS`, or "" for unsaid.

    comment: free text. reviewer: who said so. edited: seconds since 1970, 0 for unknown.
    """

    status: str = SUBMITTED
    level: str = ""
    comment: str = ""
    reviewer: str = ""
    edited: int = 0

    def to_meta(self) -> dict[str, Any]:
        """As the Reviewer module reads it; it needs all five."""
        return {
            "status": self.status,
            "level": self.level,
            "comment": self.comment,
            "approvedBy": self.reviewer,
            "editTime": self.edited,
        }

    @classmethod
    def of(cls, meta: Any, now: int) -> Review:
        """The review in what a client sends; what it leaves out is empty, and the time is ``now``.

        Raises InputError for an unknown status or level, or text that is none or too long.
        """
        if not isinstance(meta, Mapping):
            raise InputError(f'The {KEY} is not a JSON object: send one such as {{"status": "approved"}}.')
        return cls(
            status=_one_of(meta, "status", STATUSES),
            level=_one_of(meta, "level", LEVELS),
            comment=_text(meta, "comment", _LONGEST_COMMENT),
            reviewer=_text(meta, "approvedBy", _LONGEST_NAME),
            edited=now,
        )


def _one_of(meta: Mapping[str, Any], key: str, allowed: tuple[str, ...]) -> str:
    value = meta.get(key) or ""
    if value not in ("", *allowed):
        raise InputError(f"The review's {key} is none that is known: use one of {', '.join(allowed)}.")
    return str(value)


def _text(meta: Mapping[str, Any], key: str, longest: int) -> str:
    value = meta.get(key) or ""
    if not isinstance(value, str) or len(value) > longest:
        raise InputError(f"The review's {key} must be text of at most {longest} characters: shorten it.")
    return value
