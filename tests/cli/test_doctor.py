"""``medsight doctor`` as a person types it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import typer
from typer.testing import CliRunner

from medsight_core.cli import doctor as module
from medsight_core.cli import failures
from medsight_core.engine import machine as machines
from medsight_core.engine.machine import Gpu, this_machine

app = typer.Typer()
app.command()(module.doctor)


@pytest.fixture
def doctor(monkeypatch):
    """Run the command on this machine, or on one that differs from it."""
    monkeypatch.setattr(failures.errors, "width", 10_000)
    monkeypatch.setattr(module.console, "width", 200)

    def run(*arguments: object, **changes: object):
        monkeypatch.setattr(machines, "this_machine", lambda: replace(this_machine(), **changes))
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run


def rows(result) -> dict[str, str]:
    """The tables' cells."""
    return dict(
        re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in result.stdout.splitlines() if "  " in line.strip()
    )


def test_a_model_that_fits(doctor, tiny_model_dir):
    result = doctor("--model", tiny_model_dir, free=4 * 10**9, gpus=())
    assert result.exit_code == 0, result.output
    table = rows(result)
    assert table["GPU"] == "none that torch can use"
    assert table["parameters"] == "196,532, stored in float32"
    assert table["weights"] == "1 MB in float32, 1 MB in bfloat16"
    assert table["at most on the CPU"] == "1.0 GB in float32"
    assert re.fullmatch(r"[\d.]+ m?s, with 32 tokens of reply", table["a question about a plane"])
    assert float(table["tokens a second"]) > 0
    assert "To be expected on the CPU in float32\n" in re.sub(r" +\n", "\n", result.stdout)
    last = result.stdout.splitlines()[-1]
    assert last == "The model fits: it runs on the CPU in float32 and needs 1.0 GB of the 4.0 GB that are free."


def test_the_official_size_where_it_does_not_fit(doctor):
    card = Gpu("cuda:0", "Old Card", 8 * 10**9, 7 * 10**9, False)
    result = doctor("--config", "8b", free=16 * 10**9, gpus=(card,))
    assert result.exit_code == 2
    table = rows(result)
    assert table["cuda:0"] == "Old Card, 8.0 GB, 7.0 GB free, no bfloat16 of its own"
    assert table["parameters"] == "8,644,966,646, stored in bfloat16"
    assert table["weights"] == "34.6 GB in float32, 17.3 GB in bfloat16"
    assert "on the CPU in float32, if it fitted" in result.stdout
    assert table["with --bits 8"] == "14.3 GB on the CPU"
    assert table["with --bits 4"] == "11.7 GB on the CPU"
    assert result.stdout.splitlines()[-1].startswith(
        "The model does not fit as it is: it needs 39.2 GB of main memory and 16.0 GB are free. Ask it with --bits 8,"
    )


def test_the_shipped_model_is_the_default(doctor):
    result = doctor(free=4 * 10**9, gpus=())
    assert result.exit_code == 0, result.output
    assert rows(result)["parameters"] == "11,904,830, stored in float16"


def test_an_unknown_configuration_is_told(doctor):
    result = doctor("--config", "9b")
    assert result.exit_code == 2
    assert result.stderr == "There is no configuration '9b': use 8b, or --model for a model's folder.\n"


def test_two_models_are_told(doctor, tmp_path):
    result = doctor("--config", "8b", "--model", tmp_path)
    assert result.exit_code == 2
    assert result.stderr == "Both --model and --config are given: choose one.\n"


def test_no_model_is_told(doctor, tmp_path):
    result = doctor("--model", tmp_path)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"There is no model in {tmp_path}: give a folder with config.json")


@pytest.mark.parametrize(("time", "text"), [(0.0421, "42 ms"), (1.26, "1.3 s"), (99.9, "99.9 s"), (360.0, "6 min")])
def test_times_are_readable(time, text):
    assert module.seconds(time) == text
