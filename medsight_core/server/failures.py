"""How anything that goes wrong becomes an HTTP reply: always JSON ``{"detail": one sentence}`` and the right status.

Foreseen errors keep their sentence. For anything else the reply carries a random incident number and nothing more; the
log has the same number with the kind of exception and where it arose. Never its text: an exception's text may hold a
prompt, an id or a file name. This module knows no endpoint.
"""

from __future__ import annotations

import json
import logging
import math
import secrets
import traceback
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from medsight_core.errors import AuthenticationError, BusyError, InputError, MedSightError

logger = logging.getLogger(__name__)


def refusal(error: MedSightError) -> JSONResponse:
    """The reply for a foreseen error."""
    headers = {"WWW-Authenticate": "Bearer"} if isinstance(error, AuthenticationError) else {}
    if isinstance(error, BusyError):
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    return JSONResponse({"detail": str(error)}, status_code=error.http_status, headers=headers)


def foreseen(error: Exception) -> MedSightError:
    """The error itself, or for one that nobody foresaw the incident that it becomes in the log."""
    if isinstance(error, MedSightError):
        return error
    return MedSightError(f"The server failed inside: look for incident {log_incident(error)} in its log and report it.")


class ElsewhereError(Exception):
    """An unforeseen exception of another process; holds what `trace_of` says of it there."""


def trace_of(error: BaseException) -> str:
    """The kind of an exception and where it arose, without its text, in one line."""
    if isinstance(error, ElsewhereError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    places = " < ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    return f"{type(error).__name__} at {places}"


def log_incident(error: BaseException) -> str:
    """Log an unforeseen exception without its text, and return the incident number for the person who met it."""
    incident = secrets.token_hex(4)
    logger.error("incident %s: %s", incident, trace_of(error))
    return incident


class Incidents:
    """ASGI middleware that answers unforeseen exceptions, so that no outer layer prints their text."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap ``app``."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app; on an exception log it and, if nothing has been sent yet, answer 500."""
        started = False

        async def watching(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watching)
        except Exception as error:
            told = foreseen(error)
            if scope["type"] == "http" and not started:
                await refusal(told)(scope, receive, send)


def add_handlers(app: FastAPI) -> None:
    """Teach ``app`` to answer our errors, FastAPI's and MONAI Label's in our one form."""
    from monailabel.interfaces.exception import ImageNotFoundException, LabelNotFoundException

    @app.exception_handler(MedSightError)
    async def ours(_: Request, error: MedSightError) -> JSONResponse:
        return refusal(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        # The names only: values may be personal, and pydantic's own list of dictionaries is no sentence.
        names = sorted({str(problem["loc"][-1]) for problem in error.errors() if problem.get("loc")})
        return refusal(InputError(f"Missing or wrong in this request: {', '.join(names)}. Correct it and send again."))

    @app.exception_handler(json.JSONDecodeError)
    async def not_json(_: Request, __: json.JSONDecodeError) -> JSONResponse:
        return refusal(InputError("A form field that should be JSON is not: send a JSON object such as {}."))

    @app.exception_handler(HTTPException)
    async def stock(_: Request, error: HTTPException) -> JSONResponse:
        detail = error.detail
        if detail == HTTPStatus(error.status_code).phrase:  # Starlette's own words for "no such route"
            kept = "info, session, infer, batch, datastore, activelearning, train"
            detail = f"{detail}: of MONAI Label's calls this server has {kept}."
        return JSONResponse({"detail": detail}, status_code=error.status_code, headers=error.headers)

    for kind, what in ((ImageNotFoundException, "image"), (LabelNotFoundException, "label")):

        @app.exception_handler(kind)
        async def missing(_: Request, __: Exception, what: str = what) -> JSONResponse:
            return JSONResponse({"detail": f"There is no such {what}: GET /datastore/ lists what is here."}, 404)
