"""``/medsight/metrics``, ``/medsight/health``, and a server that has no memory left, over HTTP."""

from __future__ import annotations

import json

import psutil
import pytest
from exposition import parse

from medsight_core.client import MedSightClient
from medsight_core.errors import BusyError
from medsight_core.server.running import running_server
from medsight_core.server.settings import Settings

PARAMS = {
    "params": json.dumps({"prompt": "CANARYPROMPT Outline the right lung.", "scope": "plane", "plane": "axial:3"})
}


def test_metrics_tell_what_happened_and_nothing_of_whom(call):
    def values():
        response = call("GET", "/medsight/metrics")
        assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert not any(word in response.text for word in ("CANARY", "lung", "chest", "medsight-", "127.0.0.1"))
        return parse(response.text)

    before = values()
    for _ in range(2):
        assert call("POST", "/infer/medsight?image=chest", data=PARAMS).status_code == 200
    assert call("POST", "/infer/medsight?image=chest", data={"params": '{"prompt": ""}'}).status_code == 400
    after = values()

    def more(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert more('medsight_questions_total{outcome="answered"}') == 2
    assert more('medsight_questions_total{outcome="refused"}') == 1
    assert more("medsight_answer_seconds_count") == 2
    assert more("medsight_answer_seconds_sum") > 0
    assert more('medsight_cache_reads_total{cache="features",found="yes"}') >= 1
    assert after['medsight_cache_bytes{cache="features"}'] > 0
    assert after["process_resident_memory_bytes"] > 50e6
    assert after['medsight_model_info{version="tiny"}'] == 1
    assert after["medsight_questions_waiting"] == after["medsight_questions_working"] == 0


def test_health_is_ready(call):
    assert call("GET", "/medsight/health").json() == {"status": "ready", "waiting": 0, "working": 0}


@pytest.mark.parametrize("path", ["/medsight/metrics", "/medsight/health"])
def test_both_want_the_token_and_no_web_page(call, path):
    response = call("GET", path, headers={"Authorization": "Bearer wrong"})
    assert response.status_code == 401
    assert response.json()["detail"].startswith("The token is missing or wrong")
    assert call("GET", path, headers={"Origin": "https://evil.example"}).status_code == 403


@pytest.fixture(scope="module")
def full_server(studies, tiny_model_dir):
    """A server that is to keep more memory free than can be."""
    reserve = psutil.virtual_memory().total - (64 << 20)
    with running_server(Settings(studies, tiny_model_dir, port=0, reserve_bytes=reserve)) as server:
        yield server


def test_without_memory_questions_and_uploads_are_refused_with_the_time_to_wait(full_server, call, studies):
    call = type(call)(full_server)
    for response, wait in (
        (call("POST", "/infer/medsight?image=chest", data=PARAMS), "5"),
        (call("POST", "/medsight/jobs?image=chest", data=PARAMS), "5"),
        (call("GET", "/medsight/health"), "5"),
        (call.upload(studies / "chest.nii.gz"), "30"),
    ):
        assert response.status_code == 503
        assert response.headers["retry-after"] == wait
        assert response.json()["detail"].startswith("The server is short of memory: this image takes some 0.0 GB and ")
        assert response.json()["detail"].endswith(f" in reserve. Ask again in {wait} seconds.")
    metrics = parse(call("GET", "/medsight/metrics").text)
    assert metrics['medsight_questions_total{outcome="busy"}'] == 2
    with MedSightClient(full_server.address, full_server.token) as client:
        for attempt in (
            lambda: client.ask("Outline the right lung.", image="chest"),
            lambda: client.upload(studies / "chest.nii.gz"),
        ):
            with pytest.raises(BusyError, match=r"short of memory: .* Ask again in (5|30) seconds\.$") as caught:
                attempt()
            assert caught.value.retry_after in (5.0, 30.0)


def test_a_large_upload_is_refused_in_words_and_not_by_a_broken_connection(full_server, tmp_path):
    """The server answers before it has read the image; the client must hear that."""
    (tmp_path / "large.nrrd").write_bytes(bytes(12 << 20))
    with (
        MedSightClient(full_server.address, full_server.token) as client,
        pytest.raises(BusyError, match="short of memory"),
    ):
        client.upload(tmp_path / "large.nrrd")
