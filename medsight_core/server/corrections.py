"""``PUT /datastore/label``, as MONAI Label's clients send it, and the versions of what was handed in.

MONAI Label overwrites a label and what it knew of it. Here every version is kept in a `CorrectionStore` first, and only
then becomes MONAI Label's current one; so whatever fails in between, nothing is lost. Works off the event loop. What a
label must be like is `medsight_core.data.submission`.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import FileResponse

from medsight_core.data import review
from medsight_core.data.correction import KEY, Claim, Correction
from medsight_core.data.correction_store import CorrectionStore
from medsight_core.data.submission import found_label, notices, read_submission, rival
from medsight_core.errors import InputError, NotFoundError, TooLargeError
from medsight_core.files import file_hash
from medsight_core.protocol import PATH_CORRECTIONS, check_id
from medsight_core.server.uploads import image_extension, json_object, save_upload

MOST_PARAMS = 256 << 10  # characters; MONAI Label keeps them all in one file that it writes at every change
_TAG = "final"  # MONAI Label's own for what is meant to be learned from

router = APIRouter()
publishing = threading.Lock()  # the latest version must also be MONAI Label's current one


@router.put("/datastore/label")
async def save_label(
    request: Request,
    image: str,
    label: Annotated[UploadFile, File()],
    tag: str = _TAG,
    params: Annotated[str, Form()] = "{}",
) -> dict[str, Any]:
    """Keep a corrected label beside its image; reply ``{"image", "label", "version", "notices"}``.

    ``params``: see `Claim.of`. ``notices`` are sentences for the annotator. What was kept already under the same key is
    not kept again: its client has not heard the reply. Raises what `read_submission` raises,
    NotFoundError for an unknown image.
    """
    information = checked_information(params)
    claim = Claim.of(information)
    if review.KEY in information:
        information[review.KEY] = review.Review.of(information[review.KEY], int(time.time())).to_meta()
    image_id, label_tag = check_id(image), check_id(tag or _TAG, "label tag")
    label_app = request.app.state.label_app

    def store() -> dict[str, Any]:
        image_path = _image(label_app.datastore(), image_id)
        with tempfile.TemporaryDirectory() as folder:
            path = save_upload(label, Path(folder))
            codes, kept_before = label_app.codes(), label_app.corrections()
            known = [version for version in kept_before.versions(image_id) if claim.key and version.key == claim.key]
            if known:
                return {"image": image_id, "label": image_id, "version": known[-1].version, "notices": []}
            correction = read_submission(image_id, image_path, path, label_tag, claim, codes, kept_before)
            with publishing:
                kept, told = _publish(label_app, correction, path, information)
        return {
            **(label_app.on_save_label(image_id, image_id) or {}),
            "image": image_id,
            "label": image_id,
            "version": kept.version,
            "notices": told,
        }

    return await anyio.to_thread.run_sync(store)


@router.get(PATH_CORRECTIONS)
async def versions(request: Request, image: str) -> dict[str, Any]:
    """What is kept of an image: its ``image_hash`` now, and all ``versions`` of its label, oldest first.

    A label that lies there without having been handed in becomes a version by that, so that it can be fetched and
    reviewed as any other.
    """
    label_app = request.app.state.label_app

    def read() -> dict[str, Any]:
        datastore, store = label_app.datastore(), label_app.corrections()
        content = file_hash(_image(datastore, check_id(image)))
        kept = store.versions(image)
        current = current_label(datastore, image, _TAG)
        if current is not None and file_hash(current) not in {version.label_hash for version in kept}:
            with publishing:
                keep_current(store, datastore, image, _TAG, current)
            kept = store.versions(image)
        return {"image_hash": content, "versions": [correction.to_json() for correction in kept]}

    return await anyio.to_thread.run_sync(read)


@router.get(PATH_CORRECTIONS + "/{version}")
async def one_version(request: Request, version: int, image: str) -> FileResponse:
    """The label file of one version of an image's label."""
    path = request.app.state.label_app.corrections().file(check_id(image), version)
    return FileResponse(path, media_type="application/octet-stream", filename=path.name)


def checked_information(text: str) -> dict[str, Any]:
    """The JSON object that a client wants kept with a label; InputError or TooLargeError when it is not fit for it."""
    if len(text) > MOST_PARAMS:
        raise TooLargeError(f"The params have {len(text)} characters and the limit is {MOST_PARAMS}: send less.")
    information = json_object(text)
    try:
        json.dumps(information, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:  # MONAI Label would keep it, and from then on fail to list what is there
        raise InputError(
            "The params hold something that a reply cannot carry (NaN, Infinity or half of a character): leave it out."
        ) from None
    return information


def current_label(datastore: Any, image_id: str, tag: str) -> Path | None:
    """The label file that lies there for an image under a tag; None without one."""
    uri = datastore.get_label_uri(image_id, tag)
    if not uri:
        datastore.refresh()  # its watcher can miss a file, which would then be overwritten unseen
        uri = datastore.get_label_uri(image_id, tag)
    return Path(uri) if uri and Path(uri).is_file() else None


def keep_current(store: CorrectionStore, datastore: Any, image_id: str, tag: str, current: Path) -> None:
    """Keep MONAI Label's current label: what was said of it, and itself when it did not come through here."""
    content = file_hash(current)
    of_tag = [version for version in store.versions(image_id) if (version.tag, version.label_hash) == (tag, content)]
    if of_tag:
        version = of_tag[-1]
    else:
        image = _image(datastore, image_id)
        version = store.keep(current, image_extension(current.name), found_label(image_id, image, current, tag))
    store.note(image_id, version.version, datastore.get_label_info(image_id, tag))


def _publish(
    label_app: Any, correction: Correction, path: Path, information: dict[str, Any]
) -> tuple[Correction, list[str]]:
    """Keep a version, then make it MONAI Label's current label; the version, and what to tell its annotator."""
    store: CorrectionStore = label_app.corrections()
    datastore, image_id, tag = label_app.datastore(), correction.image_id, correction.tag
    current = current_label(datastore, image_id, tag)
    if current is not None:
        keep_current(store, datastore, image_id, tag, current)
    before = store.versions(image_id)
    kept = store.keep(path, image_extension(path.name), correction)
    names = [{"name": segment.name, "idx": segment.label} for segment in kept.segments]
    told = notices(kept, before)
    # Of two that do not know of each other nobody but a reviewer can say which is right.
    status = review.FLAGGED if rival(kept, before) else review.SUBMITTED
    first = review.Review(status, comment=told[0] if status == review.FLAGGED else "", edited=int(time.time()))
    known = {"label_info": names, review.KEY: first.to_meta(), **information, KEY: kept.to_json()}
    datastore.save_label(image_id, str(path), tag, known)
    if current is not None and current != current_label(datastore, image_id, tag):
        current.unlink()  # another file type; MONAI Label would find it again as a label of its own
    return kept, told


def _image(datastore: Any, image_id: str) -> Path:
    path = datastore.get_image_uri(image_id)
    if not path:
        raise NotFoundError("There is no such image: GET /datastore/ lists what is here.")
    return Path(path)
