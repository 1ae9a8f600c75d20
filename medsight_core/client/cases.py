"""What a server says to an annotator, as plain data: the next case, a downloaded image, what is kept of its label.

Turns JSON into these types, or into one sentence when it makes no sense. Opens no connection and no file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping

from medsight_core.errors import InputError, ServerError
from medsight_core.protocol import check_id

_HASH_CHARACTERS = len("SHA256:") + 64


@dataclass(frozen=True)
class Case:
    """A case to label next.

    id: of its image. score: 0 to 1, how much its labelling is thought to help. reason: why, as a sentence.
    image_hash: of the image as the model saw it; "" when it has not looked at it yet.
    """

    id: str
    score: float
    reason: str
    image_hash: str = ""


@dataclass(frozen=True)
class StoredImage:
    """An image on this side: its file, and the hash that `Annotator.submit` takes."""

    path: Path
    image_hash: str


@dataclass(frozen=True)
class Segment:
    """Who outlined one segment: label is its value in the file, made_by "model", "edited" or "drawn", "" for unsaid."""

    label: int
    name: str
    made_by: str = ""

    def to_json(self) -> dict[str, Any]:
        """As the server reads it."""
        return {"label": self.label, "name": self.name, **({"made_by": self.made_by} if self.made_by else {})}


@dataclass(frozen=True)
class Submitted:
    """What became of a label: the version that it is kept as, and sentences that its annotator should read."""

    version: int
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Version:
    """One kept version of an image's label; texts are "" where nobody said anything.

    found: whether it lay on the server without having been handed in. submitted: UTC, ISO 8601. label_hash: of its
    file.
    """

    version: int
    tag: str
    submitted: str
    annotator: str
    image_hash: str
    label_hash: str = ""
    segments: tuple[Segment, ...] = ()
    prompt: str = ""
    answer: str = ""
    base_version: int | None = None
    found: bool = False


@dataclass(frozen=True)
class Versions:
    """All kept versions of an image's label, oldest first, and the hash of the image as it is now."""

    image_hash: str
    versions: tuple[Version, ...] = ()


def parse_case(data: Any) -> Case | None:
    """The case in a reply of ``POST /activelearning/{strategy}``; None when all are labelled."""
    if data == {}:
        return None
    try:
        score, content = float(data["score"]), str(data.get("checksum") or "")
        return Case(check_id(data["id"]), score, str(data["reason"]), content[:_HASH_CHARACTERS])
    except (AttributeError, KeyError, TypeError, ValueError, InputError):
        raise nonsense("the next case") from None


def parse_submitted(data: Any) -> Submitted:
    """What became of a label, in a reply of ``PUT /datastore/label``."""
    try:
        return Submitted(int(data["version"]), tuple(str(text) for text in data["notices"]))
    except (KeyError, TypeError, ValueError):
        raise ServerError(
            "The server took the label but names no version of it: see that it is a MedSIGHT server, "
            "as MONAI Label alone overwrites the label before."
        ) from None


def parse_versions(data: Any) -> Versions:
    """What is kept of an image, in a reply of ``GET /medsight/corrections``."""
    try:
        return Versions(str(data["image_hash"]), tuple(_version(each) for each in data["versions"]))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise nonsense("the versions of a label") from None


def _version(data: Mapping[str, Any]) -> Version:
    texts = {key: str(data.get(key) or "") for key in ("tag", "submitted", "annotator", "image_hash", "label_hash")}
    segments = (Segment(int(s["label"]), str(s["name"]), str(s.get("made_by") or "")) for s in data["segments"])
    base = data.get("base_version")
    return Version(
        int(data["version"]),
        **texts,
        segments=tuple(segments),
        prompt=str(data.get("prompt") or ""),
        answer=str(data.get("answer") or ""),
        base_version=None if base is None else int(base),
        found=data.get("found") is True,
    )


def nonsense(what: str) -> ServerError:
    """The error of a reply that does not say what it should."""
    return ServerError(
        f"The server's reply does not describe {what}: check that client and server are of the same version."
    )
