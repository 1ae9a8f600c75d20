"""How images come in: ``PUT /session/`` and ``/datastore/image``, as MONAI Label's clients send them.

MONAI Label's own versions write wherever a name points, unpack archives, keep the sender's file name (it may hold a
patient's), hold up the event loop while copying and leave a copy behind on failure. These take one image file of a
known kind, give it a neutral name, work off the loop and clean up. Knows nothing of what is in the image.
"""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, File, Form, Request, UploadFile

from medsight_core.errors import InputError
from medsight_core.protocol import check_id
from medsight_core.server.stock import IMAGE_EXTENSIONS

router = APIRouter()


@router.put("/session/")
async def create_session(
    request: Request, files: Annotated[list[UploadFile], File()], expiry: int = 0, uncompress: bool = False
) -> dict[str, Any]:
    """Keep one image until the session is deleted or expires; reply ``{"session_id", "session_info"}``."""
    if uncompress:
        raise InputError("Archives are not unpacked here: send the image itself, as one .nrrd or .nii.gz file.")
    if len(files) != 1:
        raise InputError(
            f"A session holds one image file, not {len(files)}: save the series as one .nrrd or .nii.gz file."
        )

    def store() -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            image = save_upload(files[0], Path(folder))
            # MONAI Label's own session ids count up from the clock, so they can be guessed.
            session_id, session = request.app.state.label_app.sessions().add_session(
                str(image), expiry=expiry, session_id=secrets.token_hex(16)
            )
        return {"session_id": session_id, "session_info": {"name": session_id, "expiry": session.expiry}}

    return await anyio.to_thread.run_sync(store)


@router.put("/datastore/")
@router.put("/datastore/image")
async def add_image(
    request: Request, file: Annotated[UploadFile, File()], image: str = "", params: Annotated[str, Form()] = "{}"
) -> dict[str, Any]:
    """Add an image to the studies folder under the id ``image``, or its file name's; reply ``{"image": id}``."""
    information = json_object(params)
    extension = image_extension(file.filename)
    image_id = check_id(image or Path(str(file.filename)).name[: -len(extension)])

    def store() -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            path = save_upload(file, Path(folder))
            return {"image": request.app.state.label_app.datastore().add_image(image_id, str(path), information)}

    return await anyio.to_thread.run_sync(store)


def json_object(text: str) -> dict[str, Any]:
    """The JSON object in a form field; InputError when it is anything else."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InputError(
            'The form field params is not a JSON object: send one such as {"prompt": "Outline the liver."}.'
        )
    return value


def image_extension(filename: str | None) -> str:
    """Which of the known extensions a file name ends in; InputError when none."""
    name = (filename or "").lower()
    for extension in IMAGE_EXTENSIONS:
        if name.endswith(extension):
            return extension
    raise InputError(f"Files of this type are not accepted: send one of {', '.join(IMAGE_EXTENSIONS)}.")


def save_upload(upload: UploadFile, folder: Path) -> Path:
    """Write an upload into ``folder`` as ``image.EXT``; InputError for an unknown extension."""
    path = folder / f"image{image_extension(upload.filename)}"
    with path.open("xb") as file:
        shutil.copyfileobj(upload.file, file, 1 << 20)
    return path
