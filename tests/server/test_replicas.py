"""Workers on a real Ray, without a model: what they tell, how they are stopped, killed, and who else can reach them."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time

import psutil
import pytest

from medsight_core.errors import InputError, ModelError, ServerError
from medsight_core.server import replicas as module
from medsight_core.server.failures import ElsewhereError
from medsight_core.server.replicas import EndedError, Replicas, StoppedError, check_count, check_room, running
from medsight_core.server.settings import Settings

GB = 1 << 30


class Worker:
    """Counts, waits and fails."""

    def count(self, to, tell):
        for number in range(to):
            tell("at", number)
        return os.getpid()

    def until_stopped(self, tell):
        while True:
            tell("at", os.getpid())
            time.sleep(0.01)

    def fail(self, tell):
        raise KeyError("a secret prompt")

    def refuse(self, tell):
        raise ModelError("There is no model.")


@pytest.fixture(scope="module")
def replicas(tmp_path_factory):
    if not module.has_ray():
        pytest.skip("needs 'medsight[scale]'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("x" * 60)))
        with running(2, Worker) as replicas:
            yield replicas
    assert not [process for process in psutil.Process().children(recursive=True) if "ray" in process.name()]


def test_each_is_a_process_of_its_own_and_tells_what_it_does(replicas):
    heard: list[tuple] = []
    first = replicas.call(0, "count", 3, hear=lambda *what: heard.append(what))
    assert heard == [("at", 0), ("at", 1), ("at", 2)]
    assert len({os.getpid(), first, replicas.call(1, "count", 0)}) == 3


def test_who_does_not_listen_any_more_ends_the_work_before_the_call_ends(replicas):
    def enough(*what) -> None:
        raise InputError("Enough.")

    with pytest.raises(InputError, match="Enough"):
        replicas.call(0, "until_stopped", hear=enough)
    assert replicas.call(0, "count", 0), "it is free again"


def test_errors_come_through_and_the_text_of_those_that_nobody_foresaw_does_not(replicas):
    with pytest.raises(ModelError, match=r"There is no model\."):
        replicas.call(0, "refuse")
    with pytest.raises(ElsewhereError, match=r"^KeyError at .*test_replicas.py:\d+ fail < ") as caught:
        replicas.call(0, "fail")
    assert "secret" not in str(caught.value)


def test_one_that_is_killed_fails_its_call_alone_and_is_back_for_the_next(replicas):
    pids, ends = [], []

    def ask(place: int) -> None:
        def hear(_, pid: int) -> None:
            pids.append(pid)
            if place == 1 and ends:
                raise InputError("Enough.")

        try:
            replicas.call(place, "until_stopped", hear=hear)
        except Exception as error:
            ends.append(error)

    threads = [threading.Thread(target=ask, args=(place,)) for place in (0, 1)]
    threads[0].start()
    while not pids:
        time.sleep(0.01)
    killed = pids[0]
    threads[1].start()
    while len(set(pids)) < 2:
        time.sleep(0.01)
    os.kill(killed, signal.SIGKILL)
    for thread in threads:
        thread.join(60)
    assert [type(end) for end in ends] == [EndedError, InputError]
    assert str(ends[0]) == (
        "The process that was answering ended before it had the answer, perhaps for want of memory; another takes its "
        "place. Ask again in 1 second."
    )
    assert replicas.call(0, "count", 0) not in (0, killed)


def test_sigterm_is_still_ours(replicas):
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    assert replicas.call(0, "count", 0)


def test_nobody_else_can_come_in(replicas):
    ours = [psutil.Process(), *psutil.Process().children(recursive=True)]
    addresses = {
        connection.laddr.ip
        for process in ours
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses
    assert addresses <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    assert stat.S_IMODE(replicas._folder.stat().st_mode) == 0o700
    import ray

    address = ray.get_runtime_context().gcs_address
    program = "import os; from ray._raylet import GcsClient; print(GcsClient(os.environ['GCS']).cluster_id)"

    environment = {**os.environ, "GCS": address, "RAY_AUTH_TOKEN": "f" * 64}
    other = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, timeout=60)
    assert other.returncode != 0
    assert b"token" in other.stderr.lower()


def test_so_many_that_there_cannot_be_are_refused(monkeypatch, tmp_path, tiny_model_dir):
    for count in (0, 65):
        with pytest.raises(InputError, match=f"^{count} replicas are not offered: use 1 to 64"):
            Settings(tmp_path, tiny_model_dir, replicas=count)
    monkeypatch.setattr(module, "has_ray", lambda: False)
    check_count(1)
    with pytest.raises(InputError, match=r"^2 replicas need Ray, which is not installed: pip install 'medsight\[sca"):
        Settings(tmp_path, tiny_model_dir, replicas=2)


def test_more_than_memory_holds_are_refused(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(bytes(1000))
    check_room(2, tmp_path, reserve=GB, free=3 * GB)
    with pytest.raises(InputError) as caught:
        check_room(3, tmp_path, reserve=GB, free=3 * GB)
    assert str(caught.value) == (
        "3 replicas take some 2.2 GB of memory and 3.2 GB are free, of which 1.1 GB are kept in reserve: use fewer."
    )


@pytest.mark.skipif(not module.has_ray(), reason="needs 'medsight[scale]'")
def test_a_ray_that_does_not_start_is_told_and_leaves_no_file(monkeypatch, tmp_path):
    os.environ.update(module._ENVIRONMENT, RAY_AUTH_TOKEN=module._TOKEN)
    import ray

    def init(**_) -> None:
        raise TimeoutError("too slow")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(module, "_private_folder", lambda: tmp_path / "ray")
    with pytest.raises(ServerError) as caught:
        Replicas(2, Worker).start()
    assert str(caught.value) == (
        "Ray, which runs the replicas, did not start (TimeoutError): it gives up after 30 seconds, which are too few "
        "for a very busy machine; start again, or without --replicas."
    )
    assert not list(tmp_path.iterdir())


def test_nothing_is_started_before_it_is_needed_nor_after_the_end():
    replicas = Replicas(2, Worker)
    replicas.stop()
    with pytest.raises(StoppedError, match=r"^The server was stopped before it had the answer: start it and ask ag"):
        replicas.call(0, "count", 0)
