"""`Annotator`: one person's round with a server that labels - take a case, fetch it, hand in its label, review it,
let the model learn from it.

Knows nothing of what is in an image or label file, nor of how a case is chosen, a label checked or a model judged: the
server says so.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any, Mapping, Sequence

import requests

from medsight_core.client.batch import Batch, parse_batch
from medsight_core.client.cases import (
    Case,
    Segment,
    StoredImage,
    Submitted,
    Version,
    Versions,
    parse_case,
    parse_submitted,
    parse_versions,
)
from medsight_core.client.client import DEFAULT_ADDRESS
from medsight_core.client.multipart import FileUpload, OnProgress
from medsight_core.client.reply import parse_json
from medsight_core.client.training import ModelVersion, Training, parse_models, parse_served, parse_training
from medsight_core.client.transport import CONNECT_TIMEOUT, READ_TIMEOUT, Transport
from medsight_core.client.worklist import Worklist, parse_strategies, parse_worklist
from medsight_core.errors import InputError, NotFoundError, ServerError
from medsight_core.protocol import (
    BATCH_IMAGES,
    MODEL,
    PATH_APP_INFO,
    PATH_BATCH,
    PATH_CORRECTIONS,
    PATH_DATASTORE,
    PATH_DATASTORE_LABEL,
    PATH_MODELS,
    PATH_TRAIN,
    PATH_TRAINING,
    check_id,
    check_prompt,
)

_EXTENSIONS = (".seg.nrrd", ".nii.gz", ".nii", ".nrrd", ".mha")
_DEFAULT_TAG = "final"


class Annotator:
    """A person who labels on one server. Not safe to share between threads.

    name: kept with every label; the server tells two annotators of one case apart by it. address, token and timeouts:
    as of `MedSightClient`. Every method raises `medsight_core.errors` types whose text says what to do.
    """

    def __init__(
        self,
        name: str,
        address: str = DEFAULT_ADDRESS,
        token: str | None = None,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
    ):
        """Opens no connection yet. Raises InputError when the name, address or token cannot be used."""
        self.name = name.strip()
        if not 0 < len(self.name) <= 128:
            raise InputError("An annotator needs a name of at most 128 characters: it is kept with every label.")
        self._transport = Transport(address, token, connect_timeout, read_timeout)

    def __enter__(self) -> Annotator:
        """The annotator."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Drop the open connections."""
        self._transport.close()

    def strategies(self) -> tuple[str, ...]:
        """What `next_case` takes, the server's default first."""
        return parse_strategies(parse_json(self._transport.request("GET", PATH_APP_INFO).content))

    def worklist(self) -> Worklist:
        """All cases of the server, and how far each has come."""
        response = self._transport.request("GET", PATH_DATASTORE, params={"output": "all"})
        return parse_worklist(parse_json(response.content))

    def next_case(self, strategy: str = "hybrid") -> Case | None:
        """The case to label next, left to this annotator for an hour; None when all are labelled.

        Raises NotFoundError, with those that there are, for an unknown strategy.
        """
        path = "/activelearning/" + check_id(strategy, "strategy")
        return parse_case(parse_json(self._transport.request("POST", path, json={"client_id": self.name}).content))

    def download(self, image: str, folder: str | Path) -> StoredImage:
        """Put an image into ``folder``, named by its id and a known extension; a file of that name is replaced.

        Raises NotFoundError for an unknown image or folder, ServerError when what arrives is not what the server has.
        """
        expected = self.versions(image).image_hash
        path = self._fetch(PATH_DATASTORE + "image", image, Path(folder), image, expected)
        return StoredImage(path, expected)

    def submit(
        self,
        image: str,
        label: str | Path,
        names: Mapping[int, str] | None = None,
        *,
        segments: Sequence[Segment] = (),
        prompt: str = "",
        answer: str = "",
        model_version: str = "",
        base_version: int | None = None,
        image_hash: str = "",
        nothing_there: bool = False,
        unchanged: Sequence[str] = (),
        key: str = "",
        tag: str = _DEFAULT_TAG,
        on_progress: OnProgress | None = None,
    ) -> Submitted:
        """Hand in a label file; the version that it is kept as, and what the server tells of it.

        names: of the label's values; a ``.seg.nrrd`` has its own. segments: who made which. prompt, answer,
        model_version: what the label began with. base_version: the version it began from, 0 for none. image_hash: of
        the image that was labelled. nothing_there: an empty label is meant so. unchanged: segments of the base version
        that the file leaves out, for a server with `CAPABILITY_UNCHANGED`. key: what was kept under it already is not
        kept again; for trying again when no reply came. on_progress: as of
        `MedSightClient.upload`.

        Raises NotFoundError or InputError before anything travels when there is no such file; otherwise what the
        server refuses, which then keeps nothing.
        """
        file = Path(label)
        if not file.is_file():
            raise NotFoundError(f"There is no label file {file}: check the path.")
        extension = _extension(file.name)
        said: dict[str, Any] = {
            "prompt": prompt, "answer": answer, "model_version": model_version, "image_hash": image_hash,
            "nothing_there": nothing_there, "base_version": base_version,
            "segments": [segment.to_json() for segment in segments], "unchanged": list(unchanged), "key": key,
        }  # fmt: skip
        params: dict[str, Any] = {"client_id": self.name, "medsight": said}
        if names:
            params["label_info"] = [{"name": name, "idx": value} for value, name in names.items()]
        body = FileUpload("label", file, "label" + extension, on_progress, {"params": json.dumps(params)})
        query = {"image": check_id(image), "tag": check_id(tag, "label tag")}
        headers = {"Content-Type": body.content_type}
        response = self._transport.request("PUT", PATH_DATASTORE_LABEL, params=query, data=body, headers=headers)
        return parse_submitted(parse_json(response.content))

    def versions(self, image: str) -> Versions:
        """What the server keeps of an image's label; NotFoundError for an unknown image."""
        response = self._transport.request("GET", PATH_CORRECTIONS, params={"image": check_id(image)})
        return parse_versions(parse_json(response.content))

    def download_version(self, image: str, version: Version, folder: str | Path) -> Path:
        """Put the label file of one version into ``folder``, as it was handed in and named like `download`'s.

        Raises NotFoundError for an unknown version or folder, ServerError when what arrives is not what the server has.
        """
        number = int(version.version)
        name = f"{check_id(image)}-version-{number}"
        return self._fetch(f"{PATH_CORRECTIONS}/{number}", image, Path(folder), name, version.label_hash)

    def review(self, image: str, status: str, *, level: str = "", comment: str = "", tag: str = _DEFAULT_TAG) -> None:
        """Say of an image's current label that it is "approved", "flagged", "submitted" or a "draft".

        level: how hard the case is, "easy", "medium" or "hard". Replaces the review before. Raises InputError for
        other words, NotFoundError when there is no label.
        """
        said = {"status": status, "level": level, "comment": comment, "approvedBy": self.name}
        query = {"label": check_id(image), "tag": check_id(tag, "label tag")}
        form = {"info": json.dumps({"segmentationMeta": said})}
        self._transport.request("PUT", PATH_DATASTORE_LABEL + "/info", params=query, data=form)

    def preannotate(self, prompt: str, images: str = BATCH_IMAGES[0], anew: bool = False) -> Batch:
        """Let the model answer a question about many images before anybody does; follow it with `preannotation`.

        images: "unlabeled", "labeled" or "all". Images that hold this answer already are skipped, unless ``anew``.
        What it outlines is never learned from. Raises InputError while another one runs.
        """
        body = {"prompt": check_prompt(prompt), "anew": anew}
        response = self._transport.request("POST", f"{PATH_BATCH}/{MODEL}", params={"images": images}, json=body)
        return parse_batch(parse_json(response.content))

    def preannotation(self) -> Batch:
        """How far it is, or how the last one ended; NotFoundError when the server has had none since it started."""
        return parse_batch(parse_json(self._transport.request("GET", PATH_BATCH).content))

    def stop_preannotation(self) -> Batch:
        """Stop it; what was answered stays. NotFoundError when none runs."""
        return parse_batch(parse_json(self._transport.request("DELETE", PATH_BATCH).content))

    def train(
        self,
        submitted_too: bool = False,
        *,
        stage: str = "",
        steps: int = 0,
        learning_rate: float = 0.0,
        seed: int = 0,
        **options: Any,
    ) -> Training:
        """Let the model learn from approved labels, on the server; follow it with `training`.

        submitted_too: learn from labels that nobody has reviewed as well. steps, learning_rate: 0 for the server's own
        choice. stage: of the whole training, such as "perceiver", instead of adapting; its ``options`` are batch,
        preset, parent (version to start from) and data (name of prepared data). Raises InputError while a training
        runs, and when there is nothing to learn from, NotFoundError for an unknown stage, version or name.
        """
        options |= {"submitted_too": submitted_too, "steps": steps, "learning_rate": learning_rate, "seed": seed}
        name = f"{MODEL}-{check_id(stage, 'stage')}" if stage else MODEL
        self._transport.request("POST", PATH_TRAIN + name, json={**options, "client_id": self.name})
        return self.training()

    def training(self) -> Training:
        """How far the training is, or how the last one ended."""
        return parse_training(parse_json(self._transport.request("GET", PATH_TRAINING).content))

    def stop_training(self) -> Training:
        """End the training; nothing is kept of it. NotFoundError when the server runs none."""
        self._transport.request("DELETE", PATH_TRAIN)
        return self.training()

    def models(self) -> tuple[ModelVersion, ...]:
        """The versions of the model, the one that the server was started with first."""
        return parse_models(parse_json(self._transport.request("GET", PATH_MODELS).content))

    def promote(self, version: str) -> str:
        """Let a version answer from the next question on; its name.

        Raises InputError with the reason when the server's rule does not allow it, NotFoundError for an unknown one.
        """
        path = f"{PATH_MODELS}/{check_id(version, 'version')}/promote"
        return parse_served(parse_json(self._transport.request("POST", path).content))

    def rollback(self, to: str = "") -> str:
        """Let an earlier version answer again, by default the one before; its name.

        Raises InputError when there is nothing to go back to, NotFoundError for an unknown version.
        """
        query = {"to": check_id(to, "version")} if to else {}
        response = self._transport.request("POST", PATH_MODELS + "/rollback", params=query)
        return parse_served(parse_json(response.content))

    def _fetch(self, path: str, image: str, folder: Path, name: str, expected: str) -> Path:
        """The file that lies at ``path`` for an image, as ``name`` with its known extension, with the expected hash."""
        if not folder.is_dir():
            raise NotFoundError(f"There is no folder {folder}: make it, or name another.")
        response = self._transport.request("GET", path, params={"image": image}, stream=True)
        try:
            extension = _extension(response.headers.get("Content-Disposition", "").rstrip('"; '))
        except InputError:
            response.close()
            raise ServerError("The server sends an image of an unknown type: see what lies in its studies.") from None
        target = folder / (name + extension)
        try:
            self._receive(response, target, expected)
        except OSError:
            raise InputError(f"The file cannot be written to {folder}: make room there, or name another.") from None
        return target

    def _receive(self, response: requests.Response, path: Path, expected: str) -> None:
        """Write a reply's body, whole and with the hash that is expected, or nothing."""
        digest = hashlib.sha256()
        with response:
            handle, part = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
            try:
                with os.fdopen(handle, "wb") as file:
                    for chunk in self._transport.chunks(response):
                        digest.update(chunk)
                        file.write(chunk)
                if f"SHA256:{digest.hexdigest()}" != expected:
                    raise ServerError("The file was replaced or damaged while it was on its way: download it again.")
                os.replace(part, path)
            except BaseException:
                Path(part).unlink(missing_ok=True)
                raise


def _extension(name: str) -> str:
    """Which known extension a name ends in: of what a server or annotator writes, nothing else ends in a file name."""
    for extension in _EXTENSIONS:
        if name.lower().endswith(extension):
            return extension
    raise InputError(f"Files of this type are not exchanged: save it as one of {', '.join(_EXTENSIONS)}.")
