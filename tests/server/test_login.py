"""Signing in as MONAI Label's Slicer plugin does: password for token."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from medsight_core.server import failures, login
from medsight_core.server.guard import Guard
from medsight_core.server.settings import Settings

TOKEN = "a-token-for-the-login"


@pytest.fixture
def client(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    app = FastAPI()
    app.state.token = TOKEN
    failures.add_handlers(app)
    app.include_router(login.router)
    app.add_middleware(Guard, settings=Settings(tmp_path, tmp_path, token=TOKEN))
    return TestClient(app, base_url="http://127.0.0.1:8000")


def test_the_token_is_the_password_of_any_user(client):
    assert client.get("/auth/").json()["enabled"] is True
    reply = client.post("/auth/token", data={"username": "anybody", "password": TOKEN, "grant_type": "password"}).json()
    header = {"Authorization": f"{reply['token_type']} {reply['access_token']}"}
    assert client.get("/auth/token/valid", headers=header).status_code == 200


@pytest.mark.parametrize("password", ["", "wrong", TOKEN + "x", "tökën"])
def test_a_wrong_password_is_401(client, password):
    response = client.post("/auth/token", data={"username": "anybody", "password": password})
    assert response.status_code == 401
    assert "enter the token that the server printed as the password" in response.json()["detail"]


def test_everything_else_still_needs_the_token(client):
    assert client.get("/auth/token/valid").status_code == 401
    assert client.post("/auth/").status_code == 401
    assert client.get("/auth/token").status_code == 401


def test_a_web_page_may_not_even_try(client):
    response = client.post("/auth/token", data={"password": TOKEN}, headers={"Origin": "http://evil.example"})
    assert response.status_code == 403
