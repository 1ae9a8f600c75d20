"""From a correction to a better answer and back, over HTTP, with a real training in MONAI Label's own process."""

from __future__ import annotations

import re
import signal
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Iterator

import numpy as np
import psutil
import pytest
import SimpleITK as sitk  # noqa: N813
from ball_heads import DETECTING, NAME, write_sets
from ball_heads import write_head as write_any_head
from forking import wait_for_end
from monailabel.client import MONAILabelClient
from tiny_model import save_tiny_model

from medsight_core.client import Annotator, MedSightClient, Training
from medsight_core.engine.registry import Registry
from medsight_core.errors import InputError, NotFoundError
from medsight_core.imaging.label_file import read_label_file
from medsight_core.server.running import RunningServer, running_server
from medsight_core.server.settings import Settings

pytestmark = pytest.mark.slow

HEADS = range(6)
PATIENCE = 1200.0  # seconds; a busy machine imports for minutes
LONG = 100_000  # steps that no test waits for
SPREAD = 3.5  # of the balls: with a smaller one an outline fits other heads nearly as well as its own
write_head = partial(write_any_head, spread=SPREAD)
LEARNS = {"steps": 150, "learning_rate": 0.01}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model"), **DETECTING)


@pytest.fixture(scope="module")
def studies(tmp_path_factory) -> Path:
    return make_studies(tmp_path_factory.mktemp("site") / "studies")


def make_studies(folder: Path) -> Path:
    write_sets(folder / "medsight" / "sets", range(50, 52), SPREAD)
    for number in HEADS:
        write_head(folder, number, f"head-{number}")[1].unlink()
    return folder


@contextmanager
def serving(studies: Path, model: Path) -> Iterator[tuple[RunningServer, Annotator]]:
    with (
        running_server(Settings(studies, model, port=0), PATIENCE) as running,
        Annotator("anna", running.address, running.token) as anna,
    ):
        yield running, anna


@pytest.fixture(scope="module")
def site(studies, model) -> Iterator[tuple[RunningServer, Annotator]]:
    with serving(studies, model) as both:
        yield both


@pytest.fixture(scope="module")
def registry(studies, model) -> Registry:
    return Registry.of_studies(studies, model)


def wait(anna: Annotator, until=lambda training: training.ended) -> Training:
    deadline = time.monotonic() + PATIENCE
    while not until(training := anna.training()):
        assert not training.ended, training
        assert time.monotonic() < deadline, training
        time.sleep(0.1)
    return training


def answer(server: RunningServer, image: str = "head-0") -> tuple[bytes, dict]:
    """The label file and all that is said, but for the time in the file's first lines and how long it took."""
    with MedSightClient(server.address, server.token) as client:
        reply = client.ask(f"Outline the {NAME}.", image=image)
    said = reply.answer.to_json()
    del said["timings"]
    return re.sub(rb"(?m)^# on .*\n", b"", reply.segmentation or b""), said


def dice(segmentation: bytes, label: Path, tmp_path: Path) -> float:
    """Of all that is outlined: a random language model says any names, and one thing is there."""
    (tmp_path / "answer.seg.nrrd").write_bytes(segmentation)
    segments = read_label_file(tmp_path / "answer.seg.nrrd").segments if segmentation else ()
    found = np.logical_or.reduce([segment.mask for segment in segments] or [np.zeros(1, bool)])
    true = sitk.GetArrayFromImage(sitk.ReadImage(str(label))).transpose() > 0
    return 2 * float((found & true).sum()) / float(found.sum() + true.sum())


def trainers_of(server: RunningServer) -> list[psutil.Process]:
    """The processes in which MONAI Label trains: one at most."""
    return [each for each in psutil.Process(server.process.pid).children() if "train" in each.cmdline()]


def train(anna: Annotator, server: RunningServer, **options) -> None:
    """Once the process of the training before has ended, which tells its end a little sooner."""
    for trainer in trainers_of(server):
        wait_for_end(trainer.pid, PATIENCE)
    anna.train(**options)


def hand_in(anna: Annotator, folder: Path, poison: bool = False) -> None:
    for number in HEADS:
        _, label = write_head(folder, number, f"copy-{number}", poison)
        anna.submit(f"head-{number}", label, {1: NAME})
        anna.review(f"head-{number}", "approved")


def test_without_corrections_nothing_is_trained(site):
    _, anna = site
    assert anna.training() == Training("idle")
    with pytest.raises(InputError, match=r"^There is no corrected label to learn from that was approved: review them"):
        anna.train()
    with pytest.raises(InputError, match=r"that was handed in: correct one and hand it in\.$"):
        anna.train(submitted_too=True)
    with pytest.raises(NotFoundError, match="No training of this server is running: there is nothing to stop"):
        anna.stop_training()
    for options, told in (
        ({"steps": -1}, "steps is -1: use a whole number from 0 to 100000"),
        ({"seed": 1.5}, "seed is 1.5: use a whole number from 0 to"),
        ({"learning_rate": "high"}, "learning_rate is 'high': use a number from 0 to 1"),
        ({"submitted_too": "yes"}, "submitted_too is 'yes': use true or false"),
    ):
        with pytest.raises(InputError, match=re.escape(told)):
            anna.train(**options)
    assert [version.name for version in anna.models()] == ["base"]


def test_from_the_next_case_to_a_better_answer_and_back(site, registry, tmp_path):
    server, anna = site

    def stock() -> MONAILabelClient:
        client = MONAILabelClient(server.address, tmpdir=str(tmp_path), client_id="ben")
        client.update_auth({"token_type": "Bearer", "access_token": server.token})
        return client

    before, corrected = answer(server), set()
    while case := stock().next_sample("random", {}):
        image, number = case["id"], int(case["id"].rpartition("-")[2])
        stock().infer("medsight", image, {"prompt": f"Outline the {NAME}.", "result_extension": ".nrrd"})
        _, label = write_head(tmp_path, number, f"copy-{number}")
        stock().save_label(image, str(label), "final", {"label_info": [{"name": NAME, "idx": 1}]})
        corrected.add(number)
    assert corrected == set(HEADS)
    with pytest.raises(Exception):  # noqa: B017, PT011 - MONAI Label's client tells nothing: nobody reviewed them
        stock().train_start("medsight", dict(LEARNS))
    started = stock().train_start("medsight", {**LEARNS, "submitted_too": True})
    assert started["status"] in ("SUBMITTED", "RUNNING")
    with pytest.raises(InputError, match="A training is running already: wait for it, or stop it"):
        anna.train(submitted_too=True)
    running = wait(anna, lambda training: training.step > 1 and training.loss is not None)
    assert (running.state, running.phase, running.cases) == ("running", "train", len(HEADS))
    assert running.steps == LEARNS["steps"]
    assert running.eta is not None
    assert running.held_out is not None
    assert answer(server) == before, "while it trains the old model answers"
    assert any("PROGRESS" in line for line in stock().train_status()["details"])
    done = wait(anna)
    assert (done.state, done.version) == ("promoted", "v1"), done
    assert done.detail.startswith("Dice on ")
    after = answer(server)
    assert after[1]["model"]["version"] == "tiny+v1"
    _, truth = write_head(tmp_path, 0, "truth")
    assert dice(after[0], truth, tmp_path) > dice(before[0], truth, tmp_path) + 0.1
    (base, version) = anna.models()
    assert (base.served, version.served, version.may_be_served) == (False, True, True)
    assert version.new_cases[1] > version.new_cases[0]
    text = (registry.folder("v1") / "CHANGES.md").read_text()
    assert f"- structures that were taught: {NAME}" in text
    assert "head-" not in text, "no image is named"
    assert anna.rollback() == "base"
    assert answer(server) == before, "bit for bit"
    assert anna.promote("v1") == "v1"
    assert answer(server) == after


def test_random_masks_are_not_served(site, registry, tmp_path):
    server, anna = site
    if registry.current() != "v1":
        pytest.skip("needs the model of the test before")
    before = answer(server)
    hand_in(anna, tmp_path, poison=True)
    train(anna, server, **LEARNS)
    done = wait(anna)
    assert (done.state, done.version) == ("kept", "v2")
    assert any(reason in done.detail for reason in ("no rise", "may fall by", "fits other cases' outlines"))
    with pytest.raises(InputError, match=r"^v2 is not promoted\. "):
        anna.promote("v2")
    assert answer(server) == before


def test_a_training_that_is_stopped_or_killed_leaves_nothing(site, registry, tmp_path):
    server, anna = site
    hand_in(anna, tmp_path)
    before, versions = answer(server), [version.name for version in anna.models()]
    train(anna, server, steps=LONG)
    wait(anna, lambda training: training.step > 0)
    (trainer,) = trainers_of(server)
    stopped = anna.stop_training()
    assert (stopped.state, stopped.eta) == ("stopped", None)
    assert stopped.detail.startswith("The training was stopped before its end: nothing is kept of it")
    wait_for_end(trainer.pid, 10)
    assert not list(registry.root.glob(".part-*"))
    train(anna, server, steps=LONG)
    wait(anna, lambda training: training.phase == "measure")
    trainers_of(server)[0].kill()
    killed = wait(anna)
    assert killed.state == "stopped"
    assert not registry.at_work()
    assert [version.name for version in anna.models()] == versions
    assert answer(server) == before


def test_a_killed_server_loses_nothing_and_the_next_one_starts_clean(model, tmp_path):
    studies = make_studies(tmp_path / "studies")
    registry = Registry.of_studies(studies, model)
    with serving(studies, model) as (server, anna):
        hand_in(anna, tmp_path)
        before, kept = answer(server), len(anna.versions("head-0").versions)
        train(anna, server, steps=LONG)
        wait(anna, lambda training: training.step > 0)
        (trainer,) = trainers_of(server)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        wait_for_end(trainer.pid, PATIENCE)
    with serving(studies, model) as (server, anna):
        assert answer(server) == before
        assert len(anna.versions("head-0").versions) == kept
        assert anna.training().ended
        assert not list(registry.root.glob(".part-*"))
        train(anna, server, steps=LONG)
        wait(anna, lambda training: training.step > 0)
        (trainer,) = trainers_of(server)
    wait_for_end(trainer.pid, 10)  # a server that stops takes its training with it
    assert not registry.at_work()
