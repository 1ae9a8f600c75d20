"""What a server says, as plain data: who it is (`ServerInfo`) and what it answered (`Reply`).

Turns bytes of HTTP bodies into these types, or into one sentence when they make no sense. Opens no connection.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Mapping

from medsight_core.answer import Answer, ModelInfo
from medsight_core.client.multipart import parse_multipart
from medsight_core.errors import InputError, ServerError
from medsight_core.protocol import MAX_UPLOAD_BYTES, PROTOCOL_VERSION
from medsight_core.soft_masks import SoftMask, read_soft

if TYPE_CHECKING:
    from medsight_core.packing import PackedMasks


@dataclass(frozen=True)
class ServerInfo:
    """A server as it describes itself; what an older server does not say keeps its default.

    protocol: version of the wire it speaks (`medsight_core.protocol.PROTOCOL_VERSION`).
    version: version of MedSIGHT it runs.
    model: the model that answers, with its licence.
    scopes, orientations: what may be asked for.
    names: structures the model knows, by modality.
    suggestions: example questions, by modality.
    limits: numbers such as ``upload_bytes``, by name.
    capabilities: what it can beside answering, such as `medsight_core.protocol.CAPABILITY_JOBS`.
    """

    protocol: int = 1
    version: str = ""
    model: ModelInfo = field(default_factory=ModelInfo)
    scopes: tuple[str, ...] = ("volume",)
    orientations: tuple[str, ...] = ()
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    suggestions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()

    @property
    def max_upload_bytes(self) -> int:
        """The largest file that the server takes."""
        return int(self.limits.get("upload_bytes", MAX_UPLOAD_BYTES))

    @classmethod
    def from_json(cls, data: Any) -> ServerInfo:
        """The server that ``GET /medsight/info`` describes.

        Raises ServerError when the reply is not MedSIGHT's, or speaks a newer protocol than this client.
        """
        try:
            model = data.get("model") or {}
            info = cls(
                protocol=int(data["protocol"]),
                version=str(data.get("version", "")),
                model=ModelInfo(*(str(model.get(key, "")) for key in ("id", "version", "licence"))),
                scopes=_words(data.get("scopes", cls.scopes)),
                orientations=_words(data.get("orientations", ())),
                names=_lists(data.get("names")),
                suggestions=_lists(data.get("suggestions")),
                limits={str(key): float(value) for key, value in (data.get("limits") or {}).items()},
                capabilities=_words(data.get("capabilities", ())),
            )
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ServerError(
                "What answers here does not describe itself as a MedSIGHT server: correct the address."
            ) from None
        if info.protocol > PROTOCOL_VERSION:
            raise ServerError(
                f"The server speaks protocol {info.protocol} and this client only {PROTOCOL_VERSION}: "
                f"update MedSIGHT on this side{f' to {info.version}' if info.version else ''}."
            )
        return info


@dataclass(frozen=True)
class Reply:
    """An answer with its label file.

    answer: what was found, without masks.
    segmentation: bytes of the label file, ``.seg.nrrd`` unless another format was asked for; None when nothing was
        found.
    filename: a name for that file with the right extension; empty without one.
    soft: soft masks by `Region.label`, where they were asked for and the server makes them.
    """

    answer: Answer
    segmentation: bytes | None = None
    filename: str = ""
    soft: Mapping[int, SoftMask] = field(default_factory=dict)

    def masks(self) -> PackedMasks | None:
        """The masks of a reply that was asked for packed, None when nothing was found; ServerError for a bad one."""
        from medsight_core.packing import unpack_masks

        if self.segmentation is None:
            return None
        try:
            masks = unpack_masks(self.segmentation)
        except InputError:
            raise ServerError("The masks that the server sent cannot be read: ask again.") from None
        found = sorted(mask.label for mask in masks.masks)
        named = sorted(region.label for region in self.answer.regions)
        if found != named:
            raise ServerError(
                f"The server's masks have the labels {found} and its answer {named}: check that the server is of this "
                "version."
            )
        return masks


def parse_json(body: bytes) -> Any:
    """The JSON value of a reply; ServerError when it is none."""
    try:
        return json.loads(body)
    except ValueError:
        raise ServerError(
            "The server's reply is not the expected JSON: check that the address is that of a MedSIGHT server "
            "and that no proxy answers in its place."
        ) from None


def parse_reply(content_type: str, body: bytes) -> Reply:
    """The reply of ``POST /infer/medsight``: multipart of ``params`` and ``image``, or JSON when nothing was found.

    Raises ServerError when it makes no sense, names regions without outlining them, or stops half way.
    """
    segmentation, filename, soft = None, "", {}
    if content_type.lower().startswith("multipart/"):
        try:
            parts = parse_multipart(content_type, body)
            body = parts["params"].content
            segmentation, filename = parts["image"].content, parts["image"].filename
            soft = read_soft(parts["soft"].content) if "soft" in parts else {}
        except (KeyError, ValueError):
            raise ServerError(
                "The server's reply is incomplete or damaged: ask again, and look at the server's log if it stays so."
            ) from None
    try:
        answer = Answer.from_json(parse_json(body))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise ServerError(
            "The server's reply is not a MedSIGHT answer: check that client and server are of the same version."
        ) from None
    if answer.regions and segmentation is None:
        raise ServerError(
            f"The server named {len(answer.regions)} regions but sent no outlines: "
            "ask again, and look at its log if it stays so."
        )
    return Reply(answer, segmentation, filename, soft)


def _words(values: Any) -> tuple[str, ...]:
    return tuple(str(value) for value in values)


def _lists(values: Any) -> dict[str, tuple[str, ...]]:
    return {str(key): _words(words) for key, words in (values or {}).items()}
