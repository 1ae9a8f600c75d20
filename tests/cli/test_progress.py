"""The bar shows one phase at a time, and how far it is when that is known."""

import io

import pytest
from rich.console import Console

from medsight_core.cli import progress as module


@pytest.fixture
def terminal(monkeypatch):
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    monkeypatch.setattr(module, "errors", console)
    return console.file


def test_each_phase_replaces_the_one_before(terminal):
    with module.progress() as phase:
        phase("Reading the image")
        phase("Writing the sentence", 0.0)
        phase("Writing the sentence", 0.5)
        phase("Outlining the regions")
    shown = terminal.getvalue()
    last = shown[shown.rindex("Outlining the regions") - 60 :]
    assert "Reading the image" not in last
    assert "Writing the sentence" not in last


def test_nothing_is_shown_where_nobody_watches(monkeypatch):
    console = Console(file=io.StringIO(), force_terminal=False, width=80)
    monkeypatch.setattr(module, "errors", console)
    with module.progress() as phase:
        phase("Reading the image", 0.5)
        phase.say("The right lung")
    assert console.file.getvalue() == ""


def test_what_is_said_stands_under_the_bar_and_goes_with_it(terminal):
    with module.progress() as phase:
        phase("Writing the sentence", 0.1)
        phase.say("The right ")
        phase.say("lung is [bold]outlined.")
    shown = terminal.getvalue()
    assert "The right lung is [bold]outlined." in shown, "the model's words are no markup"
    assert "0:00:0" in shown
