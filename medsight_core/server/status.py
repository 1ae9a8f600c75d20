"""``GET /medsight/metrics`` for Prometheus, ``GET /medsight/health`` for whoever watches over servers.

Both need the token, like everything here. Knows where the numbers are; what they are called is in
`medsight_core.server.metrics`.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from medsight_core.protocol import PATH_HEALTH, PATH_METRICS
from medsight_core.server.jobs import Jobs
from medsight_core.server.memory import free_memory
from medsight_core.server.metrics import CONTENT_TYPE

router = APIRouter()


@router.get(PATH_METRICS)
async def metrics(request: Request) -> Response:
    """What this server has done since it was started, in Prometheus' text format."""
    jobs: Jobs = request.app.state.jobs
    label_app = request.app.state.label_app
    text = jobs.metrics.text(
        waiting=jobs.waiting,
        working=jobs.working,
        resident=label_app.resident(),
        free=free_memory(),
        caches=label_app.caches(),
        version=label_app.describe()["model"]["version"],
    )
    return Response(text, media_type=CONTENT_TYPE)


@router.get(PATH_HEALTH)
async def health(request: Request) -> dict[str, Any]:
    """``status`` ("ready", or "loading" while the first question would wait for the weights), ``waiting`` questions.

    Refused like a question, with 503 and ``Retry-After``, when even a small one would be, and with 503 when the model
    cannot be used.
    """
    jobs: Jobs = request.app.state.jobs
    jobs.check_room()
    loaded = request.app.state.label_app.describe()["loaded"]
    return {"status": "ready" if loaded else "loading", "waiting": jobs.waiting, "working": jobs.working}
