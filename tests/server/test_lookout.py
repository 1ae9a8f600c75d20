"""The lookout without a server: what it looks at, what it leaves alone, what it writes down."""

import time

import numpy as np
import pytest

from medsight_core.data.worklist import Worklist
from medsight_core.engine.impression import Impression
from medsight_core.errors import VolumeError
from medsight_core.server.lookout import Lookout


@pytest.fixture
def images(tmp_path):
    paths = {name: tmp_path / f"{name}.nrrd" for name in ("good", "damaged", "strange")}
    for path in paths.values():
        path.write_bytes(path.name.encode())
    return paths


@pytest.fixture
def lookout(tmp_path, images):
    looked = []

    def look(path):
        looked.append(path.stem)
        if path.stem == "damaged":
            raise VolumeError("It cannot be read.")
        if path.stem == "strange":
            raise RuntimeError("CANARY")
        return Impression(np.ones(1, np.float32), 0.5)

    worklist = Worklist(tmp_path / "medsight" / "worklist.json", "model")
    lookout = Lookout(worklist, lambda: images, look)
    lookout.looked = looked
    return lookout


def test_every_image_is_looked_at_once_whatever_it_is(lookout, images, caplog):
    lookout.look_around()
    lookout.look_around()
    assert lookout.looked == ["good", "damaged", "strange"]
    found = lookout.worklist.impressions(images)
    assert found["good"] is not None
    assert found["damaged"] is found["strange"] is None
    assert "RuntimeError" in caplog.text, "an incident is in the log, without its text"
    assert "CANARY" not in caplog.text


def test_after_a_restart_only_what_nobody_foresaw_is_tried_again(lookout, images):
    lookout.look_around()
    again = Lookout(Worklist(lookout.worklist.path, "model"), lambda: images, lookout._look)
    again.look_around()
    assert lookout.looked[3:] == ["strange"]


def test_nothing_new_writes_nothing(lookout):
    lookout.look_around()
    lookout.worklist.path.unlink()
    lookout.look_around()
    assert not lookout.worklist.path.exists()


def test_an_image_that_went_is_forgotten_on_disk_too(lookout, images):
    lookout.look_around()
    assert b'"good"' in lookout.worklist.path.read_bytes()
    del images["good"]
    lookout.look_around()
    assert b'"good"' not in lookout.worklist.path.read_bytes()


def test_started_it_works_by_itself_and_in_one_thread(lookout):
    lookout.start()
    thread = lookout._thread
    lookout.start()
    assert lookout._thread is thread
    deadline = time.monotonic() + 20
    while not lookout.worklist.path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
