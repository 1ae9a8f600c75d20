"""The same question about many images through MONAI Label's own call: resumable, and one bad image ends nothing."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Iterator

import pytest
import requests
from ball_heads import DETECTING
from label_builders import write_image
from tiny_model import save_tiny_model
from typer.testing import CliRunner

from medsight_core.cli import app
from medsight_core.client import Annotator, Batch
from medsight_core.data.correction_store import CorrectionStore
from medsight_core.errors import InputError, NotFoundError
from medsight_core.imaging.label_file import read_label_file
from medsight_core.imaging.segmentation_file import read_segmentation
from medsight_core.server.running import RunningServer, running_server
from medsight_core.server.settings import Settings

PROMPT = "Outline the lungs."
GOOD = ("brain", "chest", "last")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("batch") / "studies"
    folder.mkdir()
    for seed, name in enumerate(GOOD):
        write_image(folder / f"{name}.nii.gz", seed)
    (folder / "broken.nii.gz").write_bytes(b"not an image")
    return folder


@pytest.fixture(scope="module")
def served(site, tmp_path_factory) -> Iterator[RunningServer]:
    model = save_tiny_model(tmp_path_factory.mktemp("model"), **DETECTING)
    with running_server(Settings(site, model, port=0)) as server:
        yield server


@pytest.fixture
def anna(served) -> Iterator[Annotator]:
    with Annotator("anna", served.address, served.token) as anna:
        yield anna


def wait(anna: Annotator) -> Batch:
    deadline = time.monotonic() + 300
    while not (batch := anna.preannotation()).ended:
        assert time.monotonic() < deadline, batch
        time.sleep(0.02)
    return batch


def call(served: RunningServer, method: str, path: str, **kwargs) -> requests.Response:
    headers = {"Authorization": f"Bearer {served.token}"}
    return requests.request(method, served.address + path, headers=headers, timeout=60, **kwargs)


def labels(served: RunningServer) -> dict[str, dict]:
    """What MONAI Label knows of the answers, by image."""
    objects = call(served, "GET", "/datastore/?output=all").json()["objects"]
    return {name: known["labels"].get("original", {}).get("info", {}) for name, known in objects.items()}


def test_all_that_has_no_label_is_asked_about_and_a_bad_image_stops_nothing(anna, served, site):
    with pytest.raises(NotFoundError, match=r"^There was no batch yet: POST /batch/infer/medsight\.$"):
        anna.preannotation()
    with pytest.raises(NotFoundError, match=r"^No batch is running: there is nothing to stop\.$"):
        anna.stop_preannotation()
    started = anna.preannotate(PROMPT)
    assert (started.total, started.done, started.ended) == (4, 0, False)
    with pytest.raises(InputError, match="A batch is running already: wait for it, or stop it"):
        anna.preannotate(PROMPT)
    batch = wait(anna)
    assert (batch.status, batch.answered, batch.skipped, batch.done, batch.eta) == ("DONE", 3, 0, 4, None)
    ((image, why),) = batch.failed
    assert image == "broken"
    assert "cannot be read" in why
    for name in GOOD:
        info = labels(served)[name]
        assert info["preannotation"]["question"]["prompt"] == PROMPT
        assert info["params"]["notice"] == "Research use only. Not for clinical use."
        outlined = read_label_file(site / "labels" / "original" / f"{name}.nrrd").segments
        assert [each["idx"] for each in info["label_info"]] == [segment.label for segment in outlined]
    assert not labels(served)["broken"]


def test_an_answer_is_no_correction_and_waits_in_the_worklist(anna, site):
    worklist = anna.worklist()
    assert (worklist.preannotated, worklist.labelled) == (3, 0)
    assert {case.id for case in worklist.cases if case.preannotated == PROMPT} == set(GOOD)
    assert not CorrectionStore(site / "medsight" / "corrections").versions("chest")
    with pytest.raises(InputError, match="There is no corrected label to learn from"):
        anna.train(submitted_too=True)
    assert anna.next_case() is not None, "it still wants an annotator"


def test_the_same_again_skips_what_is_answered_unless_asked_anew(anna, served, site):
    before = labels(served)
    anna.preannotate(PROMPT)
    batch = wait(anna)
    assert (batch.answered, batch.skipped, len(batch.failed)) == (0, 3, 1)
    assert labels(served) == before
    write_image(site / "last.nii.gz", seed=7)  # another image: its answer is another's
    (site / "labels" / "original" / "brain.nrrd").unlink()
    anna.preannotate(PROMPT)
    batch = wait(anna)
    assert (batch.answered, batch.skipped) == (2, 1)
    anna.preannotate(PROMPT, anew=True)
    assert wait(anna).answered == 3
    anna.preannotate("Outline the left lung.")
    assert wait(anna).answered == 3
    assert labels(served)["chest"]["preannotation"]["question"]["prompt"] == "Outline the left lung."


def test_it_is_stopped_and_goes_on(anna, served, site):
    for number in range(20):
        shutil.copy(site / "chest.nii.gz", site / f"more-{number:02}.nii.gz")
    call(served, "GET", "/medsight/corrections?image=more-19")  # notices them, if the watcher did not
    anna.preannotate(PROMPT, images="all")
    deadline = time.monotonic() + 300
    while anna.preannotation().answered < 2:
        assert time.monotonic() < deadline
    anna.stop_preannotation()
    stopped = wait(anna)
    assert stopped.status == "STOPPED"
    assert 2 <= stopped.answered < stopped.total == 24
    shown = CliRunner().invoke(
        app, ["preannotate", PROMPT, "--server", served.address, "--token", served.token, "--images", "all"]
    )
    assert shown.exit_code == 0, shown.output
    assert f"of 24 studies pre-annotated, {stopped.answered} were already, 1 cannot be." in shown.output
    assert "broken: " in shown.output


def test_nothing_found_is_an_answer_too(anna, served, site):
    asked = {"prompt": "Outline the right lung.", "threshold": 1.0}
    assert call(served, "POST", "/batch/infer/medsight", json=asked).status_code == 200
    batch = wait(anna)
    assert batch.answered > 0
    assert read_segmentation(site / "labels" / "original" / "chest.nrrd").segments == ()
    assert call(served, "POST", "/batch/infer/medsight", json=asked).json()["status"] in ("SUBMITTED", "RUNNING")
    assert wait(anna).answered == 0


@pytest.mark.parametrize(
    ("path", "body", "status", "detail"),
    [
        ("/other", {}, 404, "There is no such model on this server: POST /batch/infer/medsight."),
        ("/medsight?images=some", {}, 400, "images is none that is known: use one of unlabeled, all, labeled."),
        ("/medsight", {"anew": "yes"}, 400, "anew is 'yes': use true or false."),
        ("/medsight", {"image": "/etc/passwd"}, 400, "The params must not name an image"),
        ("/medsight", {"prompt": ""}, 400, "The prompt is empty"),
    ],
)
def test_refusals_are_one_sentence(served, path, body, status, detail):
    reply = call(served, "POST", "/batch/infer" + path, json=body)
    assert (reply.status_code, reply.json()["detail"][: len(detail)]) == (status, detail)
