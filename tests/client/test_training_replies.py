"""A server's words about trainings and versions as plain data, and nonsense as one sentence."""

from __future__ import annotations

import pytest

from medsight_core.client import ModelVersion, Training
from medsight_core.client.training import parse_models, parse_served, parse_training
from medsight_core.errors import ServerError

SCORES = {"held_out": {"before": 0.4, "after": 0.5, "n": 9}, "reference": {"before": 0.7, "after": None, "n": 0}}


def version(name: str, **more) -> dict:
    return {
        "name": name, "parent": "", "created": "", "evaluation": None, "may_be_served": True, "reason": "", **more,
    }  # fmt: skip


def test_a_training_is_read_and_what_a_newer_server_adds_is_left():
    data = {"state": "running", "phase": "train", "step": 3, "loss": 0.5, "notices": ["One."], "new": 1}
    training = parse_training(data)
    assert training == Training("running", "train", step=3, loss=0.5, notices=("One.",))
    assert not training.ended
    assert not training.promoted
    assert parse_training({"state": "kept"}).ended
    assert parse_training({"state": "promoted"}).promoted


def test_versions_are_read_and_the_served_one_is_marked():
    data = {"current": "v1", "versions": [version("base"), version("v1", parent="base", evaluation=SCORES)]}
    base, first = parse_models(data)
    assert base == ModelVersion("base", "", "", served=False, may_be_served=True, reason="")
    assert (first.served, first.parent, first.new_cases, first.reference) == (True, "base", (0.4, 0.5), None)
    assert parse_served({"current": "v1", "reason": "x"}) == "v1"


@pytest.mark.parametrize("data", [None, [], {}, {"state": "asleep"}, {"state": "kept", "notices": 3}])
def test_nonsense_about_a_training_is_one_sentence(data):
    with pytest.raises(ServerError, match="does not describe a training: check that client and server are of the same"):
        parse_training(data)


@pytest.mark.parametrize("data", [None, [], {}, {"current": "v1", "versions": [{"name": "v1"}]}, {"versions": []}])
def test_nonsense_about_versions_is_one_sentence(data):
    if data != {"versions": []}:
        with pytest.raises(ServerError, match="does not describe the versions of the model: check"):
            parse_models(data)
    with pytest.raises(ServerError, match="does not describe which version is served"):
        parse_served(data if data is None or "current" not in data else None)
