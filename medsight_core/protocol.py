"""How a question and its answer travel: every path, parameter and limit that both sides of the wire share.

The server and the client import this file, so that neither can drift. It knows nothing of how either works.
The shape of the reply is `medsight_core.answer.Answer.to_json`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Sequence

from medsight_core.errors import InputError, TooLargeError

PROTOCOL_VERSION = 1

# MONAI Label's own endpoints that we keep.
MODEL = "medsight"  # its name in MONAI Label's calls
PATH_INFER = f"/infer/{MODEL}"
PATH_SESSION = "/session/"
PATH_DATASTORE = "/datastore/"
PATH_DATASTORE_LABEL = "/datastore/label"
PATH_APP_INFO = "/info/"
PATH_TRAIN = "/train/"
PATH_BATCH = "/batch/infer"
# Ours.
PATH_INFO = "/medsight/info"
PATH_JOBS = "/medsight/jobs"
PATH_VOLUMES = "/medsight/volumes"
PATH_CORRECTIONS = "/medsight/corrections"
PATH_TRAINING = "/medsight/training"
PATH_MODELS = "/medsight/models"
PATH_METRICS = "/medsight/metrics"
PATH_HEALTH = "/medsight/health"

# What a server says that it can beside answering, in the ``capabilities`` of `PATH_INFO`; an older one says nothing.
CAPABILITY_JOBS = "jobs"
CAPABILITY_SOFT = "soft"  # sends `soft_masks` along when it is asked to
CAPABILITY_TRAINING = "training"  # learns from the labels that it keeps, and has versions of its model
CAPABILITY_PACKED = "packed"  # volumes at `PATH_VOLUMES` by their content, and `PACKED_EXTENSIONS`, with zlib or stored
CAPABILITY_BLOSC2 = "packed-blosc2"  # and with blosc2
CAPABILITY_UNCHANGED = "unchanged"  # a label that is handed in may leave out what its base version has just so

# The server-sent events of a job. The last three end it; ``failed`` is like a refused request, with its status.
EVENT_PROGRESS = "progress"  # {"phase", "elapsed", "total"} and "done" (0..1), or "ahead" of those that are queued
EVENT_TEXT = "text"  # {"text"}: the next piece of what the model says, before anything is outlined
EVENT_DONE = "done"  # {"reply": as of PATH_INFER, "result": where reply and label file are}
EVENT_FAILED = "failed"  # {"detail", "status"} and, from a busy server, "retry_after" (seconds)
EVENT_CANCELLED = "cancelled"  # {"detail", "status"}
FINAL_EVENTS = (EVENT_DONE, EVENT_FAILED, EVENT_CANCELLED)
PHASES = ("queued", "encode", "generate", "decode")

# What `PATH_TRAINING` says of the latest training: the last four are how it ended.
TRAINING_STATES = ("idle", "starting", "running", "promoted", "kept", "failed", "stopped")
TRAINING_IDLE, TRAINING_STARTING, TRAINING_RUNNING = TRAINING_STATES[:3]
TRAINING_ENDED = TRAINING_PROMOTED, TRAINING_KEPT, TRAINING_FAILED, TRAINING_STOPPED = TRAINING_STATES[3:]

# Answers that were made before anybody asked lie under MONAI Label's own tag for what a model made, never under
# "final", and say what was asked under a key of their own.
TAG_PREANNOTATED = "original"
KEY_PREANNOTATION = "preannotation"
BATCH_IMAGES = ("unlabeled", "all", "labeled")  # which are asked about
BATCH_STATES = ("SUBMITTED", "RUNNING", "DONE", "ERROR", "STOPPED")  # MONAI Label's words; the last three are ends

DEFAULT_PORT = 8000
HEADER_CLIENT = "MedSIGHT-Client"  # tells programs apart, so that all get their turn; a made-up word, no name
TOKEN_ENVIRONMENT = "MEDSIGHT_TOKEN"  # noqa: S105 - the name of the variable, not a token
SERVING = "MedSIGHT server:"  # begins the line with the address that a server prints once it answers

MAX_PROMPT_CHARACTERS = 2000
MAX_UPLOAD_BYTES = 1 << 30  # a 512 x 512 x 2000 int16 CT
MAX_VOXELS = 1 << 29
MAX_HISTORY_TURNS = 32

# Ids come from outside and end in file names: letters, digits, dot, dash and underscore, never a leading dot.
ID_PATTERN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")

ORIENTATIONS = ("axial", "sagittal", "coronal")
SCOPE_PLANE = "plane"
SCOPE_RANGE = "range"  # of planes; a server that lists it among its scopes knows it
SCOPE_VOLUME = "volume"
_SCOPES = {"plane": SCOPE_PLANE, "slice": SCOPE_PLANE, "range": SCOPE_RANGE, "volume": SCOPE_VOLUME}
_RANGE = re.compile(r"\s*([a-z]+)\s*:\s*(\d+)\s*-\s*(\d+)\s*", re.IGNORECASE)

EXTENSION_SEGMENTATION = ".seg.nrrd"
PLAIN_EXTENSIONS = (".nrrd", ".nii.gz")  # of labelmaps
LABEL_EXTENSIONS = (EXTENSION_SEGMENTATION, *PLAIN_EXTENSIONS)
# Masks of `medsight_core.packing`, for clients that read them; the codec is in the name.
CODEC_BLOSC2, CODEC_ZLIB, CODEC_STORED = "blosc2", "zlib", "stored"  # the last as it is, within one machine
PACKED_EXTENSIONS = {codec: f".masks.{codec}" for codec in (CODEC_BLOSC2, CODEC_ZLIB)}


@dataclass(frozen=True)
class PlaneRequest:
    """Which plane is meant: a named orientation and slice index, or a plane in patient space.

    orientation: "axial", "sagittal" or "coronal", with ``index`` counting voxels along the array axis that lies nearest
        to that orientation's normal, in stored order; or "oblique", described by the remaining fields.
    origin: centre of the top left pixel, LPS millimetres.
    right, down: unit vectors along a row and down a column, LPS.
    spacing: edge of the square pixels in millimetres.
    shape: rows and columns.
    """

    orientation: str
    index: int = 0
    origin: tuple[float, ...] = ()
    right: tuple[float, ...] = ()
    down: tuple[float, ...] = ()
    spacing: float = 0.0
    shape: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The ``plane`` parameter of a request."""
        if self.orientation != "oblique":
            return {"orientation": self.orientation, "index": self.index}
        return {
            "orientation": self.orientation,
            "origin": list(self.origin),
            "right": list(self.right),
            "down": list(self.down),
            "spacing": self.spacing,
            "shape": list(self.shape),
        }


@dataclass(frozen=True)
class PlaneRange:
    """Planes beside each other: a named orientation, and the ``first`` and ``last`` index as `PlaneRequest` counts."""

    orientation: str
    first: int
    last: int

    def __str__(self) -> str:
        """As `parse_range` takes it: ``axial:10-20``."""
        return f"{self.orientation}:{self.first}-{self.last}"

    def to_json(self) -> dict[str, Any]:
        """The ``plane`` parameter of a request whose scope is a range."""
        return {"orientation": self.orientation, "first": self.first, "last": self.last}


@dataclass(frozen=True)
class Question:
    """A validated request: what `Engine.ask` needs, and nothing else from the outside."""

    prompt: str
    scope: str = SCOPE_VOLUME
    plane: PlaneRequest | PlaneRange | None = None
    history: tuple[tuple[str, str], ...] = ()
    modality: str | None = None
    window: str | None = None
    threshold: float | None = None  # least probability, 0..1, at which a thing counts as seen
    soft: bool = False  # whether `soft_masks` are wanted beside the outlines

    def to_params(self) -> dict[str, Any]:
        """The ``params`` form field of ``POST /infer/medsight``."""
        params: dict[str, Any] = {"prompt": self.prompt, "scope": self.scope}
        if self.plane is not None:
            params["plane"] = self.plane.to_json()
        if self.history:
            params["history"] = [list(turn) for turn in self.history]
        if self.modality:
            params["modality"] = self.modality
        if self.window:
            params["window"] = self.window
        if self.threshold is not None:
            params["threshold"] = self.threshold
        if self.soft:
            params["soft"] = True
        return params


def check_prompt(prompt: Any) -> str:
    """The prompt without surrounding blanks.

    Raises InputError when it is not text or empty, TooLargeError above `MAX_PROMPT_CHARACTERS`.
    """
    if not isinstance(prompt, str):
        raise InputError(f"The prompt must be text, not {type(prompt).__name__}: send it as a JSON string.")
    text = " ".join(_encodable(prompt, "prompt").split())
    if not text:
        raise InputError("The prompt is empty: write a question such as 'Outline the right lung.'")
    if len(text) > MAX_PROMPT_CHARACTERS:
        raise TooLargeError(
            f"The prompt has {len(text)} characters and the limit is {MAX_PROMPT_CHARACTERS}: ask a shorter question."
        )
    return text


def check_id(value: Any, what: str = "image id") -> str:
    """``value`` when it is a safe identifier.

    Raises InputError otherwise; the value itself is not repeated, as it may hold a patient's name.
    """
    if not isinstance(value, str) or not ID_PATTERN.fullmatch(value):
        raise InputError(
            f"This {what} is not allowed: use up to 128 letters, digits, '.', '-' or '_', not starting with a dot."
        )
    return value


def check_scope(value: Any) -> str:
    """The scope for "plane", its synonym "slice", "range" or "volume"; InputError otherwise."""
    try:
        return _SCOPES[value]
    except (KeyError, TypeError):
        raise InputError(f"Unknown scope {value!r}: use 'plane', 'range' or 'volume'.") from None


def check_threshold(value: Any) -> float | None:
    """The least probability at which a thing counts as seen, None for the model's own; InputError otherwise."""
    if value is None or value == "":
        return None
    try:
        threshold = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        threshold = math.nan
    if not 0 <= threshold <= 1:
        raise InputError(f"The threshold {value!r} is no probability: use a number from 0 to 1, or leave it out.")
    return threshold


def check_soft(value: Any) -> bool:
    """Whether soft masks are wanted; InputError for what is neither true nor false."""
    if not isinstance(value, (bool, type(None))):
        raise InputError(f"soft is {value!r}: use true for each voxel's probability beside the outlines, or false.")
    return bool(value)


def parse_plane(value: Any) -> PlaneRequest:
    """The plane of a request, from its JSON object or from the command line's "axial:42".

    Raises InputError with an example when it cannot be understood.
    """
    example = "write it as axial:42, sagittal:10 or coronal:7"
    if isinstance(value, str):
        name, _, place = value.partition(":")
        value = {"orientation": name.strip().lower(), "index": place.strip()}
    if not isinstance(value, Mapping):
        raise InputError(f"The plane {value!r} cannot be understood: {example}.")
    orientation: Any = value.get("orientation", "oblique" if "origin" in value else "")
    if orientation in ORIENTATIONS:
        index = value.get("index")
        try:
            if isinstance(index, bool) or (isinstance(index, float) and not index.is_integer()):
                raise ValueError("not a whole number")
            return PlaneRequest(orientation, index=int(index))  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            raise InputError(f"The plane's index {index!r} is not a whole number: {example}.") from None
    if orientation == "oblique":
        try:
            plane = PlaneRequest(
                "oblique",
                origin=_floats(value["origin"], 3),
                right=_floats(value["right"], 3),
                down=_floats(value["down"], 3),
                spacing=_floats([value["spacing"]], 1)[0],
                shape=tuple(int(n) for n in _floats(value["shape"], 2)),
            )
        except (KeyError, TypeError, ValueError, OverflowError):
            raise InputError(
                "An oblique plane needs 'origin', 'right', 'down' (three numbers each, LPS), 'spacing' (mm) and "
                "'shape' (rows, columns): send all five."
            ) from None
        if plane.spacing <= 0 or min(plane.shape) < 2 or max(plane.shape) > min(4096, 16 * min(plane.shape)):
            raise InputError(
                f"A plane of {plane.shape[0]} x {plane.shape[1]} pixels of {plane.spacing:g} mm cannot be used: "
                "send 2 to 4096 pixels a side, at most 16 times as long as wide, and a positive spacing."
            )
        return plane
    raise InputError(f"Unknown plane orientation {orientation!r}: {example}.")


def is_range(text: str) -> bool:
    """Whether the command line's or a script's ``text`` means planes as `parse_range` takes them."""
    return _RANGE.fullmatch(text) is not None


def parse_range(value: Any) -> PlaneRange:
    """The planes of a request, from its JSON object or from "axial:10-20"; ``first`` is not above ``last`` then.

    Raises InputError with an example when they cannot be understood.
    """
    example = "write them as axial:10-20"
    if isinstance(value, str) and (match := _RANGE.fullmatch(value)):
        value = dict(zip(("orientation", "first", "last"), (match[1].lower(), match[2], match[3])))
    if not isinstance(value, Mapping) or "first" not in value or "last" not in value:
        raise InputError(f"The range of planes {value!r} cannot be understood: {example}.")
    orientation = value.get("orientation")
    if orientation not in ORIENTATIONS:
        raise InputError(f"Unknown plane orientation {orientation!r}: {example}.")
    first, last = (parse_plane({"orientation": orientation, "index": value[end]}).index for end in ("first", "last"))
    return PlaneRange(str(orientation), min(first, last), max(first, last))


def parse_question(params: Mapping[str, Any]) -> Question:
    """The question in a request's ``params``.

    Raises InputError (or TooLargeError) with a sentence for the first thing that is wrong. Unknown keys are ignored, as
    MONAI Label's own clients send several of theirs.
    """
    scope = check_scope(params.get("scope", SCOPE_VOLUME))
    plane = params.get("plane")
    if scope == SCOPE_PLANE and plane is None:
        raise InputError("The scope is 'plane' but no plane is given: add plane, for example axial:42.")
    if scope == SCOPE_RANGE and plane is None:
        raise InputError("The scope is 'range' but no planes are given: add plane, for example axial:10-20.")
    return Question(
        prompt=check_prompt(params.get("prompt", "")),
        scope=scope,
        plane=_PLANE_OF[scope](plane),
        history=parse_history(params.get("history", ())),
        modality=_optional_word(params, "modality"),
        window=_optional_word(params, "window"),
        threshold=check_threshold(params.get("threshold")),
        soft=check_soft(params.get("soft")),
    )


_PLANE_OF: dict[str, Callable[[Any], PlaneRequest | PlaneRange | None]] = {
    SCOPE_PLANE: parse_plane,
    SCOPE_RANGE: parse_range,
    SCOPE_VOLUME: lambda value: None,
}


def parse_history(value: Any) -> tuple[tuple[str, str], ...]:
    """Earlier turns as (question, answer) pairs; accepts pairs or {"question", "answer"} objects."""
    if value is None:
        return ()
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise InputError("The history must be a list of [question, answer] pairs: send [] to start a new conversation.")
    turns = []
    for turn in value[-MAX_HISTORY_TURNS:]:
        pair = (turn.get("question"), turn.get("answer")) if isinstance(turn, Mapping) else turn
        if isinstance(pair, (str, bytes)) or not isinstance(pair, Sequence) or len(pair) != 2:
            raise InputError("A turn of the history is not a [question, answer] pair: send both texts of each turn.")
        if not all(isinstance(text, str) and len(text) <= 4 * MAX_PROMPT_CHARACTERS for text in pair):
            raise InputError("A turn of the history is not text of reasonable length: send both texts of each turn.")
        turns.append((_encodable(pair[0], "history"), _encodable(pair[1], "history")))
    return tuple(turns)


def label_extension(params: Mapping[str, Any]) -> str:
    """The label file's extension that a request asks for (MONAI Label's ``result_extension``)."""
    value = params.get("result_extension") or EXTENSION_SEGMENTATION
    if value not in (*LABEL_EXTENSIONS, *PACKED_EXTENSIONS.values()):
        raise InputError(f"Unknown label format {value!r}: use one of {', '.join(LABEL_EXTENSIONS)}.")
    return str(value)


def _encodable(text: str, what: str) -> str:
    """``text`` when it can be written as UTF-8; JSON may carry half of a surrogate pair, which cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"The {what} holds half of a character: type it again.") from None
    return text


def _optional_word(params: Mapping[str, Any], key: str) -> str | None:
    value = params.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > 64:
        raise InputError(f"The {key} must be a short word: leave it out to let the server choose.")
    return value


def _floats(values: Any, count: int) -> tuple[float, ...]:
    numbers = tuple(float(v) for v in values)
    if len(numbers) != count or any(n != n or abs(n) > 1e7 for n in numbers):
        raise ValueError("wrong count or not finite")
    return numbers
