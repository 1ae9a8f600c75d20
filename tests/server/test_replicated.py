"""A server with two replicas on a real Ray: the bits of one without, in every version; one is cancelled, one dies."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import requests
import SimpleITK as sitk  # noqa: N813
import torch
from exposition import parse
from job_calls import listen, refused, start, voxels, wait_for
from tiny_model import save_tiny_model
from versions import BETTER, CHANGE, publish

from medsight_core.client import MedSightClient
from medsight_core.engine.registry import Registry
from medsight_core.engine.served import ServedModel
from medsight_core.server.replicas import has_ray, share_of_threads
from medsight_core.server.running import running_server
from medsight_core.server.settings import Settings
from medsight_core.soft_masks import read_soft
from monailabel_app.lib.infers.medsight import MedSightInfer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not has_ray(), reason="needs 'medsight[scale]'"),
]
IMAGES = ("a", "b", "c")
PROMPT = "CANARYPROMPT Outline the right lung."


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("replicated") / "studies"
    folder.mkdir()
    for seed, image in enumerate(IMAGES):
        values = np.random.default_rng(seed).integers(-1000, 400, (12, 24, 20)).astype(np.int16)
        sitk.WriteImage(sitk.GetImageFromArray(values), str(folder / f"{image}.nrrd"))
    return folder


@pytest.fixture(scope="module")
def registry(folder, tiny_model_dir) -> Registry:
    """v1 answers otherwise, v2 goes on talking for minutes."""
    registry = Registry.of_studies(folder, tiny_model_dir)
    publish(registry)
    with registry.work() as work:
        registry.publish(save_tiny_model(work / "v2", max_new_tokens=30_000), "base", "SHA256:0", BETTER, CHANGE)
    return registry


@pytest.fixture(scope="module")
def server(folder, registry, tiny_model_dir, tmp_path_factory):
    """The server, once both models are loaded. When it stops, no file and no process is left, and no word was kept."""
    scratch = tmp_path_factory.mktemp("tmp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(scratch))
        with running_server(Settings(folder, tiny_model_dir, port=0, replicas=2)) as server:
            wait_until_ready(server)
            yield server
            print(server.log.read_text())  # shown when something below fails
            assert server.process.poll() is None
            children = psutil.Process(server.process.pid).children(recursive=True)
            started = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]  # of one that was killed
            kept = b"".join(Path(path).read_bytes() for path in ray_logs(started))
            assert b"CANARY" not in kept + server.log.read_bytes()
            assert b"a.nrrd" not in kept + server.log.read_bytes()
    assert not list(scratch.glob("*"))
    assert not psutil.wait_procs(started, 30)[1]


def wait_until_ready(server) -> None:
    headers, deadline = {"Authorization": f"Bearer {server.token}"}, time.monotonic() + 300
    while requests.get(f"{server.address}/medsight/health", headers=headers, timeout=60).json()["status"] != "ready":
        assert time.monotonic() < deadline, server.log.read_text()
        time.sleep(0.1)


def ray_logs(processes) -> list[Path]:
    """The files that Ray's processes write."""
    (folder,) = {
        Path(word.partition("=")[2])
        for process in processes
        for word in process.cmdline()
        if word.startswith("--log_dir=")
    }
    return [path for path in folder.rglob("*") if path.is_file()]


def replicas_of(server) -> list[psutil.Process]:
    return [each for each in psutil.Process(server.process.pid).children(recursive=True) if "_Actor" in each.name()]


def by_server(server, image: str) -> tuple:
    with MedSightClient(server.address, server.token) as client:
        reply = client.ask(PROMPT, image=image, soft=True)
    return {**reply.answer.to_json(), "timings": 0}, voxels(reply.segmentation), packed(reply.soft)


@pytest.fixture
def one_thread():
    """As many as each of two replicas has: with more, sums are rounded otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(share_of_threads(2))
    yield
    torch.set_num_threads(before)


def by_one_engine(registry: Registry, folder: Path, image: str) -> tuple:
    soft: list[bytes] = []
    asked = {"image": str(folder / f"{image}.nrrd"), "prompt": PROMPT, "soft": True, "take_soft": soft.append}
    label_file, said = MedSightInfer(ServedModel(registry))(asked)
    content = Path(label_file).read_bytes()
    os.unlink(label_file)
    del said["label_names"]
    return {**said, "timings": 0}, voxels(content), packed(read_soft(soft[0]))


def packed(masks) -> dict:
    return {label: repr(vars(mask)) for label, mask in masks.items()}


def test_answers_are_those_of_one_engine_in_every_version(server, call, folder, registry, one_thread):
    for version in ("base", "v1", "base"):
        if version != registry.current():
            registry.promote("v1") if version == "v1" else registry.rollback()
        for image in IMAGES:
            assert by_server(server, image) == by_one_engine(registry, folder, image)
    assert call("GET", "/medsight/health").json()["status"] == "ready"


def test_what_is_known_of_an_image_is_found_again(server, call):
    def reads() -> dict[str, float]:
        told = parse(call("GET", "/medsight/metrics").text)
        return {name: value for name, value in told.items() if name.startswith("medsight_cache_reads")}

    for image in IMAGES:
        by_server(server, image)
    before = reads()
    for image in reversed(IMAGES):
        by_server(server, image)
    after = reads()
    grown = {name for name in after if after[name] > before[name]}
    caches = ("volumes", "features", "memories")
    assert grown == {f'medsight_cache_reads_total{{cache="{cache}",found="yes"}}' for cache in caches}


def test_two_are_answered_at_once_one_is_cancelled_one_dies(server, call, registry):
    before = [by_server(server, image) for image in IMAGES]
    registry.promote("v2")
    a, b = start(call, "image=a"), start(call, "image=b")
    again = start(call, "image=a")
    for job in (a, b):
        wait_for_phase(call, job, "generate")
    health = call("GET", "/medsight/health").json()
    assert (health["working"], health["waiting"]) == (2, 1)
    begin = time.monotonic()
    call("DELETE", f"/medsight/jobs/{a}")
    assert listen(call, a)[-1].kind == "cancelled"
    assert time.monotonic() - begin < 2.0
    wait_for_phase(call, again, "generate")
    os.kill(replicas_of(server)[0].pid, signal.SIGKILL)
    results: dict[str, requests.Response] = {}
    deadline = time.monotonic() + 60
    while not any(result.status_code == 503 for result in results.values()):
        assert time.monotonic() < deadline, results
        results = {job: call("GET", f"/medsight/jobs/{job}/result") for job in (again, b)}
    (dead,) = (job for job, result in results.items() if result.status_code == 503)
    assert results[dead].headers["Retry-After"] == "1"
    assert results[dead].json()["detail"].startswith("The process that was answering ended before it had the answer, ")
    alive = b if dead == again else again
    refused(results[alive], 404, "This job has no answer yet")
    registry.rollback()
    call("DELETE", f"/medsight/jobs/{alive}")
    assert listen(call, alive)[-1].kind == "cancelled"
    assert [by_server(server, image) for image in IMAGES] == before


def wait_for_phase(call, job: str, phase: str) -> None:
    """Until the job has told of it; the stream is left then."""
    wait_for(call, job, phase).close()
