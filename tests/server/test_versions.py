"""A running server answers with another version from the next question on, and with the old one after a rollback."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from versions import FORGETFUL, publish

from medsight_core.client import MedSightClient
from medsight_core.engine.registry import Registry


@pytest.fixture(scope="module")
def registry(server, studies: Path, tiny_model_dir: Path) -> Registry:
    registry = Registry.of_studies(studies, tiny_model_dir)
    publish(registry)
    publish(registry, FORGETFUL, seed=2)
    return registry


def answer(server) -> tuple[bytes, dict]:
    """The label file and all that is said, but for the time in the file's first lines and how long it took."""
    with MedSightClient(server.address, server.token) as client:
        reply = client.ask("Outline the right lung.", image="chest")
    said = reply.answer.to_json()
    del said["timings"]
    return re.sub(rb"(?m)^# on .*\n", b"", reply.segmentation or b""), said


def test_the_next_question_is_answered_by_what_is_promoted_and_rollback_gives_the_old_bits(server, call, registry):
    before = answer(server)
    assert before[1]["model"]["version"] == "tiny"
    promoted = call("POST", "/medsight/models/v1/promote")
    assert promoted.json()["current"] == "v1"
    assert promoted.json()["reason"].startswith(
        "Dice on corrected images that only measure (n = 12) went from 0.400 to 0.550."
    )
    assert call("GET", "/medsight/info").json()["model"]["version"] == "tiny+v1"
    after = answer(server)
    assert after[1]["model"]["version"] == "tiny+v1"
    assert json.dumps(after[1]) != json.dumps(before[1])
    assert call("POST", "/medsight/models/rollback").json() == {"current": "base"}
    assert answer(server) == before


def test_a_promotion_outside_of_the_server_is_noticed_too(server, registry):
    registry.promote("v1")
    assert answer(server)[1]["model"]["version"] == "tiny+v1"
    registry.rollback()
    assert answer(server)[1]["model"]["version"] == "tiny"


def test_all_versions_are_told_with_their_figures(call, registry):
    told = call("GET", "/medsight/models").json()
    assert told["current"] == "base"
    assert [(version["name"], version["parent"]) for version in told["versions"]] == [
        ("base", ""), ("v1", "base"), ("v2", "base"),
    ]  # fmt: skip
    assert told["versions"][0]["evaluation"] is None
    assert told["versions"][1]["evaluation"]["held_out"]["after"] == 0.55
    assert [version["may_be_served"] for version in told["versions"]] == [True, True, False]
    assert "may fall by 0.02 at most" in told["versions"][2]["reason"]


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/v2/promote", 400, "v2 is not promoted. Dice on the reference set (n = 40) went from 0.700 to 0.600 and"),
        ("/v9/promote", 404, "There is no model version 'v9' here: use one of base, v1, v2."),
        ("/rollback", 400, "base is what is served: there is nothing to go back to."),
        ("/rollback?to=v7", 404, "There is no model version 'v7' here"),
        ("/rollback?to=v2", 400, "v2 is none that may be served: "),
        ("/rollback?to=../x", 404, "There is no model version '../x' here"),
    ],
)
def test_refusals_say_why_and_change_nothing(call, registry, path, status, detail):
    reply = call("POST", "/medsight/models" + path)
    assert (reply.status_code, reply.json()["detail"][: len(detail)]) == (status, detail)
    assert registry.current() == "base"
