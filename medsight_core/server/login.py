"""How MONAI Label's own clients sign in: they exchange a password for a token, and our token is that password.

Its Slicer plugin cannot be given a header, only a user name and a password. Any name will do. These two calls are the
only ones that the guard lets through without a token.
"""

from __future__ import annotations

import hmac
from typing import Annotated

from fastapi import APIRouter, Form, Request

from medsight_core.errors import AuthenticationError

OPEN_CALLS = {("GET", "/auth/"), ("POST", "/auth/token")}

router = APIRouter()


@router.get("/auth/")
async def enabled() -> dict[str, object]:
    """Say that a token is needed."""
    return {"enabled": True, "realm": "MedSIGHT"}


@router.post("/auth/token")
async def token(request: Request, password: Annotated[str, Form()] = "") -> dict[str, str]:
    """The bearer token, for who knows it. Raises AuthenticationError for a wrong password."""
    if not hmac.compare_digest(password.encode(), request.app.state.token.encode()):
        raise AuthenticationError("The password is wrong: enter the token that the server printed as the password.")
    return {"access_token": password, "token_type": "Bearer"}


@router.get("/auth/token/valid")
async def valid() -> dict[str, bool]:
    """That the token in the header is right; the guard has checked it."""
    return {"valid": True}
