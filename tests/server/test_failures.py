from __future__ import annotations

import logging
import re

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from medsight_core.errors import AuthenticationError, InputError, ModelError, TooLargeError, VolumeError
from medsight_core.server import absent, failures


@pytest.fixture(scope="module")
def client():
    absent.install()
    app = FastAPI()
    failures.add_handlers(app)
    app.add_middleware(failures.Incidents)
    errors = {kind.__name__: kind for kind in (InputError, VolumeError, TooLargeError, ModelError, AuthenticationError)}

    @app.get("/raise/{name}")
    def fail(name: str) -> None:
        raise errors[name]("One sentence.") if name in errors else KeyError("CANARY")

    @app.get("/number")
    def number(count: int) -> int:
        return count

    return TestClient(app)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("InputError", 400),
        ("VolumeError", 422),
        ("TooLargeError", 413),
        ("ModelError", 503),
        ("AuthenticationError", 401),
    ],
)
def test_foreseen_errors_keep_their_sentence_and_status(client, name, status):
    response = client.get(f"/raise/{name}")
    assert (response.status_code, response.json()) == (status, {"detail": "One sentence."})


def test_an_unforeseen_error_is_an_incident_whose_text_stays_inside(client, caplog):
    with caplog.at_level(logging.DEBUG):
        response = client.get("/raise/anything")
    assert response.status_code == 500
    incident = re.search(r"look for incident ([0-9a-f]{8}) in its log", response.json()["detail"]).group(1)
    lines = [record.getMessage() for record in caplog.records if incident in record.getMessage()]
    assert len(lines) == 1
    assert "KeyError" in lines[0]
    assert "test_failures.py" in lines[0]
    assert not [
        record for record in caplog.records if record.levelno > logging.DEBUG and "CANARY" in record.getMessage()
    ]


def test_a_wrong_parameter_is_named_but_not_repeated(client):
    response = client.get("/number?count=CANARY")
    assert response.status_code == 400
    assert response.json() == {"detail": "Missing or wrong in this request: count. Correct it and send again."}


def test_an_unknown_path_says_what_there_is(client):
    response = client.get("/proxy/dicom")
    assert response.status_code == 404
    assert "Not Found: of MONAI Label's calls this server has" in response.json()["detail"]
