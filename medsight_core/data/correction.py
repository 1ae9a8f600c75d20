"""A corrected segmentation as plain data: what was asked and answered, what is outlined, and who outlined it.

This is the sidecar that lies beside every version of a label. It knows neither files nor HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from medsight_core.errors import InputError
from medsight_core.protocol import MAX_PROMPT_CHARACTERS

SCHEMA = 1
MODEL, EDITED, DRAWN = MAKERS = ("model", "edited", "drawn")
KEY = "medsight"  # of ours in the information that MONAI Label keeps with a label

_LONGEST = {
    "prompt": MAX_PROMPT_CHARACTERS,
    "answer": 4 * MAX_PROMPT_CHARACTERS,
    "model_version": 64,
    "image_hash": 80,
    "key": 64,
}
_MOST_SEGMENTS = 1024


@dataclass(frozen=True)
class CorrectedSegment:
    """One segment of a corrected label.

    label: its value in the file. name: canonical where MedSIGHT knows it, else as given. given: as the annotator wrote.
    code: the model's region code, "" for a name that it has none for. terminology: of
    `medsight_core.terminology.coding`. made_by: "model" (left as the model outlined it), "edited" or "drawn".
    voxels: how many it has; 0 says that the thing is not there. known: whether MedSIGHT knows the name.
    """

    label: int
    name: str
    given: str
    code: str
    made_by: str
    voxels: int
    known: bool
    terminology: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**self.__dict__, "terminology": dict(self.terminology)}


@dataclass(frozen=True)
class Correction:
    """What is kept beside a label.

    image_hash: `medsight_core.files.file_hash` of the image that it outlines. image_id, tag: as in MONAI Label's
    datastore. annotator: the client's id, "" for an unknown one. base_version: the version that the annotator began
    from, 0 for none; None when the client did not say. submitted: UTC, ISO 8601. label_hash: of the label file.
    found: whether it was not handed in but lay in the datastore, which then knew nothing more of it.
    key: the client's own for this hand-in, "" for none. version: 1 for an image's first; 0 before it is kept.
    """

    image_id: str
    image_hash: str
    tag: str
    submitted: str
    label_hash: str
    segments: tuple[CorrectedSegment, ...] = ()
    prompt: str = ""
    answer: str = ""
    model_version: str = ""
    annotator: str = ""
    base_version: int | None = None
    found: bool = False
    key: str = ""
    version: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**self.__dict__, "schema": SCHEMA, "segments": [segment.to_json() for segment in self.segments]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Correction:
        """The correction of a sidecar; raises LookupError, TypeError or ValueError when it is none."""
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        return cls(**{**known, "segments": tuple(CorrectedSegment(**segment) for segment in data["segments"])})


@dataclass(frozen=True)
class Claim:
    """What a client says of a label that it hands in; everything may be missing, as stock clients say only names.

    names: by label value, from MONAI Label's ``label_info``. makers, codes: by name as given. image_hash:
    `Correction.image_hash` of what the annotator saw. nothing_there: whether a label without a voxel is meant so.
    unchanged: names of segments that are to be taken from ``base_version``, because the file does not repeat them.
    key: the same when something is handed in again because no reply came.
    """

    names: Mapping[int, str] = field(default_factory=dict)
    makers: Mapping[str, str] = field(default_factory=dict)
    codes: Mapping[str, str] = field(default_factory=dict)
    prompt: str = ""
    answer: str = ""
    model_version: str = ""
    image_hash: str = ""
    annotator: str = ""
    base_version: int | None = None
    nothing_there: bool = False
    unchanged: tuple[str, ...] = ()
    key: str = ""

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Claim:
        """The claim in the ``params`` of ``PUT /datastore/label``: ``label_info``, ``client_id`` and ``medsight``.

        Raises InputError for the first value of the wrong kind.
        """
        own = params.get(KEY) or {}
        if not isinstance(own, Mapping):
            raise InputError(f"The params' {KEY} is not a JSON object: leave it out, or send one.")
        info = [_entry(entry, "label_info", "idx") for entry in _list(params, "label_info")]
        segments = [_entry(entry, f"{KEY}.segments", "label") for entry in _list(own, "segments")]
        for _, name, entry in segments:
            if entry.get("made_by", DRAWN) not in MAKERS:
                raise InputError(f"The segment {name!r} was made by nobody known: say one of {', '.join(MAKERS)}.")
        base = own.get("base_version")
        if base is not None and (not isinstance(base, int) or isinstance(base, bool) or base < 0):
            raise InputError("The base_version is not a whole number: send the version you began from, 0 for none.")
        unchanged = tuple(_list(own, "unchanged"))
        if not all(isinstance(name, str) for name in unchanged) or (unchanged and not base):
            raise InputError(
                "What is unchanged must be names of segments, and the base_version that has them: send both, or all "
                "segments."
            )
        texts = {key: _text(own, key, longest) for key, longest in _LONGEST.items()}
        return cls(
            names={label: name for label, name, _ in [*info, *segments]},
            makers={name: str(entry["made_by"]) for _, name, entry in segments if "made_by" in entry},
            codes={name: _text(entry, "code", 64) for _, name, entry in segments if entry.get("code")},
            annotator=str(params.get("client_id") or "")[:128],
            base_version=base,
            nothing_there=own.get("nothing_there") is True,
            unchanged=unchanged,
            key=texts["key"],
            prompt=texts["prompt"],
            answer=texts["answer"],
            model_version=texts["model_version"],
            image_hash=texts["image_hash"],
        )


def _list(params: Mapping[str, Any], key: str) -> list[Any]:
    value = params.get(key) or []
    if not isinstance(value, list) or len(value) > _MOST_SEGMENTS:
        raise InputError(f"The params' {key} is not a list of segments: send one entry for each.")
    return value


def _entry(entry: Any, where: str, number: str) -> tuple[int, str, Mapping[str, Any]]:
    """Label, name and all else of one entry."""
    if isinstance(entry, Mapping):
        label, name = entry.get(number), entry.get("name")
        if isinstance(label, int) and isinstance(name, str) and 0 < len(name.strip()) <= 128:
            return int(label), " ".join(name.split()), entry
    example = f'{{"name": "right lung", "{number}": 1}}'
    raise InputError(f"An entry of the params' {where} does not name a segment: send each as {example}.")


def _text(data: Mapping[str, Any], key: str, longest: int) -> str:
    value = data.get(key) or ""
    if not isinstance(value, str) or len(value) > longest:
        raise InputError(f"The {key} of a correction must be text of at most {longest} characters: shorten it.")
    return value
