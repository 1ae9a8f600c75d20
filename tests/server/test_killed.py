"""Real servers and trainings, killed at moments drawn by chance.

`test_publishing.py` and `test_registry.py` try every moment between two writes, without servers.

Each is forked from one process that has imported what takes seconds. Otherwise they are what ``medsight serve`` and
MONAI Label run.
"""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Iterator

import psutil
import pytest
from ball_heads import DETECTING, NAME, write_head, write_sets
from forking import forking, kill, wait_for_end
from tiny_model import save_tiny_model
from versions import publish

from medsight_core.client import Annotator, MedSightClient
from medsight_core.data.correction_store import CorrectionStore
from medsight_core.engine.registry import BASE, Registry
from medsight_core.errors import MedSightError
from medsight_core.files import file_hash
from medsight_core.model.loading import load_model
from medsight_core.protocol import TRAINING_ENDED, TRAINING_STOPPED
from medsight_core.training.state import TrainingFile

pytestmark = pytest.mark.slow

KILLS = 10
HEADS = range(4)
TOKEN = "a-token-of-these-tests-alone"
PATIENCE = 300.0  # seconds; a busy machine starts a server for minutes

IMPORTS = """
import os
from pathlib import Path
from medsight_core.server import stock
from medsight_core.server.settings import Settings
SETTINGS = Settings(Path({studies!r}), Path({model!r}), port={port}, token={token!r})
stock.configure(SETTINGS)
import monailabel.endpoints.activelearning, monailabel.endpoints.datastore, monailabel.endpoints.session
import monailabel_app.main, medsight_core.server.asgi, medsight_core.training.learn, sample_data.site_sets
from medsight_core.server.serve import serve
from monailabel.interfaces.utils.app import app_instance

def silent():  # our standard output belongs to those who fork
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
"""
SERVE = "silent(); serve(SETTINGS, say=lambda line: None)"
TRAIN = "silent(); app_instance().train({'model': 'medsight', 'steps': 4})"


class Site:
    """A studies folder with heads, and ways to serve it and to train on it."""

    def __init__(self, folder: Path, fork, address: str, model: Path) -> None:
        self.folder, self.fork, self.address = folder, fork, address
        self.registry = Registry.of_studies(folder, model)
        self.store = CorrectionStore(folder / "medsight" / "corrections")

    def serve(self) -> int:
        port = int(self.address.rpartition(":")[2])
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_server(("127.0.0.1", port)):
                break  # the threads of the one that was killed have let go of it
            time.sleep(0.02)
        return self.fork(SERVE)

    def annotator(self) -> Annotator:
        return Annotator("anna", self.address, TOKEN)

    def wait_until_ready(self, server: int) -> None:
        deadline = time.monotonic() + PATIENCE
        with MedSightClient(self.address, TOKEN) as client:
            while time.monotonic() < deadline and psutil.pid_exists(server):
                with suppress(MedSightError):
                    client.info()
                    return
                time.sleep(0.05)
        raise AssertionError("the server does not come up")

    def check_versions(self) -> None:
        """Every version is whole, and what is served can be loaded."""
        for version in self.registry.versions()[1:]:
            assert version.files == {name: file_hash(version.folder / name) for name in version.files}
        assert {path.name for path in self.registry.root.glob("v*")} == {
            version.name for version in self.registry.versions()
        } - {BASE}
        load_model(self.registry.folder(self.registry.current()))


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    studies, model = tmp_path_factory.mktemp("site") / "studies", tmp_path_factory.mktemp("model")
    save_tiny_model(model, **DETECTING)
    write_sets(studies / "medsight" / "sets", range(50, 51))
    for number in HEADS:
        write_head(studies, number, f"head-{number}")[1].unlink()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    code = IMPORTS.format(studies=str(studies), model=str(model), port=port, token=TOKEN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("tmp")))
        with forking(code) as fork:
            site = Site(studies, fork, f"http://127.0.0.1:{port}", model)
            publish(site.registry)
            yield site


class Hands(threading.Thread):
    """Somebody who hands in labels, reviews them and changes the model, as fast as the server lets him."""

    def __init__(self, site: Site, folder: Path, life: int) -> None:
        super().__init__(daemon=True)
        self.site, self.folder, self.life = site, folder, life
        self.kept: dict[str, tuple[str, int, bytes]] = {}  # by key: image, version and file
        self.trying: tuple[str, str, Path] | None = None  # key, image and file of which no reply has come yet
        self.began = threading.Event()

    def run(self) -> None:
        with suppress(MedSightError), self.site.annotator() as anna:
            for number in range(10_000):
                image, key = f"head-{number % len(HEADS)}", f"{self.life}-{number}"
                _, label = write_head(self.folder, 100 * self.life + number, key)
                self.trying = key, image, label
                said = anna.submit(image, label, {1: NAME}, key=key)
                self.kept[key] = image, said.version, label.read_bytes()
                self.trying = None
                self.began.set()
                anna.review(image, "approved")
                with suppress(MedSightError):
                    anna.promote("v1") if number % 2 else anna.rollback("base")


def test_a_server_that_is_killed_at_ten_moments_loses_no_correction(site, tmp_path):
    chance, kept, trying = random.Random(20261129), {}, None
    for life in range(KILLS + 1):
        server = site.serve()
        if life % 4 == 3:  # while it starts
            time.sleep(chance.uniform(0, 1.5))
            kill(server)
            continue
        site.wait_until_ready(server)
        with site.annotator() as anna:
            if trying:
                key, image, label = trying
                again = anna.submit(image, label, {1: NAME}, key=key)
                kept[key] = image, again.version, label.read_bytes()
            listed = {case.id: case.version for case in anna.worklist().cases}
            for image in {image for image, _, _ in kept.values()}:
                latest = anna.versions(image).versions[-1]
                (current,) = (site.folder / "labels" / "final").glob(f"{image}.*")
                assert (file_hash(current), listed[image]) == (latest.label_hash, latest.version)
        for key, (image, version, content) in kept.items():
            assert site.store.file(image, version).read_bytes() == content
            assert [each.version for each in site.store.versions(image) if each.key == key] == [version]
        assert not [path for path in site.folder.rglob("*") if ".part" in path.name]
        site.check_versions()
        if life == KILLS:
            break
        hands = Hands(site, tmp_path, life)
        hands.start()
        assert hands.began.wait(PATIENCE)
        time.sleep(chance.uniform(0, 0.6))
        kill(server)
        hands.join(PATIENCE)
        kept |= hands.kept
        trying = hands.trying
        json.loads((site.folder / "datastore_v2.json").read_bytes())
    with MedSightClient(site.address, TOKEN) as client:
        said = client.ask(f"Outline the {NAME}.", image="head-0").answer.to_json()
    assert said["model"]["version"] == ("tiny" if site.registry.current() == BASE else "tiny+v1")
    kill(server)
    assert len(kept) > KILLS / 2, "hardly anything was handed in: this proves nothing"


def test_a_training_that_is_killed_at_ten_moments_leaves_whole_versions_only(site, tmp_path):
    server = site.serve()
    site.wait_until_ready(server)
    with site.annotator() as anna:
        for number in HEADS:
            anna.submit(f"head-{number}", write_head(tmp_path, number, f"copy-{number}")[1], {1: NAME})
            anna.review(f"head-{number}", "approved")
    kill(server)

    def corrections() -> dict[Path, str]:
        folders = (site.folder / "medsight" / "corrections", site.folder / "labels")
        return {path: file_hash(path) for folder in folders for path in folder.rglob("*") if path.is_file()}

    before, begun = corrections(), time.monotonic()
    wait_for_end(site.fork(TRAIN), PATIENCE)
    whole = time.monotonic() - begun
    file, chance, ended = TrainingFile(site.registry.root / "training.json"), random.Random(20261129), []
    assert {version.name for version in site.registry.versions()} == {BASE, "v1", "v2"}, file.read(running=False)
    for _ in range(KILLS):
        served = site.registry.current()
        trainer = site.fork(TRAIN)
        time.sleep(chance.uniform(0, whole))
        with suppress(ProcessLookupError):  # it was quicker than the first
            kill(trainer)
        assert not site.registry.at_work()
        site.registry.clean_up()
        assert not [path for path in site.registry.root.rglob("*") if "part" in path.name]
        site.check_versions()
        state = file.read(running=False)
        assert state.state in TRAINING_ENDED, state
        assert site.registry.current() in (served, state.version or served)
        assert corrections() == before
        ended.append(state.state)
    assert ended.count(TRAINING_STOPPED) >= KILLS / 2, f"{ended}: hardly any was at work, this proves nothing"
    server = site.serve()
    site.wait_until_ready(server)
    with site.annotator() as anna:
        assert anna.training().ended
        assert [version.name for version in anna.models()] == [version.name for version in site.registry.versions()]
    kill(server)
