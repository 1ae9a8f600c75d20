"""`MedSightClient`: connect to a server, send it an image, ask.

Checks what it can before anything travels, through the same `medsight_core.protocol` that the server uses. Knows
nothing of Slicer, of how a label file is read, or of how the model works.
"""

from __future__ import annotations

import contextlib
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator, Mapping, Sequence

import requests

from medsight_core.client.asking import Exchange, OnEvent, ask
from medsight_core.client.multipart import CHUNK_BYTES, FileUpload, OnProgress
from medsight_core.client.reply import Reply, ServerInfo, parse_json
from medsight_core.client.transport import CONNECT_TIMEOUT, READ_TIMEOUT, SHORT_READ_TIMEOUT, Transport
from medsight_core.errors import InputError, NotFoundError, ServerError, TooLargeError
from medsight_core.protocol import (
    CAPABILITY_BLOSC2,
    CAPABILITY_JOBS,
    CAPABILITY_PACKED,
    CAPABILITY_SOFT,
    CODEC_BLOSC2,
    CODEC_STORED,
    CODEC_ZLIB,
    DEFAULT_PORT,
    EXTENSION_SEGMENTATION,
    PACKED_EXTENSIONS,
    PATH_DATASTORE,
    PATH_INFO,
    PATH_SESSION,
    PATH_VOLUMES,
    SCOPE_RANGE,
    PlaneRange,
    PlaneRequest,
    check_id,
    label_extension,
    parse_question,
)

if TYPE_CHECKING:
    import numpy as np

DEFAULT_ADDRESS = f"http://127.0.0.1:{DEFAULT_PORT}"

# Extensions of two parts that a server must see whole to know the format.
_DOUBLE_EXTENSIONS = (".nii.gz", EXTENSION_SEGMENTATION)


class MedSightClient:
    """A conversation partner's address, token and patience. Not safe to share between threads.

    address: ``http://host:port``; the scheme may be left out.
    token: what the server printed when it started; None when it wants none.
    connect_timeout, read_timeout: seconds; see `medsight_core.client.transport` for why they differ.
    who: a word for the one who asks, so that a server lets all take turns; a program that asks for several people gives
        one to each. By default each program is one.

    Raises InputError when the address, token or word cannot be used. Every method raises `medsight_core.errors` types
    whose text says what to do.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        token: str | None = None,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        who: str | None = None,
    ):
        """Opens no connection yet."""
        if who is not None:
            check_id(who, "word for who asks")
        self._transport = Transport(address, token, connect_timeout, read_timeout, who)
        self._read_timeout = read_timeout
        self._info: ServerInfo | None = None

    @property
    def address(self) -> str:
        """The server's address in full."""
        return self._transport.address

    def __enter__(self) -> MedSightClient:
        """The client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Drop the open connections. Sessions on the server stay until deleted or expired."""
        self._transport.close()

    def info(self) -> ServerInfo:
        """Who the server is, what its model knows, and its limits. Also proves that the token is right.

        Raises ServerError when the server speaks a newer protocol.
        """
        response = self._transport.request("GET", PATH_INFO, read_timeout=SHORT_READ_TIMEOUT)
        self._info = ServerInfo.from_json(parse_json(response.content))
        return self._info

    def studies(self) -> tuple[str, ...]:
        """Ids of the images that the server has, for `ask`, in alphabetical order."""
        response = self._transport.request("GET", PATH_DATASTORE, params={"output": "all"})
        try:
            return tuple(sorted(check_id(image) for image in parse_json(response.content)["objects"]))
        except (KeyError, TypeError, InputError):
            raise ServerError(
                "The server's list of studies makes no sense: check that it is a MedSIGHT server of this version."
            ) from None

    def upload(self, path: str | Path, on_progress: OnProgress | None = None) -> str:
        """Send one image file (NRRD, NIfTI or MetaImage), streamed from disk; the id of a session that holds it.

        The server sees only the file's extension, never its name. Sessions expire by themselves after an hour.
        on_progress: called in this thread with the bytes sent and their total; what it raises ends the upload.
        Raises NotFoundError, InputError (a folder) or TooLargeError before anything travels.
        """
        file = Path(path)
        if file.is_dir():
            raise InputError(f"{file} is a folder: save the series as one .nrrd or .nii.gz file and send that.")
        if not file.is_file():
            raise NotFoundError(f"There is no file {file}: check the path.")
        body = FileUpload("files", file, "image" + _extension(file), on_progress)
        self._check_size(len(body), file.stat().st_size)
        response = self._transport.request("PUT", PATH_SESSION, data=body, headers={"Content-Type": body.content_type})
        return _session_of(response)

    def codec(self) -> str:
        """How arrays may be packed for this server and here: "blosc2", "zlib", or "" for an older server."""
        from medsight_core.packing import has_blosc2  # arrays are not needed at Slicer's start

        capabilities = (self._info or self.info()).capabilities
        if CAPABILITY_BLOSC2 in capabilities and has_blosc2():
            return CODEC_BLOSC2
        return CODEC_ZLIB if CAPABILITY_PACKED in capabilities else ""

    def upload_voxels(
        self,
        voxels: np.ndarray,
        affine: np.ndarray,
        on_progress: OnProgress | None = None,
        content: str | None = None,
    ) -> str:
        """Send voxels (I, J, K) with their affine (4, 4) to LPS mm, unless the server has them; the id of a session.

        Nothing travels but numbers, and the affine arrives as it is. They are packed while they are sent.
        content: `medsight_core.packing.content_of` them, when it is known. on_progress: called as of `upload` with the
        bytes of voxels that have gone; not called when the server has this content.
        Raises InputError for an older server (`codec` is ""), which takes files only, and for voxels that change
        meanwhile; TooLargeError once more has gone than the server takes.
        """
        from medsight_core.packing import content_of

        codec = self.codec()
        if not codec:
            raise InputError("This server is older and takes no packed volumes: upload a file, or update the server.")
        path = f"{PATH_VOLUMES}/{content or content_of(voxels, affine)}"
        try:
            response = self._transport.request("POST", path)
        except NotFoundError:
            if self._transport.is_local and codec == CODEC_ZLIB:
                codec = CODEC_STORED  # which is quicker than to pack and unpack
            body = self._packed(voxels, affine, codec, on_progress)
            headers = {"Content-Type": "application/octet-stream"}
            response = self._transport.request("PUT", path, data=body, headers=headers)
        return _session_of(response)

    def delete_session(self, session: str) -> None:
        """Make the server forget an uploaded image; one that it no longer has is no error."""
        path = PATH_SESSION + check_id(session, "session id")
        with contextlib.suppress(NotFoundError):
            self._transport.request("DELETE", path, read_timeout=SHORT_READ_TIMEOUT)

    def ask(
        self,
        prompt: str,
        *,
        session: str | None = None,
        image: str | None = None,
        scope: str = "volume",
        plane: PlaneRequest | PlaneRange | Mapping[str, Any] | str | None = None,
        history: Sequence[tuple[str, str]] = (),
        modality: str | None = None,
        window: str | None = None,
        threshold: float | None = None,
        soft: bool = False,
        result_extension: str = EXTENSION_SEGMENTATION,
        on_event: OnEvent | None = None,
        cancel: threading.Event | None = None,
    ) -> Reply:
        """Ask about an uploaded image (``session``) or one of the server's studies (``image``).

        scope: "volume", "plane" with ``plane``: "axial:42" (an index in stored voxel order) or a `PlaneRequest`, or
            "range" with ``plane``: "axial:10-20" or a `PlaneRange`.
        history: earlier (question, answer) pairs of the same conversation, oldest first.
        modality, window: override what the server would choose, such as "CT" and "lung".
        threshold: least probability, 0..1, at which a thing counts as seen; the model's own by default.
        soft: ask for soft masks too (`Reply.soft`); an older server sends none.
        result_extension: format of the label file, ".seg.nrrd", ".nrrd" or ".nii.gz"; or one of `PACKED_EXTENSIONS`, by
            `codec`, for masks alone, which `Reply.masks` reads.
        on_event: called in this thread with each `Progress` and `Text` meanwhile; an older server tells none.
        cancel: setting it ends the wait within a second, with CancelledError, and the server's work where it can.

        Raises InputError or TooLargeError before anything travels when the question cannot be asked; NotFoundError when
        the server does not have the image, or no longer.
        """
        if (session is None) == (image is None):
            raise InputError("A question needs one image: give a session (from upload) or an image id, not both.")
        question = parse_question(
            {
                "prompt": prompt,
                "scope": scope,
                "plane": plane.to_json() if isinstance(plane, (PlaneRequest, PlaneRange)) else plane,
                "history": history,
                "modality": modality,
                "window": window,
                "threshold": threshold,
                "soft": soft,
            }
        )
        params = question.to_params()
        params["result_extension"] = extension = label_extension({"result_extension": result_extension})
        if extension in PACKED_EXTENSIONS.values() and not self.codec():
            raise InputError("This server is older and sends no packed masks: ask for .seg.nrrd, or update the server.")
        if session is not None:
            query = {"session_id": check_id(session, "session id")}
        else:
            query = {"image": check_id(image)}
        info = self._info or self.info()  # a newer server must say so, not be misunderstood
        if question.scope == SCOPE_RANGE and SCOPE_RANGE not in info.scopes:
            raise InputError(
                "This server is older and knows no ranges of planes: ask about one plane or the whole volume, or "
                "update the server."
            )
        if CAPABILITY_SOFT not in info.capabilities:
            params.pop("soft", None)
        transport = self._transport if cancel is None else self._transport.another()
        exchange = Exchange(transport, query, {"params": json.dumps(params)}, CAPABILITY_JOBS in info.capabilities)
        return ask(exchange, self._read_timeout, on_event, cancel)

    def _packed(
        self, voxels: np.ndarray, affine: np.ndarray, codec: str, on_progress: OnProgress | None
    ) -> Iterator[bytes]:
        """The body of an upload, in chunks of at most `CHUNK_BYTES`."""
        from medsight_core.packing import parts_of_volume

        sent = 0
        for part, done in parts_of_volume(voxels, affine, codec):
            if on_progress is not None:
                on_progress(done, voxels.nbytes)
            for start in range(0, len(part), CHUNK_BYTES):
                chunk = part[start : start + CHUNK_BYTES]
                sent += len(chunk)
                self._check_size(sent, voxels.nbytes)
                yield chunk

    def _check_size(self, sent: int, own: int | None = None) -> None:
        """TooLargeError when the server does not take ``sent`` bytes; ``own``: how many of them are the image's."""
        limit = (self._info or self.info()).max_upload_bytes
        if sent > limit:
            raise TooLargeError(
                f"The image has {(own or sent) / 1e6:.1f} MB and the server takes at most {limit / 1e6:.1f} MB: "
                "crop or resample it, or raise the server's limit."
            )


def _session_of(response: requests.Response) -> str:
    try:
        return check_id(parse_json(response.content)["session_id"], "session id")
    except (KeyError, TypeError, InputError):
        raise ServerError("The server took the image but gave no session for it: look at its log.") from None


def _extension(path: Path) -> str:
    name = path.name.lower()
    for extension in _DOUBLE_EXTENSIONS:
        if name.endswith(extension):
            return extension
    return path.suffix.lower()
