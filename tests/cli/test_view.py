"""``medsight view``: what it refuses, and with which sentence. The page itself is tested in tests/viewer."""

from __future__ import annotations

import importlib.util
import socket
import sys

import pytest
from scripted_server import scripted_server
from typer.testing import CliRunner

from medsight_core.cli import app, failures

TOKEN = "a-token-of-the-tests"


@pytest.fixture
def view(monkeypatch):
    """Run ``medsight view`` in this process, without a browser."""
    monkeypatch.setattr(failures.errors, "width", 10_000)
    monkeypatch.setenv("MEDSIGHT_TOKEN", TOKEN)
    return lambda *options: CliRunner().invoke(app, ["view", "--no-browser", *map(str, options)])


def test_missing_packages_are_told_with_the_command_that_brings_them(view, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "trame_slicer" else find(name))
    result = view()
    assert result.exit_code == 2
    assert result.stderr.strip() == (
        "The page needs Slicer's libraries, which are not installed: run "
        f'{sys.executable} -m pip install "trame-slicer[standalone]==2.0.0", then try again.'
    )


def test_command_in_that_sentence_is_the_extra_of_the_package():
    from importlib.metadata import requires

    assert any(line.startswith("trame-slicer[standalone]==2.0.0") for line in requires("medsight") or ())


def test_server_that_is_not_there(view):
    result = view("--server", "http://127.0.0.1:1")
    assert result.exit_code == 3
    assert result.stderr.startswith("No MedSIGHT server answers at http://127.0.0.1:1")


def test_model_of_another_server_cannot_be_chosen(view, tmp_path):
    result = view("--server", "http://127.0.0.1:1", "--model", tmp_path)
    assert result.exit_code == 2
    assert result.stderr.startswith("The server answers with its own model: leave out --model")


def test_port_that_is_taken(view):
    with scripted_server() as scripted, socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = view("--server", scripted.address, "--port", port)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Port {port} of 127.0.0.1 is taken or not allowed: ")
