"""Whatever a command raises becomes one sentence on stderr and an exit code."""

import pytest
import typer
from typer.testing import CliRunner

from medsight_core.cli import failures
from medsight_core.cli.failures import guarded
from medsight_core.errors import InputError, ModelError, ServerUnavailableError


def run(error: BaseException, monkeypatch, debug: bool = False):
    app = typer.Typer()

    @app.command()
    @guarded
    def command() -> None:
        raise error

    monkeypatch.setattr(failures, "debug", debug)
    monkeypatch.setattr(failures.errors, "width", 10_000)
    return CliRunner().invoke(app, [])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("The prompt [1] is empty: write one."), 2),
        (ServerUnavailableError("Nobody answers at /here: start it."), 3),
        (ModelError("There is no model: train one."), 1),
    ],
)
def test_a_foreseen_error_is_its_sentence_and_its_code(error, code, monkeypatch):
    result = run(error, monkeypatch)
    assert (result.stdout, result.stderr, result.exit_code) == ("", f"{error}\n", code)


def test_an_unforeseen_error_is_one_sentence_that_tells_of_debug(monkeypatch):
    result = run(RuntimeError("it\nbroke"), monkeypatch)
    assert result.stderr == (
        "Something unforeseen went wrong (RuntimeError: it broke): run 'medsight --debug ...' again to see where.\n"
    )
    assert result.exit_code == 1


@pytest.mark.parametrize(("error", "code"), [(RuntimeError("it broke"), 1), (InputError("No."), 2)])
def test_debug_shows_the_traceback(error, code, monkeypatch):
    result = run(error, monkeypatch, debug=True)
    assert "Traceback" in result.stderr
    assert str(error) in result.stderr
    assert result.exit_code == code


def test_ctrl_c_is_no_traceback(monkeypatch):
    result = run(KeyboardInterrupt(), monkeypatch)
    assert (result.stderr, result.exit_code) == ("Stopped.\n", 130)
