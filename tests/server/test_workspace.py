from __future__ import annotations

import os
import tempfile
import time

import pytest

from medsight_core.server.workspace import PREFIX, remove_abandoned, workspace


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def age(folder, seconds=3600.0):
    os.utime(folder, (time.time() - seconds,) * 2)


def test_everything_goes_with_the_server(temporary):
    with workspace() as folder:
        assert folder.stat().st_mode & 0o077 == 0
        handle, path = tempfile.mkstemp()
        os.close(handle)
        assert os.path.dirname(path) == str(folder)
        (folder / "sessions").mkdir()
    assert list(temporary.iterdir()) == []
    assert tempfile.tempdir == str(temporary)


def test_a_killed_servers_folder_is_removed_by_the_next(temporary):
    dead = temporary / f"{PREFIX}dead"
    (dead / "sessions").mkdir(parents=True)
    (dead / "sessions" / "image.nii.gz").write_bytes(b"x")
    age(dead)
    with workspace():
        assert not dead.exists()


def test_a_live_servers_folder_stays(temporary):
    with workspace() as folder:
        age(folder)
        remove_abandoned()
        assert folder.exists()


def test_a_starting_servers_folder_stays(temporary):
    starting = temporary / f"{PREFIX}starting"
    starting.mkdir()
    remove_abandoned()
    assert starting.exists()


def test_a_link_is_not_followed(temporary, tmp_path_factory):
    precious = tmp_path_factory.mktemp("precious")
    (precious / "thesis.txt").write_text("x")
    age(precious)
    (temporary / f"{PREFIX}link").symlink_to(precious, target_is_directory=True)
    remove_abandoned()
    assert [path.name for path in precious.iterdir()] == ["thesis.txt"]
