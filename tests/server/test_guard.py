"""The guard on a tiny app that says how many bytes of body it read."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from medsight_core.server.guard import MAX_FORM_BYTES, Guard
from medsight_core.server.settings import Settings

TOKEN = "a-token-for-the-guard"
LIMIT = 1000


async def count_body(scope, receive, send):
    body = await Request(scope, receive).body()
    await PlainTextResponse(f"read {len(body)}")(scope, receive, send)


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "config.json").write_text("{}")

    def make(**changes) -> Settings:
        return Settings(Path(tmp_path), Path(tmp_path), token=TOKEN, max_upload_bytes=LIMIT, **changes)

    return make


@pytest.fixture
def client(settings):
    return client_of(Guard(count_body, settings()))


def client_of(app) -> TestClient:
    return TestClient(app, base_url="http://127.0.0.1:8000", headers={"Authorization": f"Bearer {TOKEN}"})


def detail(response) -> str:
    sentence = response.json()["detail"]
    assert isinstance(sentence, str)
    assert sentence.endswith(".")
    return sentence


def test_a_proper_request_passes(client):
    assert client.get("/info/").text == "read 0"
    assert client.put("/session/", content=b"x" * LIMIT).text == f"read {LIMIT}"


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer t\xf6ken"]
)
def test_a_missing_or_wrong_token_is_401(client, value):
    response = client.get("/medsight/info", headers={"Authorization": value.encode("latin-1")})
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert "The token is missing or wrong: send the header" in detail(response)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "[", "192.168.1.9"])
def test_another_name_for_this_machine_is_403(client, host):
    response = client.get("/info/", headers={"Host": host})
    assert response.status_code == 403
    assert "The Host header names another machine" in detail(response)


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "LOCALHOST", "[::1]:8000", "127.0.0.1"])
def test_any_name_of_the_loopback_is_this_machine(client, host):
    assert client.get("/info/", headers={"Host": host}).status_code == 200


def test_open_to_the_network_addresses_pass_and_foreign_names_do_not(settings):
    client = client_of(Guard(count_body, settings(host="0.0.0.0")))
    assert client.get("/info/", headers={"Host": "192.168.1.9:8000"}).status_code == 200
    assert client.get("/info/", headers={"Host": "evil.example"}).status_code == 403
    named = client_of(Guard(count_body, settings(host="ct-server.ward")))
    assert named.get("/info/", headers={"Host": "ct-server.ward:8000"}).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:9999", "https://127.0.0.1:8000"])
def test_a_web_page_of_another_origin_is_403(client, origin):
    response = client.put("/session/", headers={"Origin": origin})
    assert response.status_code == 403
    assert "Web pages of another origin may not call this server" in detail(response)
    assert not [name for name in response.headers if name.startswith("access-control")]


def test_the_servers_own_origin_passes(client):
    assert client.get("/info/", headers={"Origin": "http://127.0.0.1:8000"}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/infer/medsight?image=..%2Foutside%2Fevil",
        "/infer/medsight?image=%2Fetc%2Fpasswd",
        "/infer/medsight?session_id=..",
        "/infer/medsight?image=chest&image=..%2Fx",
        "/infer/medsight?image=a%00b",
        "/infer/medsight?image=Jane%20Doe",
        "/datastore/label?label=x&tag=..%2F..%2Foutside",
        "/datastore/label?id=.hidden&tag=final",
        "/session/..%2F..%2Fetc",
        "/session/%2E%2E",
        "/session/a%5Cb",
        f"/session/{'x' * 129}",
    ],
)
def test_ids_that_are_not_plain_are_400_and_not_repeated(client, path):
    response = client.get(path)
    assert response.status_code == 400
    assert "is not allowed: use up to 128 letters" in detail(response)
    assert "Doe" not in response.text


def test_an_empty_id_beside_a_session_passes(client):
    assert client.get("/infer/medsight?image=&session_id=abc").status_code == 200


def test_a_volumes_name_beside_a_session_passes_and_alone_does_not(client):
    assert client.post("/infer/medsight?image=My%20scan%20(2)&session_id=abc").status_code == 200
    assert client.post("/infer/medsight?image=My%20scan%20(2)&session_id=").status_code == 400
    assert client.get("/datastore/image?image=My%20scan&session_id=abc").status_code == 400


def test_a_declared_body_above_the_limit_is_413_unread(client):
    response = client.put("/session/", content=b"x" * (LIMIT + 1))
    assert response.status_code == 413
    assert "The request has 0.0 MiB and the 0.0 MiB that are allowed: crop or resample" in detail(response)


def test_a_chunked_body_above_the_limit_is_413_while_it_arrives(client):
    sent = []

    def chunks():
        for _ in range(100):
            sent.append(1)
            yield b"x" * 100

    response = client.put("/session/", content=chunks())
    assert response.status_code == 413
    assert "The request has more than the" in detail(response)


def test_the_app_cannot_turn_the_413_into_something_else(settings):
    async def stubborn(scope, receive, send):
        try:
            await Request(scope, receive).body()
        except Exception:
            await PlainTextResponse("all is well")(scope, receive, send)

    response = client_of(Guard(stubborn, settings())).put("/session/", content=iter([b"x" * 2000]))
    assert response.status_code == 413


def test_only_uploads_may_be_large(settings):
    guard = Guard(count_body, settings())
    guard.max_upload_bytes = 2 * MAX_FORM_BYTES
    client = client_of(guard)
    body = b"x" * (MAX_FORM_BYTES + 1)
    assert client.put("/session/", content=body).status_code == 200
    assert client.post("/infer/medsight", content=body).status_code == 413


def test_nonsense_in_content_length_is_400(settings):
    scope = {
        "type": "http", "method": "PUT", "path": "/session/", "query_string": b"", "scheme": "http",
        "headers": [
            (b"host", b"localhost"), (b"authorization", f"Bearer {TOKEN}".encode()), (b"content-length", b"-5"),
        ],
    }  # fmt: skip
    messages = run(Guard(count_body, settings()), scope)
    assert messages[0]["status"] == 400
    assert b"Content-Length header is not a number" in messages[1]["body"]


def test_a_websocket_is_closed(settings):
    assert run(Guard(count_body, settings()), {"type": "websocket"}) == [{"type": "websocket.close", "code": 1008}]


def run(app, scope) -> list[dict]:
    """What ``app`` sends for a scope that no HTTP library would let through."""
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    anyio.run(app, scope, receive, send)
    return sent
