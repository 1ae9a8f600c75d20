"""Training from the panel: started, followed, stopped, promoted or refused, rolled back; against real HTTP servers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Iterator

import pytest
import slicer
from ball_heads import DETECTING, NAME, write_head, write_sets
from harness.slicer_app import wait_until
from panels import INFO, TOKEN, connect, held
from PySide6 import QtCore
from tiny_model import save_tiny_model
from versions import FORGETFUL, publish
from worklists import begin, draw, press

from medsight_core.client import Annotator, ModelVersion, Training
from medsight_core.engine.registry import Registry
from medsight_core.server.running import running_server
from medsight_core.server.settings import Settings

IDLE = {"state": "idle"}
RUNNING = {
    "state": "running", "phase": "train", "done": 0.25, "epoch": 2, "step": 40, "steps": 160, "loss": 0.4217,
    "eta": 130.0, "held_out": 0.5512, "cases": 12, "notices": ["Case <one> was left out: it is flagged."],
}  # fmt: skip
SCORES = {"held_out": {"before": 0.4, "after": 0.55, "n": 9}, "reference": {"before": 0.7, "after": 0.69, "n": 9}}
PATIENCE = 1200.0  # seconds; a busy machine imports for minutes


def version(name: str, **more) -> dict:
    return {
        "name": name, "parent": "", "created": "", "evaluation": None, "may_be_served": True, "reason": "", **more,
    }  # fmt: skip


def offer(server, training: dict = IDLE, current: str = "base", *versions: dict) -> None:
    """A scripted server that trains."""
    server.on_json("GET /medsight/info", {**INFO, "capabilities": ["training"]})
    server.on_json("GET /medsight/training", training)
    server.on_json("GET /medsight/models", {"current": current, "versions": [version("base"), *versions]})
    server.on_json("POST /train/medsight", {"status": "SUBMITTED"})
    server.on_json("DELETE /train/", {"status": "DONE"})


def open_section(panel) -> None:
    connect(panel)
    panel.training.ui.trainingSection.collapsed = False
    settle(panel)


def settle(panel) -> str:
    wait_until(lambda: not panel.training.background.busy, 30)
    return said(panel)


def said(panel) -> str:
    import qt

    document = qt.QTextDocument()
    document.setHtml(panel.training.ui.trainingLabel.text)
    return document.toPlainText()


def press_training(panel, button: str) -> str:
    getattr(panel.training.ui, button).click()
    return settle(panel)


def calls(server) -> list[str]:
    return [f"{seen.method} {seen.path}" for seen in server.seen if seen.method != "GET"]


def test_a_training_is_started_followed_and_promoted(panel, server, monkeypatch):
    from MedSIGHTLib import training_section

    monkeypatch.setattr(training_section, "_FOLLOW_MILLISECONDS", 50)
    offer(server)
    open_section(panel)
    ui = panel.training.ui
    assert said(panel) == "This server has trained nothing yet."
    assert not ui.trainingBar.visible
    assert not ui.stopTrainingButton.visible
    ui.submittedTooBox.checked, ui.stepsBox.value = True, 160
    server.on_json("GET /medsight/training", RUNNING)
    assert press_training(panel, "trainButton") == (
        "Learning from 12 cases · epoch 3 · step 40 of 160 · loss 0.422 · "
        "Dice 0.551 on cases that only measure · 2 min left"
    )
    body = next(seen.body for seen in server.seen if seen.path == "/train/medsight").decode()
    assert '"submitted_too": true' in body
    assert '"steps": 160' in body
    assert (ui.trainingBar.value, ui.trainingBar.visible) == (25, True)
    assert "Case &lt;one&gt; was left out" in ui.noticesLabel.text
    assert not ui.trainButton.enabled
    assert ui.stopTrainingButton.visible
    offer(
        server,
        {"state": "promoted", "version": "v1", "detail": "Dice went up."},
        "v1",
        version("v1", parent="base", evaluation=SCORES, created="2026-11-29T08:00:01+00:00"),
    )
    infos = len([seen for seen in server.seen if seen.path == "/medsight/info"])
    wait_until(lambda: said(panel) == "Promoted: v1 answers since. Dice went up.")
    assert ui.trainButton.enabled
    assert not ui.trainingBar.visible
    assert ui.modelVersionSelector.currentText == "v1 · answers now"
    assert "trained from base · 2026-11-29 08:00 · Dice on corrected cases 0.400 → 0.550" in ui.modelVersionLabel.text
    wait_until(lambda: len([seen for seen in server.seen if seen.path == "/medsight/info"]) > infos)
    assert slicer.app.userSettings().value("MedSIGHT/SubmittedToo") == "true"


@pytest.mark.parametrize(
    ("training", "words"),
    [
        ({"state": "starting"}, "The training starts …"),
        ({"state": "running", "phase": "prepare", "cases": 3}, "Preparing 3 cases"),
        ({"state": "running", "phase": "measure", "eta": 4000}, "Measuring the Dice · 1 h 7 min left"),
        ({"state": "running", "phase": "of tomorrow", "eta": 20}, "Training · 20 s left"),
        ({"state": "kept", "version": "v2", "detail": "No rise."}, "Refused: v2 is kept and does not answer. No rise."),
        ({"state": "failed", "detail": "The disk is full."}, "Failed: The disk is full."),
        ({"state": "stopped", "detail": "Nothing is kept."}, "Stopped: Nothing is kept."),
    ],
)
def test_each_state_of_a_training_is_a_sentence(panel, server, training, words):
    offer(server, training)
    open_section(panel)
    assert said(panel) == words


def test_stopping_asks_first(panel, server):
    offer(server, RUNNING)
    open_section(panel)
    ui = panel.training.ui
    assert not ui.confirmFrame.visible
    ui.stopTrainingButton.click()
    assert ui.confirmFrame.visible
    assert ui.confirmLabel.text == "Stop the training? Nothing is kept of it."
    ui.refuseButton.click()
    settle(panel)
    assert not ui.confirmFrame.visible
    assert calls(server) == []
    ui.stopTrainingButton.click()
    server.on_json("GET /medsight/training", {"state": "stopped", "detail": "Nothing is kept."})
    assert press_training(panel, "confirmButton") == "Stopped: Nothing is kept."
    assert calls(server) == ["DELETE /train/"]
    assert not ui.confirmFrame.visible


def test_nothing_stands_still_while_the_server_thinks(panel, server):
    offer(server, RUNNING)
    connect(panel)
    with held(server, "GET /medsight/training"):
        panel.training.ui.trainingSection.collapsed = False
        assert panel.training.background.busy
        panel.ui.promptEdit.plainText = "The panel is alive."
        assert not panel.training.ui.trainButton.enabled
    assert "step 40 of 160" in settle(panel)


def test_a_refused_training_says_why(panel, server):
    offer(server)
    open_section(panel)
    server.on_json("POST /train/medsight", {"detail": "There is no corrected label: review them."}, status=400)
    assert press_training(panel, "trainButton") == "There is no corrected label: review them."
    assert panel.training.ui.trainButton.enabled


def test_a_server_that_falls_silent_is_asked_again(panel, server, monkeypatch):
    from MedSIGHTLib import training_section

    monkeypatch.setattr(training_section, "_FOLLOW_MILLISECONDS", 20)
    monkeypatch.setattr(training_section, "_RETRY_MILLISECONDS", 20)
    offer(server, RUNNING)
    open_section(panel)
    server.on_json("GET /medsight/training", {"detail": "Out of order."}, status=500)
    wait_until(lambda: said(panel).startswith("Out of order."))
    assert panel.training.ui.stopTrainingButton.visible, "it may well go on"
    offer(server, {"state": "kept", "version": "v1", "detail": "No rise."})
    wait_until(lambda: said(panel).startswith("Refused: v1"))


def test_an_older_server_trains_nothing(panel, server):
    ui = panel.training.ui
    ui.trainingSection.collapsed = False
    settle(panel)
    assert ui.noTrainingLabel.text == "Test the connection under Server first."
    connect(panel)
    assert ui.noTrainingLabel.text == "This server is older and trains nothing: update it."
    assert not ui.trainingBody.visible
    assert not [seen for seen in server.seen if seen.path == "/medsight/training"]


def test_another_server_has_another_training(panel, server):
    from panels import script
    from scripted_server import scripted_server

    offer(server, RUNNING)
    open_section(panel)
    with scripted_server() as other:
        script(other)
        panel.ui.addressEdit.text = other.address
        panel.ui.connectButton.click()
        wait_until(lambda: not panel.connection.background.busy)
        assert not panel.training.runs
        assert said(panel) == ""
        assert not panel.training.ui.trainingBody.visible


def test_a_label_that_comes_in_starts_a_training_if_that_is_wished(panel, server, tmp_path):
    from test_slicer_worklist_trouble import MASK
    from test_slicer_worklist_trouble import offer as offer_cases
    from worklists import write_image

    offer(server)
    offer_cases(server, "one", "two", image=write_image(tmp_path / "image.nii.gz").read_bytes())
    begin(panel)
    panel.training.ui.trainingSection.collapsed = False
    settle(panel)
    for wished in (False, True):
        panel.training.ui.trainByItselfBox.checked = wished
        press(panel, "nextButton")
        draw(panel, "heart", MASK)
        press(panel, "submitButton")
        settle(panel)
        assert calls(server).count("POST /train/medsight") == wished


# -- a real server with versions of a tiny model


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model"), **DETECTING)


@pytest.fixture(scope="module")
def studies(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "studies"
    write_sets(folder / "medsight" / "sets", range(50, 52))
    for number in range(6):
        write_head(folder, number, f"head-{number}")[1].unlink()
    return folder


@pytest.fixture(scope="module")
def site(studies, model) -> Iterator:
    with running_server(Settings(studies, model, port=0, token=TOKEN), PATIENCE) as running:
        yield running


@pytest.fixture
def before_site(panel, site):
    """The panel before the real server."""
    panel.ui.addressEdit.text, panel.ui.tokenEdit.text = site.address, TOKEN
    open_section(panel)
    return panel


def follow(panel, until) -> str:
    """As `wait_until`, with little of the processor, which the training needs."""
    deadline = time.monotonic() + PATIENCE
    while not until():
        assert time.monotonic() < deadline, said(panel)
        QtCore.QCoreApplication.processEvents()
        time.sleep(0.1)
    return said(panel)


@pytest.mark.slow
def test_a_real_training_is_started_stopped_and_followed_to_its_end(before_site, site, tmp_path):
    panel, ui = before_site, before_site.training.ui
    assert said(panel) == "This server has trained nothing yet."
    assert press_training(panel, "trainButton").startswith("There is no corrected label to learn from that was")
    with Annotator("anna", site.address, TOKEN) as anna:
        for number in range(6):
            anna.submit(f"head-{number}", write_head(tmp_path, number, f"copy-{number}")[1], {1: NAME})
    ui.submittedTooBox.checked, ui.stepsBox.value = True, 100_000
    press_training(panel, "trainButton")
    assert "6 cases" in follow(panel, lambda: panel.training.runs and " cases" in said(panel))
    ui.stopTrainingButton.click()
    ui.confirmButton.click()
    assert follow(panel, lambda: not panel.training.runs).startswith("Stopped: The training was stopped before its end")
    ui.stepsBox.value = 20
    press_training(panel, "trainButton")
    assert panel.training.runs, said(panel)
    follow(panel, lambda: not panel.training.runs and not panel.training.background.busy)
    with Annotator("anna", site.address, TOKEN) as anna:
        told, versions = anna.training(), anna.models()
    assert told.state in ("promoted", "kept"), told
    word = "Promoted" if told.promoted else "Refused"
    assert said(panel).startswith(f"{word}: v1 ")
    assert said(panel).endswith(told.detail)
    assert [each.name for each in versions] == ["base", "v1"]
    assert ui.modelVersionSelector.count == 2


def test_a_version_is_served_and_rolled_back_after_asking(before_site, site, studies, model):
    registry = Registry.of_studies(studies, model)
    good, bad = publish(registry), publish(registry, FORGETFUL, seed=2)
    panel, ui = before_site, before_site.training.ui
    panel.training.look()
    settle(panel)

    def choose(name: str) -> None:
        selector = ui.modelVersionSelector
        titles = [selector.itemText(n).split(" ")[0] for n in range(selector.count)]
        selector.currentIndex = titles.index(name)

    served = registry.current()
    choose(bad.name)
    assert not ui.serveButton.enabled
    assert "It may not answer: Dice on the reference set" in ui.modelVersionLabel.text
    choose(served)
    assert not ui.serveButton.enabled
    choose(good.name)
    assert ui.serveButton.text == "Let it answer …"
    ui.serveButton.click()
    assert f"{good.name} answers everybody who asks this server" in ui.confirmLabel.text
    ui.refuseButton.click()
    assert registry.current() == served
    ui.serveButton.click()
    press_training(panel, "confirmButton")
    assert registry.current() == good.name
    wait_until(lambda: panel.info is not None and panel.info.model.version == f"tiny+{good.name}")
    choose("base")
    assert ui.serveButton.text == "Roll back …"
    ui.serveButton.click()
    assert ui.confirmButton.text == "Roll back to base"
    press_training(panel, "confirmButton")
    assert registry.current() == "base"
    assert "The model that the server was started with." in ui.modelVersionLabel.text


def test_words_of_a_version_that_knows_little(medsight_module):
    from MedSIGHTLib.training_words import training_words, version_title

    assert version_title(ModelVersion("v1", "", "", False, True, "")) == "v1"
    assert training_words(Training("running"))[0] == "Training"
