"""A label that is handed in: kept and current, or not there at all, whenever the server dies."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import pytest
from forking import forking
from label_builders import NAMES, write_image, write_label
from write_points import deaths

from medsight_core.data.correction_store import CorrectionStore
from medsight_core.server import publishing

IMPORTS = """
from pathlib import Path
from medsight_core.server import absent
absent.install()
from medsight_core.data.correction import Claim
from medsight_core.data.correction_store import CorrectionStore
from medsight_core.data.submission import read_submission
from medsight_core.server import publishing
from monailabel_app.lib.datastore import WholeDatastore
from write_points import die_at

def site(studies):
    store = CorrectionStore(studies / "medsight" / "corrections")
    return store, WholeDatastore(str(studies), extensions=["*.nii.gz", "*.nrrd"])

def hand_in(studies, label, key):
    store, datastore = site(studies)
    claim = Claim.of({"label_info": NAMES, "client_id": "anna", "medsight": {"key": key}})
    known = [version for version in store.versions("case") if version.key == key]
    if known:
        publishing.settle(store, datastore, "case")
        return known[-1].version, datastore
    correction = read_submission("case", Path(datastore.get_image_uri("case")), label, "final", claim, {}, store)
    kept, _ = publishing.publish(store, datastore, correction, label, {"client_id": "anna"})
    return kept.version, datastore

def start_anew(studies):
    store, datastore = site(studies)
    store.clean_up()
    datastore.clean_up()
    publishing.settle(store, datastore)
    return store, datastore
"""
REVIEW = {"segmentationMeta": {"status": "approved", "approvedBy": "ben"}}


@pytest.fixture(scope="module")
def code() -> dict:
    """What the children run, for this process as well."""
    names: dict = {}
    exec(f"NAMES = {NAMES!r}\n{IMPORTS}", names)
    return names


@pytest.fixture(scope="module")
def fork():
    with forking(f"NAMES = {NAMES!r}\n{IMPORTS}") as run:
        yield run


@pytest.fixture
def labels(tmp_path) -> list[Path]:
    """Two versions, of two file types."""
    return [write_label(tmp_path / "one.nii.gz"), write_label(tmp_path / "two.nrrd", right=7)]


@pytest.fixture
def prepare(tmp_path, labels, code):
    """A function that makes a new studies folder with a first version in it, which is approved."""
    begun = tmp_path / "begun"
    begun.mkdir()
    write_image(begun / "case.nii.gz")
    _, datastore = code["hand_in"](begun, labels[0], "first")
    publishing.say(code["site"](begun)[0], datastore, "case", "final", dict(REVIEW))
    numbers = itertools.count()
    return lambda: Path(shutil.copytree(begun, tmp_path / f"studies-{next(numbers)}"))


def parts(studies: Path) -> list[Path]:
    return [path for path in studies.rglob("*") if ".part" in path.name]


def check(studies: Path, labels: list[Path], code: dict) -> int:
    """Start anew, and look whether all is whole; how many versions there are."""
    store, datastore = code["start_anew"](studies)
    json.loads((studies / "datastore_v2.json").read_bytes())
    assert not parts(studies)
    assert not store.unsettled()
    versions = store.versions("case")
    assert [version.version for version in versions] == list(range(1, len(versions) + 1))
    for version, label in zip(versions, labels):
        assert store.file("case", version.version).read_bytes() == label.read_bytes()
    current = publishing.current_label(datastore, "case", "final")
    assert current.read_bytes() == labels[len(versions) - 1].read_bytes(), "what was kept last is current"
    assert len(list(current.parent.iterdir())) == 1, "and nothing else lies there"
    info = datastore.get_label_info("case", "final")
    assert info["medsight"]["version"] == len(versions)
    said = info if len(versions) == 1 else store.notes("case", 1)
    assert said["segmentationMeta"]["status"] == "approved", "what a reviewer said stays with its version"
    return len(versions)


def test_a_hand_in_that_dies_at_any_write_is_kept_whole_or_not_at_all(fork, prepare, labels, code, tmp_path):
    found = set()
    act = "ARM; hand_in(Path({!r}), Path({!r}), 'second')".format
    for studies in deaths(fork, prepare, lambda folder: act(str(folder), str(labels[1])), tmp_path / "ended"):
        found.add(check(studies, labels, code))
        again, datastore = code["hand_in"](studies, labels[1], "second")  # no reply came: its client tries again
        assert again == 2
        assert check(studies, labels, code) == 2
        assert datastore.get_label_info("case", "final")["segmentationMeta"]["status"] == "submitted"
    assert found == {1, 2}


def test_a_review_that_dies_at_any_write_is_whole_or_the_one_before(fork, prepare, labels, code, tmp_path):
    said = {"segmentationMeta": {"status": "flagged"}}
    found = set()

    def act(folder: Path) -> str:
        return f"ARM; publishing.say(*site(Path({str(folder)!r})), 'case', 'final', {said!r})"

    for studies in deaths(fork, prepare, act, tmp_path / "ended"):
        store, datastore = code["start_anew"](studies)
        assert not parts(studies)
        found.add(datastore.get_label_info("case", "final")["segmentationMeta"]["status"])
        assert len(store.versions("case")) == 1
    assert found == {"approved", "flagged"}


def test_an_image_that_arrives_when_the_server_dies_is_whole_or_not_there(fork, prepare, code, tmp_path):
    image, found = write_image(tmp_path / "new.nrrd"), set()

    def act(folder: Path) -> str:
        return f"ARM; site(Path({str(folder)!r}))[1].add_image('new', {str(image)!r}, {{}})"

    for studies in deaths(fork, prepare, act, tmp_path / "ended"):
        _, datastore = code["start_anew"](studies)
        assert not parts(studies)
        assert set(datastore.list_images()) >= {"case"}
        path = datastore.get_image_uri("new")
        found.add(bool(path))
        assert not path or Path(path).read_bytes() == image.read_bytes()
    assert found == {True, False}


def test_what_was_kept_and_not_published_is_when_its_client_tries_again(prepare, labels, code, monkeypatch):
    studies = prepare()

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(code["WholeDatastore"], "save_label", full)
        with pytest.raises(OSError, match="No space left"):
            code["hand_in"](studies, labels[1], "second")
    store = CorrectionStore(studies / "medsight" / "corrections")
    assert [version.version for version, _ in store.unsettled("case")] == [2]
    assert code["hand_in"](studies, labels[1], "second")[0] == 2
    assert check(studies, labels, code) == 2


def test_a_label_that_was_taken_away_does_not_come_back_with_the_next_server(prepare, labels, code):
    studies = prepare()
    _, datastore = code["site"](studies)
    datastore.remove_label("case", "final")
    _, datastore = code["start_anew"](studies)
    assert publishing.current_label(datastore, "case", "final") is None
