"""Many people ask one server about different images: does anybody get an error or another's answer, does memory grow?

    OMP_NUM_THREADS=1 python -m benchmarks.users --minutes 5
    OMP_NUM_THREADS=1 python -m benchmarks.users --minutes 1 --careless

A real server in a process of its own, and a client a user over loopback. Every answer, its outlines voxel for voxel,
is compared with what an engine says that has seen nothing before. Half of the images are mirrored copies of the others
on the same grid, so that whatever is known by anything but pixels is told to the wrong user; ``--careless`` asks a
server that makes this mistake.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import psutil
import torch

from benchmarks.provenance import commit
from medsight_core.answer import Answer
from medsight_core.client import MedSightClient, Progress, Reply
from medsight_core.engine.engine import Engine
from medsight_core.engine.machine import this_machine
from medsight_core.errors import MedSightError, run_program
from medsight_core.imaging.segmentation_file import read_segmentation
from medsight_core.imaging.volume import Volume, read_volume
from medsight_core.protocol import parse_question
from medsight_core.server.running import running_server
from medsight_core.server.settings import Settings

USERS = 8
EVERY_SECONDS = 0.5  # a look at the server's memory
Question = dict[str, Any]  # arguments of `MedSightClient.ask`


@dataclass(frozen=True)
class User:
    """Somebody with an image, who asks these questions about it again and again."""

    name: str
    image: Path
    questions: tuple[Question, ...]


@dataclass
class Seen:
    """What came of asking.

    answers: by user. errors: their sentences. mixed_up: answers that are not those of the image. seconds, waited: of
    each question, all of it and until its turn. memory: seconds since the beginning and bytes of the server.
    """

    answers: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    mixed_up: int = 0
    seconds: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)


def write_images(folder: Path, volumes: Sequence[Volume], count: int) -> list[Path]:
    """``count`` different image files: the volumes, each followed by its mirror image, then these without margins."""
    paths = []
    for number in range(count):
        volume = volumes[number // 2 % len(volumes)]
        cut = number // 2 // len(volumes)  # voxels that are left out at each end
        voxels = volume.voxels[cut : volume.shape[0] - cut, cut : volume.shape[1] - cut]
        if number % 2:
            voxels = voxels[::-1]
        affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine  # NIfTI is RAS
        paths.append(folder / f"image{number}.nii")
        nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(voxels), affine), paths[-1])
    return paths


def middle_of(volume: Volume, slices: int) -> Volume:
    """Some slices in the middle of a volume."""
    first = max(0, (volume.shape[2] - slices) // 2)
    affine = volume.affine.copy()
    affine[:3, 3] += first * affine[:3, 2]
    return Volume(volume.voxels[:, :, first : first + slices], affine, volume.modality)


def users_of(images: Sequence[Path], prompts: Sequence[str]) -> list[User]:
    """A user an image, who asks about all of it, a plane, and once more with a history."""
    users = []
    for number, image in enumerate(images):
        middle = nibabel.Nifti1Image.from_filename(image).shape[2] // 2
        first, second = prompts[0], prompts[-1]
        questions = (
            {"prompt": first},
            {"prompt": second, "scope": "plane", "plane": f"axial:{middle}"},
            {"prompt": first, "scope": "plane", "plane": f"axial:{middle}", "history": [(second, "Nothing.")]},
        )
        users.append(User(f"user{number}", image, questions))
    return users


def expected(engine: Engine, user: User) -> list[str]:
    """What the user must be told, a digest a question: each asked by nobody else, with nothing known."""
    volume = read_volume(user.image)
    digests = []
    for asked in user.questions:
        engine.cache.clear()
        engine.memories.clear()
        question = parse_question({"scope": "volume", **asked})
        answer = engine.answer(volume, question)
        digests.append(digest(answer, {region.label: region.mask for region in answer.regions}))
    return digests


def digest(answer: Answer, masks: dict[int, Any]) -> str:
    """All of an answer but the seconds it took."""
    told = hashlib.sha256()
    told.update(repr((answer.text, answer.absent, answer.scope)).encode())
    for region in answer.regions:
        told.update(repr((region.label, region.name, region.code, region.span, region.slices)).encode())
        told.update(np.packbits(masks[region.label]).tobytes())
    return told.hexdigest()


def received(reply: Reply) -> str:
    """`digest` of what came over the wire."""
    if reply.segmentation is None:
        return digest(reply.answer, {})
    with tempfile.NamedTemporaryFile(suffix=".seg.nrrd") as file:
        file.write(reply.segmentation)
        file.flush()
        masks = {segment.label: segment.mask for segment in read_segmentation(file.name).segments}
    return digest(reply.answer, masks)


class Crowd:
    """Users who ask a running server all at once, and what comes of it."""

    def __init__(self, address: str, token: str, users: Sequence[User], wanted: Sequence[Sequence[str]]) -> None:
        """wanted: what each user must be told to each question, as `expected` says."""
        self.seen = Seen()
        self._address, self._token = address, token
        self._users, self._wanted = users, wanted
        self._lock = threading.Lock()

    def once(self) -> None:
        """Each asks each question once."""
        self._together(lambda user: range(len(user.questions)))

    def until(self, end: float) -> None:
        """Each asks one question after another, by chance, until ``time.monotonic()`` is ``end``."""

        def chosen(user: User) -> Iterator[int]:
            chance = random.Random(user.name)
            while time.monotonic() < end:
                yield chance.randrange(len(user.questions))

        self._together(chosen)

    def _together(self, choose: Any) -> None:
        threads = [threading.Thread(target=self._ask, args=(n, choose(user))) for n, user in enumerate(self._users)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _ask(self, number: int, questions: Iterator[int]) -> None:
        user = self._users[number]
        with MedSightClient(self._address, self._token, who=user.name) as client:
            try:
                session = client.upload(user.image)
            except MedSightError as error:
                return self._count(user, error=str(error))
            for question in questions:
                heard: list[float] = []

                def hear(event: Any, heard: list[float] = heard) -> None:
                    if isinstance(event, Progress) and event.phase != "queued" and not heard:
                        heard.append(event.total)

                begin = time.monotonic()
                try:
                    reply = client.ask(session=session, on_event=hear, **user.questions[question])
                except MedSightError as error:
                    self._count(user, error=str(error))
                    continue
                right = received(reply) == self._wanted[number][question]
                self._count(user, right, time.monotonic() - begin, heard[0] if heard else 0.0)
            client.delete_session(session)

    def _count(
        self, user: User, right: bool = True, seconds: float = 0.0, waited: float = 0.0, error: str = ""
    ) -> None:
        with self._lock:
            if error:
                self.seen.errors.append(error)
                return
            self.seen.answers[user.name] += 1
            self.seen.mixed_up += not right
            self.seen.seconds.append(seconds)
            self.seen.waited.append(waited)


@contextmanager
def watching(pid: int, samples: list[tuple[float, int]], every: float = EVERY_SECONDS) -> Iterator[None]:
    """Note the memory of a process again and again during the block."""
    over, process, begin = threading.Event(), psutil.Process(pid), time.monotonic()

    def watch() -> None:
        while not over.wait(every):
            samples.append((time.monotonic() - begin, process.memory_info().rss))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def growth(memory: Sequence[tuple[float, int]]) -> float:
    """By what share memory grew: the last fifth of the time against the first, of medians or of peaks what is more."""
    end = memory[-1][0]
    first = [size for at, size in memory if at <= end / 5] or [memory[0][1]]  # one is enough where time is short
    last = [size for at, size in memory if at >= end * 4 / 5]
    return max(value(last) / value(first) - 1 for value in (statistics.median, max))


def measure(
    model: Path, users: Sequence[User], seconds: float, program: str = "medsight_core.server"
) -> tuple[Seen, Seen]:
    """What came of warming up, each question once, and of asking for ``seconds`` then."""
    engine = Engine.load(model)
    wanted = [expected(engine, user) for user in users]
    if len(set(itertools.chain(*wanted))) < 2:
        raise ValueError("All these answers are the same: no mistake could be seen.")
    del engine
    with (
        tempfile.TemporaryDirectory() as studies,
        running_server(Settings(Path(studies), model, port=0), program=program) as server,
    ):
        crowd = Crowd(server.address, server.token, users, wanted)
        crowd.once()
        warm, crowd.seen = crowd.seen, Seen()
        with watching(server.process.pid, crowd.seen.memory):
            crowd.until(time.monotonic() + seconds)
    return warm, crowd.seen


def report(users: Sequence[User], warm: Seen, seen: Seen) -> str:
    """The figures as Markdown."""
    sizes = [size / 1e6 for _, size in seen.memory]
    threads = torch.get_num_threads()
    by_user = [seen.answers[user.name] for user in users]
    rows = (
        ("answers, with those of the warm-up", "", f"{seen.answers.total()} + {warm.answers.total()}"),
        ("errors", "0", str(len(seen.errors) + len(warm.errors))),
        ("answers that are not those of a single user", "0", str(seen.mixed_up + warm.mixed_up)),
        ("growth of the server's memory after the warm-up", "at most 5 %", f"{growth(seen.memory):+.1%}"),
        ("its memory, smallest to largest", "", f"{min(sizes):.0f} to {max(sizes):.0f} MB"),
        ("answers of the user with fewest and with most", "", f"{min(by_user)} and {max(by_user)}"),
        ("seconds from question to answer, median and longest", "", _spread(seen.seconds)),
        ("of them until its turn came", "", _spread(seen.waited)),
    )
    return "\n".join(
        [
            f"{len(users)} users for {seen.memory[-1][0] / 60:.1f} minutes; {threads} thread{'s' * (threads > 1)} of "
            f"{this_machine().cpu}; {commit()}.",
            "",
            "| figure | goal | measured |",
            "|---|---|---|",
            *(f"| {what} | {goal} | {value} |" for what, goal, value in rows),
            *(f"\nError: {error}" for error in dict.fromkeys(warm.errors + seen.errors)),
        ]
    )


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f} and {max(values):.1f}" if values else "none"


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.users", description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("sample_data/demo_model"))
    parser.add_argument("--studies", type=Path, default=Path("studies"))
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("--slices", type=int, default=24, help="in the middle of each sample, so many are asked about")
    parser.add_argument("--careless", action="store_true", help="ask a server that confuses images on one grid")
    options = parser.parse_args(arguments)

    def program() -> None:
        from sample_data.fetch import fetch

        volumes = [middle_of(read_volume(path), options.slices) for path in fetch(options.studies).values()]
        prompts = ("Outline the right lung and the left thalamus.", "Is there a left lung? Outline it.")
        with tempfile.TemporaryDirectory() as folder:
            users = users_of(write_images(Path(folder), volumes, options.users), prompts)
            server = "benchmarks.careless_server" if options.careless else "medsight_core.server"
            print(report(users, *measure(options.model, users, 60 * options.minutes, server)))

    return run_program(program)


if __name__ == "__main__":
    sys.exit(main())
