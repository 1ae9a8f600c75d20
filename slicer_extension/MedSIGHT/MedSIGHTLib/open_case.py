"""A case of a server's worklist that is open here, as plain data that lies with its volume in the scene.

Knows neither Slicer, Qt nor HTTP.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class OpenCase:
    """What must be known of a case to hand it in or review it; texts are "" where nobody said anything.

    id, image_hash: of the server's image. base_version: the version whose segments were loaded or handed in last, 0 for
    none; base_segments: how many it has, and base_annotator: whose it is. reason: why it is worth labelling. status,
    level, comment, reviewer: what was said of the label. submitted: whether it was handed in or reviewed from here.
    """

    id: str
    image_hash: str
    base_version: int = 0
    base_segments: int = 0
    base_annotator: str = ""
    reason: str = ""
    status: str = ""
    level: str = ""
    comment: str = ""
    reviewer: str = ""
    submitted: bool = False

    def to_json(self) -> str:
        """As text that `from_json` takes."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> OpenCase | None:
        """The case that was written as ``text``; None when it is none that this version knows."""
        try:
            data = json.loads(text)
            case = cls(**{name: data[name] for name in cls.__dataclass_fields__ if name in data})
        except (TypeError, ValueError):
            return None
        kinds = {name: type(getattr(cls, name, "")) for name in cls.__dataclass_fields__}
        return case if all(type(getattr(case, name)) is kind for name, kind in kinds.items()) else None
