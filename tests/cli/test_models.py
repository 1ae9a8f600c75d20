"""`medsight models` lists, serves, refuses, goes back and compares, each with a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner
from versions import FORGETFUL, publish

from medsight_core.cli.models import app, console
from medsight_core.engine.registry import Registry


@pytest.fixture
def registry(tmp_path, tiny_model_dir) -> Registry:
    registry = Registry.of_studies(tmp_path, tiny_model_dir)
    publish(registry)
    publish(registry, FORGETFUL, seed=2)
    return registry


@pytest.fixture
def run(tmp_path, tiny_model_dir, monkeypatch):
    monkeypatch.setattr(console, "width", 200)

    def invoke(*arguments: str, studies: Path = tmp_path) -> tuple[int, list[str]]:
        command = [*arguments, "--studies", str(studies), "--model", str(tiny_model_dir)]
        result = CliRunner().invoke(app, command)
        return result.exit_code, [" ".join(line.split()) for line in result.output.splitlines()]

    return invoke


def test_all_versions_are_listed_and_the_served_one_is_marked(registry, run):
    registry.promote("v1")
    code, lines = run("list")
    assert code == 0
    assert lines[1].startswith("base")
    made = registry.version("v1").created
    assert lines[2] == f"→ v1 base {made} 0.400 → 0.550 (n = 12) 0.700 → 0.690 (n = 40) yes"
    assert lines[3].endswith("0.400 → 0.800 (n = 12) 0.700 → 0.600 (n = 40) no")
    assert lines[4] == str(registry.root)


def test_promotion_and_rollback_point_the_server_elsewhere(registry, run):
    assert run("promote", "v1")[1][0].startswith("v1 is served from the next question on. Dice on corrected")
    assert registry.current() == "v1"
    assert run("rollback") == (0, ["base is served again from the next question on."])
    assert registry.current() == "base"
    assert run("rollback", "--to", "v1") == (0, ["v1 is served again from the next question on."])


def test_what_forgot_too_much_is_not_promoted(registry, run):
    code, lines = run("promote", "v2")
    assert code == 2
    assert lines[0].startswith("v2 is not promoted. Dice on the reference set (n = 40) went from 0.700 to 0.600 and")
    assert registry.current() == "base"


def test_differences_are_told_by_part(registry, run):
    code, lines = run("diff", "base", "v1")
    assert code == 0
    assert lines[0] == "version: 'tiny' → 'tiny+v1'"
    shares = {line.split()[0]: line.split()[3] for line in lines if line.count(" ") == 4}
    assert shares["vision"] == "0.0%"
    assert shares["perceiver"] not in ("0.0%", "changed")
    assert lines[-1] == "v1: Dice on new cases 0.400 → 0.550 (n = 12), reference set 0.700 → 0.690 (n = 40)"


def test_errors_are_sentences(registry, run, tmp_path):
    assert run("rollback") == (2, ["base is what is served: there is nothing to go back to."])
    assert run("promote", "v9") == (2, ["There is no model version 'v9' here: use one of base, v1, v2."])
    nowhere = tmp_path / "nowhere"
    told = f"There is no studies folder {nowhere}: name the one that is served with --studies."
    assert run("list", studies=nowhere) == (2, [told])
