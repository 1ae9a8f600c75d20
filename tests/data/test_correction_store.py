"""Versions: whole, in order, never overwritten, whoever comes at the same time."""

import os
import threading

import pytest

from medsight_core.data.correction import Correction
from medsight_core.data.correction_store import CorrectionStore
from medsight_core.errors import InputError, NotFoundError


def correction(image_id: str = "chest", **more) -> Correction:
    return Correction(image_id, "SHA256:00", "final", "2026-01-01T00:00:00+00:00", "SHA256:11", **more)


@pytest.fixture
def store(tmp_path):
    return CorrectionStore(tmp_path / "corrections")


@pytest.fixture
def label(tmp_path):
    path = tmp_path / "label.nii.gz"
    path.write_bytes(b"one")
    return path


def test_every_version_is_kept(store, label):
    assert store.versions("chest") == []
    assert store.keep(label, ".nii.gz", correction(prompt="first")).version == 1
    label.write_bytes(b"two")
    assert store.keep(label, ".nrrd", correction(prompt="second")).version == 2
    assert [(c.version, c.prompt) for c in store.versions("chest")] == [(1, "first"), (2, "second")]
    assert store.file("chest", 1).read_bytes() == b"one"
    assert store.file("chest", 2).name == "label.nrrd"
    assert store.versions("brain") == []


def test_a_missing_version_is_said(store, label):
    store.keep(label, ".nrrd", correction())
    for version in (0, 2, -1):
        with pytest.raises(NotFoundError, match=f"There is no version {version} of this label: list the versions"):
            store.file("chest", version)


def test_many_at_once_lose_nothing(store, label):
    def keep(number: int) -> None:
        CorrectionStore(store._root).keep(label, ".nrrd", correction(prompt=str(number)))

    threads = [threading.Thread(target=keep, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = store.versions("chest")
    assert [c.version for c in kept] == list(range(1, 17))
    assert {c.prompt for c in kept} == {str(number) for number in range(16)}


def test_a_number_that_another_process_takes_meanwhile_is_passed(store, label, monkeypatch):
    rename, taken = os.rename, []

    def slow(source, target):
        if not taken:
            taken.append(target)
            os.mkdir(target)
            (target / "label.nrrd").write_bytes(b"theirs")
        rename(source, target)

    monkeypatch.setattr(os, "rename", slow)
    assert store.keep(label, ".nrrd", correction()).version == 2
    assert store.file("chest", 1).read_bytes() == b"theirs"


def test_a_full_disk_leaves_no_half_version(store, label, monkeypatch):
    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(OSError, match="No space left"):
        store.keep(label, ".nrrd", correction())
    assert [path for path in store._root.rglob("*") if path.is_file()] == []


def test_a_killed_servers_half_version_does_not_count(store, label, monkeypatch):
    store.keep(label, ".nrrd", correction())
    (next(store._root.iterdir()) / ".part-x").mkdir()
    assert [c.version for c in store.versions("chest")] == [1]
    assert store.keep(label, ".nrrd", correction()).version == 2


def test_a_damaged_sidecar_hides_no_other_version_and_keeps_its_number(store, label):
    for _ in range(2):
        store.keep(label, ".nrrd", correction())
    (store.file("chest", 1).parent / "correction.json").write_text("{")
    assert [c.version for c in store.versions("chest")] == [2]
    assert store.keep(label, ".nrrd", correction()).version == 3
    assert store.file("chest", 1).is_file()


def test_no_folder_is_named_by_an_id(store, label):
    store.keep(label, ".nrrd", correction("JaneDoe"))
    assert not [path for path in store._root.rglob("*") if "Doe" in path.name]
    for outside in ("../x", "/etc", "a/b", ".x"):
        with pytest.raises(InputError, match="This image id is not allowed"):
            store.keep(label, ".nrrd", correction(outside))
    assert len(list(store._root.iterdir())) == 1


def test_notes_are_kept_with_their_version(store, label):
    store.keep(label, ".nrrd", correction())
    assert store.notes("chest", 1) == {}
    store.note("chest", 1, {"segmentationMeta": {"status": "flagged"}})
    store.note("chest", 1, {"segmentationMeta": {"status": "approved"}})
    assert store.notes("chest", 1) == {"segmentationMeta": {"status": "approved"}}
