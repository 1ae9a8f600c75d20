"""The cases of a server and how far each has come, as plain data, from MONAI Label's own listing of its datastore.

Turns JSON into these types, or into one sentence when it makes no sense. Opens no connection.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Collection, Mapping

from medsight_core.errors import ServerError
from medsight_core.protocol import ID_PATTERN, KEY_PREANNOTATION, TAG_PREANNOTATED

_TAG = "final"


@dataclass(frozen=True)
class ListedCase:
    """One image and its current label; texts are "" where nobody said anything.

    version: of the label, 0 when it has none or lay there without having been handed in. status, level, comment,
    reviewer: of its review. makers: who made each of its segments, "model", "edited" or "drawn".
    preannotated: the question that the model has answered about it before anybody asked, "" for none.
    """

    id: str
    labelled: bool = False
    version: int = 0
    annotator: str = ""
    status: str = ""
    level: str = ""
    comment: str = ""
    reviewer: str = ""
    makers: tuple[str, ...] = ()
    preannotated: str = ""

    @property
    def awaits_review(self) -> bool:
        """Labelled, and no person has said yet what to think of it; the server flags by itself what two handed in."""
        return self.labelled and (self.status in ("", "submitted") or (self.status == "flagged" and not self.reviewer))

    @property
    def awaits_redoing(self) -> bool:
        """Flagged by a reviewer."""
        return self.labelled and self.status == "flagged" and bool(self.reviewer)


@dataclass(frozen=True)
class Worklist:
    """All cases, in the server's order."""

    cases: tuple[ListedCase, ...] = ()

    @property
    def labelled(self) -> int:
        """How many have a label."""
        return sum(case.labelled for case in self.cases)

    @property
    def preannotated(self) -> int:
        """How many without a label hold an answer of the model that waits for somebody to look at it."""
        return sum(bool(case.preannotated) and not case.labelled for case in self.cases)

    @property
    def makers(self) -> Mapping[str, int]:
        """How many segments of all current labels are as the model outlined them ("model"), "edited" and "drawn"."""
        return Counter(maker for case in self.cases for maker in case.makers)

    def next_to_review(self, skipped: Collection[str] = ()) -> ListedCase | None:
        """The first that awaits a review; one of ``skipped`` only when no other does."""
        return _first((case for case in self.cases if case.awaits_review), skipped)

    def next_to_redo(self, skipped: Collection[str] = ()) -> ListedCase | None:
        """The first that a reviewer flagged; one of ``skipped`` only when there is no other."""
        return _first((case for case in self.cases if case.awaits_redoing), skipped)


def parse_worklist(data: Any) -> Worklist:
    """The worklist in a reply of ``GET /datastore/?output=all``; without images whose ids no call could name."""
    try:
        objects = data["objects"].items()
        return Worklist(tuple(_case(name, known["labels"]) for name, known in objects if ID_PATTERN.fullmatch(name)))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ServerError(
            "The server's reply does not describe its worklist: check that client and server are of the same version."
        ) from None


def parse_strategies(data: Any) -> tuple[str, ...]:
    """The names of the strategies in a reply of ``GET /info/``, the server's default first."""
    try:
        return tuple(str(name) for name in data["strategies"])
    except (KeyError, TypeError):
        raise ServerError(
            "The server's reply does not describe its strategies: check that client and server are of the same version."
        ) from None


def _case(image: str, labels: Mapping[str, Any]) -> ListedCase:
    preannotated = _preannotated(labels)
    if _TAG not in labels:
        return ListedCase(image, preannotated=preannotated)
    info = labels[_TAG].get("info") or {}
    review, own = info.get("segmentationMeta") or {}, info.get("medsight") or {}
    said = {key: str(review.get(key) or "") for key in ("status", "level", "comment")}
    return ListedCase(
        image,
        labelled=True,
        version=int(own.get("version") or 0),
        annotator=str(info.get("client_id") or ""),
        reviewer=str(review.get("approvedBy") or ""),
        makers=tuple(str(segment["made_by"]) for segment in own.get("segments") or ()),
        preannotated=preannotated,
        **said,
    )


def _preannotated(labels: Mapping[str, Any]) -> str:
    """The question of an answer in advance; "" when there is none, or another client's is of another kind."""
    try:
        return str(labels[TAG_PREANNOTATED]["info"][KEY_PREANNOTATION]["question"]["prompt"])
    except (KeyError, TypeError):
        return ""


def _first(cases: Any, skipped: Collection[str]) -> ListedCase | None:
    """Those that were skipped come last, the one that was skipped last at the very end."""
    order = list(skipped)
    return min(cases, key=lambda case: order.index(case.id) + 1 if case.id in order else 0, default=None)
