"""``/medsight/models``: the versions of the model, which one is served, and serving another.

What may be served is decided by `medsight_core.engine.registry`; this module only speaks HTTP.
"""

from __future__ import annotations

from typing import Any

import anyio.to_thread
from fastapi import APIRouter, Request

from medsight_core.engine.registry import Registry
from medsight_core.errors import InputError
from medsight_core.protocol import PATH_MODELS

router = APIRouter(prefix=PATH_MODELS)


@router.get("")
async def versions(request: Request) -> dict[str, Any]:
    """``current`` and all ``versions``, oldest first, each with its figures, whether it may be served, and why."""
    return await anyio.to_thread.run_sync(_told, request.app.state.label_app.registry())


@router.post("/{version}/promote")
async def promote(request: Request, version: str) -> dict[str, Any]:
    """Serve a version from the next question on; reply ``{"current", "reason"}``.

    Raises InputError with the reason when the rule does not allow it, NotFoundError for an unknown version.
    """
    registry: Registry = request.app.state.label_app.registry()
    verdict = await anyio.to_thread.run_sync(registry.promote, version)
    if not verdict.allowed:
        raise InputError(f"{version} is not promoted. {verdict.reason}")
    return {"current": version, "reason": verdict.reason}


@router.post("/rollback")
async def rollback(request: Request, to: str | None = None) -> dict[str, Any]:
    """Serve an earlier version again, by default the one that was served before; reply ``{"current"}``."""
    registry: Registry = request.app.state.label_app.registry()
    return {"current": await anyio.to_thread.run_sync(registry.rollback, to or None)}


def _told(registry: Registry) -> dict[str, Any]:
    found = []
    for version in registry.versions():
        verdict = registry.verdict(version.name)
        found.append(
            {
                "name": version.name,
                "parent": version.parent,
                "created": version.created,
                "data_hash": version.data_hash,
                "evaluation": version.evaluation.to_json() if version.evaluation else None,
                "may_be_served": verdict.allowed,
                "reason": verdict.reason,
                "change": version.change.to_json() if version.change else None,
            }
        )
    return {"current": registry.current(), "versions": found}
