"""``PUT /datastore/label``, as MONAI Label's clients send it, and the versions of what was handed in.

Works off the event loop. What a label must be like is `medsight_core.data.submission`, how it is kept
`medsight_core.server.publishing`.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import FileResponse

from medsight_core.data import review
from medsight_core.data.correction import Claim
from medsight_core.data.submission import read_submission
from medsight_core.errors import InputError, TooLargeError
from medsight_core.files import file_hash
from medsight_core.protocol import PATH_CORRECTIONS, check_id
from medsight_core.server.publishing import image_file, keep_found, publish, settle
from medsight_core.server.uploads import json_object, save_upload

MOST_PARAMS = 256 << 10  # characters; MONAI Label keeps them all in one file that it writes at every change
_TAG = "final"  # MONAI Label's own for what is meant to be learned from

router = APIRouter()


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
        image_path = image_file(label_app.datastore(), image_id)
        with tempfile.TemporaryDirectory() as folder:
            path = save_upload(label, Path(folder))
            codes, kept_before = label_app.codes(), label_app.corrections()
            known = [version for version in kept_before.versions(image_id) if claim.key and version.key == claim.key]
            if known:
                settle(kept_before, label_app.datastore(), image_id)
                return {"image": image_id, "label": image_id, "version": known[-1].version, "notices": []}
            correction = read_submission(image_id, image_path, path, label_tag, claim, codes, kept_before)
            kept, told = publish(kept_before, label_app.datastore(), correction, path, information)
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
        content = file_hash(image_file(datastore, check_id(image)))
        keep_found(store, datastore, image, _TAG)
        return {"image_hash": content, "versions": [correction.to_json() for correction in store.versions(image)]}

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
