"""``PUT /datastore/label/info`` and ``/datastore/updatelabelinfo``: what reviewers say of a label, checked and kept.

MONAI Label takes any JSON there and forgets it with the next label. Here a review must be one, the sidecar of a label
cannot be rewritten, and what was said stays with the version of which it was said.
"""

from __future__ import annotations

import time
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Form, Request

from medsight_core.data import correction, review
from medsight_core.errors import InputError
from medsight_core.protocol import check_id
from medsight_core.server.corrections import checked_information
from medsight_core.server.publishing import say

router = APIRouter()


@router.put("/datastore/label/info")
async def put_label_info(request: Request, label: str, tag: str, info: Annotated[str, Form()] = "{}") -> dict[str, Any]:
    """Add ``info`` to what is known of a label; its ``segmentationMeta`` is a `Review`."""
    return await anyio.to_thread.run_sync(_update, request.app.state.label_app, label, tag, info)


@router.put("/datastore/updatelabelinfo")
async def update_label_info(
    request: Request, label: str, tag: str, params: Annotated[str, Form()] = "{}"
) -> dict[str, Any]:
    """The same, as the Reviewer module sends it."""
    return await anyio.to_thread.run_sync(_update, request.app.state.label_app, label, tag, params)


def _update(label_app: Any, label: str, tag: str, text: str) -> dict[str, Any]:
    information = checked_information(text)
    if correction.KEY in information:
        raise InputError(f"The {correction.KEY} of a label says where it comes from and stays: hand in a new label.")
    if review.KEY in information:
        information[review.KEY] = review.Review.of(information[review.KEY], int(time.time())).to_meta()
    image_id, label_tag = check_id(label), check_id(tag, "label tag")
    say(label_app.corrections(), label_app.datastore(), image_id, label_tag, information)
    return {}
