"""An answer as plain data: a sentence, the regions it names, and what was asked for but not seen.

The JSON form (`Answer.to_json`) is what travels (design.md section 4). It carries no masks: those go in a label file
beside it, where segment values equal ``Region.label``. This module knows nothing of models, files or HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the client needs no arrays, and Slicer's start should not wait for them
    import numpy as np

    from medsight_core.soft_masks import SoftMask

NOTICE = "Research use only. Not for clinical use."


@dataclass(frozen=True)
class CodeSpan:
    """A region code in a model's reply: its name without brackets ("M0_16") and where it stands, [start, end)."""

    code: str
    start: int
    end: int


@dataclass(frozen=True)
class Region:
    """One thing that an answer names and outlines.

    label: 1-based value of this region in the label file, unique within an answer.
    name: canonical structure name ("right lung").
    code: region code that the language model emitted, without brackets ("M5_1").
    span: [start, end) of ``name`` in ``Answer.text``, in characters.
    confidence: 0..1, the model's own belief that the region is there and outlined rightly.
    volume_ml: volume of the mask's voxels in millilitres; for planes that of their slices only.
    slices: first and last index along the volume's slowest array axis (k) that the mask touches.
    color: red, green, blue in 0..1.
    terminology: SNOMED CT coding as `medsight_core.terminology.coding` returns it; empty when the name has no code.
    mask: bool array (I, J, K) on the asked volume's own voxel grid; None once the answer has travelled as JSON.
    presence: 0..1, calibrated probability that it is there at all; at least the threshold that was asked with.
    soft: how probable each voxel is, when that was asked for; None once the answer has travelled as JSON.
    """

    label: int
    name: str
    code: str
    span: tuple[int, int]
    confidence: float
    volume_ml: float = 0.0
    slices: tuple[int, int] = (0, 0)
    color: tuple[float, float, float] = (1.0, 1.0, 0.0)
    terminology: dict[str, Any] = field(default_factory=dict)
    mask: np.ndarray | None = field(default=None, compare=False, repr=False)
    presence: float = 0.0
    soft: SoftMask | None = field(default=None, compare=False, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, without the mask."""
        return {
            "label": self.label,
            "name": self.name,
            "code": self.code,
            "span": list(self.span),
            "confidence": round(float(self.confidence), 4),
            "presence": round(float(self.presence), 4),
            "volume_ml": round(float(self.volume_ml), 3),
            "slices": list(self.slices),
            "color": [round(float(c), 4) for c in self.color],
            "terminology": self.terminology,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Region:
        """The region of a reply; fields that an older server does not send keep their defaults."""
        return cls(
            label=int(data["label"]),
            name=str(data["name"]),
            code=str(data.get("code", "")),
            span=(int(data["span"][0]), int(data["span"][1])),
            confidence=float(data.get("confidence", 0.0)),
            presence=float(data.get("presence", 0.0)),
            volume_ml=float(data.get("volume_ml", 0.0)),
            slices=(int(data.get("slices", (0, 0))[0]), int(data.get("slices", (0, 0))[1])),
            color=_color(data.get("color", (1.0, 1.0, 0.0))),
            terminology=dict(data.get("terminology") or {}),
        )


@dataclass(frozen=True)
class ModelInfo:
    """Which model answered: shown to the user and stored with every result."""

    id: str = ""
    version: str = ""
    licence: str = ""

    def to_json(self) -> dict[str, str]:
        """Plain JSON types."""
        return {"id": self.id, "version": self.version, "licence": self.licence}


@dataclass(frozen=True)
class Answer:
    """A sentence with the regions it outlines.

    text: what is shown to the user; "[1]" stands behind the name of region 1.
    regions: the things outlined, in order of appearance.
    absent: canonical names of things asked for and not seen; they never have a region.
    scope: "plane", "range" or "volume".
    timings: seconds by phase (encode, generate, decode, total).
    """

    text: str
    regions: tuple[Region, ...] = ()
    absent: tuple[str, ...] = ()
    scope: str = "volume"
    model: ModelInfo = ModelInfo()
    timings: dict[str, float] = field(default_factory=dict, compare=False)
    notice: str = NOTICE

    def to_json(self) -> dict[str, Any]:
        """The reply of design.md section 4 (plain JSON types, no masks)."""
        return {
            "answer": self.text,
            "regions": [region.to_json() for region in self.regions],
            "absent": list(self.absent),
            "scope": self.scope,
            "model": self.model.to_json(),
            "timings": {phase: round(seconds, 4) for phase, seconds in self.timings.items()},
            "notice": self.notice,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Answer:
        """The answer of a reply.

        Raises LookupError, TypeError, AttributeError or ValueError when the data is not such a reply; callers turn them
        into sentences.
        """
        model = data.get("model") or {}
        return cls(
            text=str(data["answer"]),
            regions=tuple(Region.from_json(region) for region in data.get("regions", ())),
            absent=tuple(str(name) for name in data.get("absent", ())),
            scope=str(data.get("scope", "volume")),
            model=ModelInfo(*(str(model.get(key, "")) for key in ("id", "version", "licence"))),
            timings={str(k): float(v) for k, v in (data.get("timings") or {}).items()},
            notice=str(data.get("notice", NOTICE)),
        )

    def without_masks(self) -> Answer:
        """The same answer with every mask dropped (what a conversation keeps)."""
        return replace(self, regions=tuple(replace(region, mask=None, soft=None) for region in self.regions))


def _color(value: Any) -> tuple[float, float, float]:
    red, green, blue = (float(channel) for channel in value)
    return red, green, blue
