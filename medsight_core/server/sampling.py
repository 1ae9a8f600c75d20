"""``POST /activelearning/{strategy}``: MONAI Label's own call for the next case, off the event loop.

MONAI Label notes in its index who was handed which case, one request at a time. Knows nothing of how a case is chosen.
"""

from __future__ import annotations

import threading
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, Request

from medsight_core.errors import NotFoundError

_LONGEST_CLIENT_ID = 128  # characters; it is kept with the image

router = APIRouter()
_one_at_a_time = threading.Lock()  # or two annotators would be handed the same case


@router.post("/activelearning/{strategy}")
async def next_case(request: Request, strategy: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
    """The id of the case to label next, its score and the reason; ``{}`` when every case has a label.

    Of ``params`` only ``client_id`` counts.
    """
    offered = request.app.state.label_app.strategies()
    if strategy not in offered:
        raise NotFoundError(f"There is no such strategy: use one of {', '.join(offered)}.")
    asked = {"client_id": str((params or {}).get("client_id") or "")[:_LONGEST_CLIENT_ID]}

    def sample() -> dict[str, Any]:
        from monailabel.endpoints import activelearning

        with _one_at_a_time:
            chosen: dict[str, Any] = activelearning.sample(strategy, asked)
            return chosen

    return await anyio.to_thread.run_sync(sample)
