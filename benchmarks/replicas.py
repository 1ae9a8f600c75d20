"""Several users ask one server about different volumes at once: are two replicas quicker than one engine?

    OMP_NUM_THREADS=2 python -m benchmarks.replicas --repeats 5

Two real servers, each in a process of its own, are asked in turns over loopback: one with its engine in its own
process, which has all threads, and one whose replicas share them. In each repeat every user uploads an image that
neither server has seen and asks two questions about all of it; all users ask at the same moment, and the clock stops at
the last answer. Every answer of one server, its outlines voxel for voxel, is compared with that of the other.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import requests
import torch

from benchmarks.provenance import commit
from benchmarks.users import middle_of, received, write_images
from medsight_core.client import MedSightClient
from medsight_core.engine.machine import this_machine
from medsight_core.errors import run_program
from medsight_core.imaging.volume import Volume, read_volume
from medsight_core.server.running import RunningServer, running_server
from medsight_core.server.settings import Settings

USERS = 4
PROMPTS = ("Outline the right lung and the left thalamus.", "Is there a left lung? Outline it.")
QUESTIONS = ("first", "second")
READY_SECONDS = 300.0


@dataclass
class Measured:
    """seconds: by replicas and question, of each repeat. differing: answers that are not those of the one engine.

    memory: bytes by replicas: of the server's process, of each replica, and of Ray's own processes.
    """

    seconds: dict[tuple[int, str], list[float]] = field(default_factory=dict)
    differing: int = 0
    memory: dict[int, tuple[int, list[int], int]] = field(default_factory=dict)


def wait_until_ready(server: RunningServer) -> None:
    """Until all models are loaded."""
    headers, deadline = {"Authorization": f"Bearer {server.token}"}, time.monotonic() + READY_SECONDS
    while requests.get(f"{server.address}/medsight/health", headers=headers, timeout=60).json()["status"] != "ready":
        if time.monotonic() > deadline:
            raise TimeoutError("the server does not get ready")
        time.sleep(0.1)


def ask_together(server: RunningServer, images: Sequence[Path]) -> tuple[list[float], list[str]]:
    """Seconds that all users together took for each question, and digests of the answers."""
    together = threading.Barrier(len(images) + 1)
    digests = [[""] * len(PROMPTS) for _ in images]

    def user(number: int) -> None:
        with MedSightClient(server.address, server.token, who=f"user{number}") as client:
            session = client.upload(images[number])
            for question, prompt in enumerate(PROMPTS):
                together.wait()
                reply = client.ask(prompt, session=session)
                together.wait()
                digests[number][question] = received(reply)
            client.delete_session(session)

    threads = [threading.Thread(target=user, args=(number,), daemon=True) for number in range(len(images))]
    for thread in threads:
        thread.start()
    seconds = []
    for _ in PROMPTS:
        together.wait(READY_SECONDS)
        begin = time.monotonic()
        together.wait(READY_SECONDS)
        seconds.append(time.monotonic() - begin)
    for thread in threads:
        thread.join()
    return seconds, [digest for each in digests for digest in each]


def memory_of(server: RunningServer) -> tuple[int, list[int], int]:
    """Bytes of the server's process, of each replica, and of Ray's own processes; shared pages are shared out."""
    process = psutil.Process(server.process.pid)
    replicas, others = [], 0
    for child in process.children(recursive=True):
        if child.status() == psutil.STATUS_ZOMBIE:
            continue
        own = child.memory_full_info().pss
        if "_Actor" in child.name():
            replicas.append(own)
        else:
            others += own
    return process.memory_full_info().pss, replicas, others


def measure(model: Path, volumes: Sequence[Volume], users: int, repeats: int, replicas: int = 2) -> Measured:
    """Ask a server with its engine inside and one with replicas, in turns."""
    measured = Measured()
    with ExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(3)]
        images = write_images(folders[0], volumes, users * (repeats + 1))  # the first are for warming up
        servers = {
            count: stack.enter_context(running_server(Settings(studies, model, port=0, replicas=count)))
            for count, studies in zip((1, replicas), folders[1:])
        }
        for server in servers.values():
            wait_until_ready(server)
        for repeat in range(repeats + 1):
            told = {}
            for count in list(servers)[:: -1 if repeat % 2 else 1]:
                seconds, told[count] = ask_together(servers[count], images[repeat * users :][:users])
                for question, each in zip(QUESTIONS, seconds):
                    if repeat:
                        measured.seconds.setdefault((count, question), []).append(each)
            measured.differing += sum(one != other for one, other in zip(*told.values()))
        measured.memory = {count: memory_of(server) for count, server in servers.items()}
    return measured


def report(measured: Measured, users: int) -> str:
    """The figures as Markdown."""
    one, several = measured.memory
    lines = [
        f"{users} users; {torch.get_num_threads()} threads in all of {this_machine().cpu}; {commit()}.",
        "",
        f"| question, all {users} answered | one engine | {several} replicas | one / {several} | smallest to largest |",
        "|---|---|---|---|---|",
    ]
    for question in QUESTIONS:
        alone, shared = (measured.seconds[count, question] for count in (one, several))
        ratios = [before / after for before, after in zip(alone, shared)]
        lines.append(
            f"| {question} | {statistics.median(alone):.2f} s | {statistics.median(shared):.2f} s "
            f"| {statistics.median(ratios):.2f} | {min(ratios):.2f} to {max(ratios):.2f} |"
        )
    lines += ["", f"Answers that differ: {measured.differing}.", ""]
    for count, (server, replicas, ray) in measured.memory.items():
        lines.append(f"With {count}: server {_mb([server])}, replicas {_mb(replicas)}, Ray itself {_mb([ray])}.")
    return "\n".join(lines)


def _mb(sizes: Iterable[int]) -> str:
    return " and ".join(f"{size / 1e6:.0f} MB" for size in sizes) or "none"


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replicas", description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("sample_data/demo_model"))
    parser.add_argument("--studies", type=Path, default=Path("studies"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--slices", type=int, default=24, help="in the middle of each sample, so many are asked about")
    options = parser.parse_args(arguments)

    def program() -> None:
        from sample_data.fetch import fetch

        volumes = [middle_of(read_volume(path), options.slices) for path in fetch(options.studies).values()]
        print(report(measure(options.model, volumes, USERS, options.repeats), USERS))

    return run_program(program)


if __name__ == "__main__":
    sys.exit(main())
