"""``POST /infer/{model}``: MONAI Label's own call, answered in MONAI Label's own form.

Bad questions are refused before they queue (`accepted`). The others stand in one line with the jobs, and the model
works in a thread, so that everything else keeps answering in milliseconds. Knows nothing of the engine: the MONAI Label
task asks it.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Any, Callable

import anyio.to_thread
from fastapi import APIRouter, Form, Request
from fastapi.responses import JSONResponse, Response
from urllib3.fields import RequestField
from urllib3.filepost import encode_multipart_formdata

from medsight_core.errors import InputError, NotFoundError
from medsight_core.imaging.volume import announced_bytes
from medsight_core.protocol import HEADER_CLIENT, MODEL, PATH_INFER, check_id
from medsight_core.server.job import Job, Progress, Result, Say
from medsight_core.server.question import question_of
from medsight_core.server.uploads import json_object

OUTPUTS = ("all", "json", "image")

router = APIRouter()


@router.post("/infer/{model}")
async def infer(
    request: Request,
    model: str,
    image: str = "",
    session_id: str = "",
    params: Annotated[str, Form()] = "{}",
    output: str = "all",
) -> Response:
    """Answer ``params`` about a study (``image``) or an uploaded image (``session_id``, which goes first).

    ``output=all`` replies multipart with ``params`` (JSON), ``image`` (the label file) and, where the params ask so,
    ``soft`` (`soft_masks`), or JSON alone without a label file; ``json`` and ``image`` reply with one of the two.
    """
    if model != MODEL:
        raise NotFoundError(f"There is no such model on this server: ask {PATH_INFER}.")
    if output not in OUTPUTS:
        raise InputError(
            f"This output is not offered: use one of {', '.join(OUTPUTS)}, and write DICOM SEG from Slicer."
        )
    jobs = request.app.state.jobs
    job = await accepted(request, image, session_id, params)
    return build_response(await jobs.answer(job), output)


async def accepted(request: Request, image: str, session_id: str, params: str) -> Job:
    """The question ``params`` about an image, not begun. Raises as `job_of`."""
    with request.app.state.jobs.metrics.refusals():
        return await job_of(request.app.state.label_app, image, session_id, params, who_asks(request))


async def job_of(label_app: Any, image: str, session_id: str, params: str, who: str) -> Job:
    """The same for whoever has no request in hand. who: whose question it is.

    Raises InputError, TooLargeError or NotFoundError for one that cannot be asked.
    """
    question = json_object(params)
    if "image" in question:
        raise InputError("The params must not name an image: use image=ID or session_id=ID in the address.")
    question_of(question)

    def looked_up() -> tuple[int, str]:
        path = _image_path(label_app, image, session_id)
        return announced_bytes(path), label_app.image_key(path)

    size, key = await anyio.to_thread.run_sync(looked_up)
    answer = _work(label_app, image, session_id, question)
    job = Job(lambda progress, say: answer(progress, say, job.place), who, size, key)
    return job  # whose place is settled when it is taken


def who_asks(request: Request) -> str:
    """Whose question it is: the word that our client sends, the address of any other. InputError for a strange word."""
    word = request.headers.get(HEADER_CLIENT)
    if word is not None:
        return check_id(word, HEADER_CLIENT)
    return f"at {request.client.host}" if request.client else ""


def _work(
    label_app: Any, image: str, session_id: str, question: dict[str, Any]
) -> Callable[[Progress, Say, int], Result]:

    def answer(progress: Progress, say: Say, place: int) -> Result:
        soft: list[bytes] = []

        def take_soft(content: bytes) -> None:
            soft.append(content)

        asked = {
            **question,
            "model": MODEL,
            "image": _image_path(label_app, image, session_id),  # again: it may have gone while this waited
            "progress": progress,  # plain functions, which survive MONAI Label's deep copy of a request
            "say": say,
            "take_soft": take_soft,
            "place": place,
        }
        result = label_app.infer(asked)
        label_file = Path(result["file"]) if result["file"] else None
        if label_file is None:
            return Result(result["params"])
        try:
            # The name is not the file's own: MONAI Label's client saves under it, perhaps into this very folder.
            name = f"medsight-{secrets.token_hex(4)}{''.join(label_file.suffixes)}"
            return Result(result["params"], name, label_file.read_bytes(), soft[0] if soft else None)
        finally:
            label_file.unlink()

    return answer


def build_response(result: Result, output: str = "all") -> Response:
    """The reply in the form that ``output`` asks for; NotFoundError for an ``image`` that was not made."""
    if output == "image":
        if result.label is None:
            raise NotFoundError("Nothing was found, so there is no label file: use output=json to read the answer.")
        headers = {"Content-Disposition": f'attachment; filename="{result.name}"'}
        return Response(result.label, media_type="application/octet-stream", headers=headers)
    answer = JSONResponse(result.reply)
    if output == "json" or result.label is None:
        return answer
    params = RequestField("params", bytes(answer.body))
    params.make_multipart(content_type="application/json")
    image = RequestField("image", result.label, filename=result.name)
    image.make_multipart(content_type="application/octet-stream")
    parts = [params, image]
    if result.soft is not None:
        soft = RequestField("soft", result.soft, filename="soft")
        soft.make_multipart(content_type="application/octet-stream")
        parts.append(soft)
    body, content_type = encode_multipart_formdata(parts)
    return Response(body, media_type=content_type)


def _image_path(label_app: Any, image: str, session_id: str) -> str:
    if session_id:
        session = label_app.sessions().get_session(session_id)
        if session is None:
            raise NotFoundError("This session does not exist or has expired: upload the image again.")
        return str(session.image)
    if not image:
        raise InputError("No image is named: add image=ID, or upload one with PUT /session/ and add session_id=ID.")
    # Always through the datastore's index: MONAI Label would take an id that happens to be a path for the file itself.
    path = label_app.datastore().get_image_uri(image)
    if not path:
        raise NotFoundError(
            f"There is no image with id {image!r} in the studies folder: GET /datastore/?output=all lists them."
        )
    return str(path)
