"""What it takes to send a volume up and its masks down: packed, and as the files that were sent before.

    python -m benchmarks.wire --repeats 5

The sample chest CT on a grid of 512 x 512 x 300 with a scanner's noise, and two masks that fill its lungs, through a
real HTTP server in a process of its own: our endpoints, MONAI Label's sessions, and no model. Each way does all that
both ends must: write, send, check, read; and at the end the masks are compared voxel for voxel. Every repeat sends
another content by every way in turn; medians over repeats. Seconds are of the clock, and of both processes' processors,
where other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import nibabel
import nrrd
import numpy as np
import psutil
import uvicorn
from fastapi import FastAPI

from benchmarks.provenance import commit
from medsight_core.answer import Answer, Region
from medsight_core.client import MedSightClient
from medsight_core.errors import run_program
from medsight_core.imaging.segmentation_file import read_segmentation, write_labelmap, write_masks, write_segmentation
from medsight_core.imaging.shelf import VolumeShelf
from medsight_core.imaging.volume import Volume
from medsight_core.protocol import (
    CAPABILITY_BLOSC2,
    CAPABILITY_PACKED,
    CODEC_ZLIB,
    EXTENSION_SEGMENTATION,
    PACKED_EXTENSIONS,
    PATH_INFO,
    PROTOCOL_VERSION,
)

QUESTION = "Outline the lungs."
CODECS = {extension: codec for codec, extension in PACKED_EXTENSIONS.items()}
VOLUMES = "volumes"  # where the server keeps what came packed
NAMES = ("right lung", "left lung")
TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # from NIfTI's RAS, and back


class WithoutModel:
    """The place of the MONAI Label app: reads what was uploaded, outlines the same as always, writes the label."""

    def __init__(self, folder: Path) -> None:
        from monailabel.utils.sessions import Sessions

        self._folder, self._sessions, self._shelf = folder, Sessions(str(folder / "sessions")), VolumeShelf()

    def sessions(self) -> Any:
        return self._sessions

    def image_key(self, path: str) -> str:
        return ""  # there is one place that answers

    def infer(self, asked: dict[str, Any]) -> dict[str, Any]:
        volume = self._shelf.read(asked["image"], "CT")
        answer, extension = outlined(volume.shape), asked["result_extension"]
        path = self._folder / f"label{extension}"
        if extension in CODECS:
            write_masks(path, volume, answer, CODECS[extension])
        else:
            (write_segmentation if extension == EXTENSION_SEGMENTATION else write_labelmap)(path, volume, answer)
        return {"file": path, "params": answer.to_json()}


@functools.cache  # finding them is not the wire's work
def outlined(shape: tuple[int, int, int]) -> Answer:
    """Both lungs, as an ellipsoid each: where they end does not matter, only that they are as large."""
    i, j, k = np.ogrid[tuple(slice(-1, 1, count * 1j) for count in shape)]
    regions = tuple(
        Region(label, name, "", (0, 1), 1.0, mask=np.asfortranarray((i - x) ** 2 * 16 + j**2 * 6 + k**2 < 0.9))
        for label, (name, x) in enumerate(zip(NAMES, (-0.4, 0.4)), 1)
    )
    return Answer("The right lung [1] and the left lung [2] are outlined.", regions)


def serve(folder: Path) -> None:
    """Answer on a free port until stdin ends; prints the address."""
    from medsight_core.server import absent

    absent.install()
    from medsight_core.server import failures, infer, jobs, uploads, volumes

    app = FastAPI()
    app.state.label_app = WithoutModel(folder)
    app.state.jobs = jobs.Jobs()
    app.state.volumes = volumes.KeptVolumes(folder / VOLUMES)
    for router in (infer.router, uploads.router, volumes.router):
        app.include_router(router)
    failures.add_handlers(app)

    @app.get(PATH_INFO)
    async def info() -> dict[str, Any]:
        return {"protocol": PROTOCOL_VERSION, "capabilities": [CAPABILITY_PACKED, CAPABILITY_BLOSC2]}

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))

    def stop() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=stop, daemon=True).start()
    with contextlib.closing(server.config.bind_socket()) as listener:
        listener.listen()  # whoever hears the port may connect at once
        print(listener.getsockname()[1], flush=True)
        server.run(sockets=[listener])


@contextlib.contextmanager
def server_process(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Address and process of `serve`."""
    command = [sys.executable, "-m", "benchmarks.wire", "--serve", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}", psutil.Process(process.pid)
        finally:
            process.stdin.close()


# How to see each mask on the whole grid, which is only for the comparison; their affine; bytes that went up and down.
Sent = tuple[Sequence[Callable[[], np.ndarray]], np.ndarray, list[int]]


def as_nifti(client: MedSightClient, volume: Volume, folder: Path) -> Sent:
    """A .nii.gz up (written by nibabel, whose compression is zlib's fastest) and a .nii.gz of labels down."""
    up, down = nifti(volume, folder), folder / "down.nii.gz"
    session = client.upload(up)
    reply = client.ask(QUESTION, session=session, result_extension=".nii.gz")
    down.write_bytes(reply.segmentation or b"")
    image: Any = nibabel.load(down)
    labels = np.asarray(image.dataobj)
    client.delete_session(session)
    found = [functools.partial(np.equal, labels, region.label) for region in reply.answer.regions]
    return found, TO_LPS @ image.affine, [up.stat().st_size, down.stat().st_size]


def as_segmentation(client: MedSightClient, volume: Volume, folder: Path) -> Sent:
    """The same .nii.gz up, and down a .seg.nrrd, which has names and colours too."""
    return with_segmentation(client, nifti(volume, folder), folder)


def as_nrrd(client: MedSightClient, volume: Volume, folder: Path) -> Sent:
    """A .nrrd up without compression, and a .seg.nrrd down: what the module for 3D Slicer sends to an older server."""
    up = folder / "up.nrrd"
    directions = {"space": "left-posterior-superior", "space directions": volume.affine[:3, :3].T}
    header = {**directions, "space origin": volume.affine[:3, 3], "encoding": "raw"}
    nrrd.write(str(up), volume.voxels, header)
    return with_segmentation(client, up, folder)


def with_segmentation(client: MedSightClient, up: Path, folder: Path) -> Sent:
    """A file up, and a .seg.nrrd down."""
    down = folder / f"down{EXTENSION_SEGMENTATION}"
    session = client.upload(up)
    reply = client.ask(QUESTION, session=session)
    down.write_bytes(reply.segmentation or b"")
    found = read_segmentation(down)
    client.delete_session(session)
    return (
        [functools.partial(np.asarray, segment.mask) for segment in found.segments],
        found.affine,
        [up.stat().st_size, down.stat().st_size],
    )


def nifti(volume: Volume, folder: Path) -> Path:
    """The volume as a .nii.gz file."""
    path = folder / "up.nii.gz"
    nibabel.save(nibabel.Nifti1Image(volume.voxels, TO_LPS @ volume.affine), path)
    return path


def packed(client: MedSightClient, volume: Volume, folder: Path) -> Sent:
    """Packed, as the client and the server agree."""
    told: list[int] = []
    session = client.upload_voxels(volume.voxels, volume.affine, lambda sent, _: told.append(sent))
    reply = client.ask(QUESTION, session=session, result_extension=PACKED_EXTENSIONS[client.codec()])
    found = reply.masks()
    assert found is not None
    client.delete_session(session)
    kept = max((folder / VOLUMES).iterdir(), key=lambda path: path.stat().st_mtime_ns)
    up = kept.stat().st_size if told else 0
    return (
        [functools.partial(mask.on, found.shape) for mask in found.masks],
        found.affine,
        [up, len(reply.segmentation or b"")],
    )


def stored(client: MedSightClient, volume: Volume, folder: Path) -> Sent:
    """The same for a client without blosc2, such as 3D Slicer, on the server's own machine."""
    with mock.patch("medsight_core.packing.has_blosc2", return_value=False):
        return packed(client, volume, folder)


def packed_with_zlib(client: MedSightClient, volume: Volume, folder: Path) -> Sent:
    """And on another one."""
    with mock.patch("medsight_core.client.client.CODEC_STORED", CODEC_ZLIB):
        return stored(client, volume, folder)


NIFTI, AGAIN = "NIfTI.gz both ways", "packed, sent before"
# What is sent again has been sent by the way above it; each other way is sent a content of its own.
WAYS: dict[str, Callable[[MedSightClient, Volume, Path], Sent]] = {
    NIFTI: as_nifti,
    "NIfTI.gz up, .seg.nrrd down": as_segmentation,
    "NRRD up, .seg.nrrd down": as_nrrd,
    "packed with zlib": packed_with_zlib,
    "up as it is, down with zlib": stored,
    "packed with blosc2": packed,
    AGAIN: packed,
}


@dataclass
class Figures:
    """Of one way: seconds of each repeat by the clock and of both processors, and the bytes that went up and down."""

    clock: list[float] = field(default_factory=list)
    processors: list[float] = field(default_factory=list)
    size: list[int] = field(default_factory=list)


def measure(volume: Volume, repeats: int) -> dict[str, Figures]:
    """The figures of each of `WAYS`. AssertionError when a way brings other masks than the server made."""
    wanted = [region.mask for region in outlined(volume.shape).regions]
    figures = {name: Figures() for name in WAYS}
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        with server_process(folder) as (address, server), MedSightClient(address) as client:
            processes = (psutil.Process(), server)

            def spent() -> float:
                return sum(sum(process.cpu_times()[:2]) for process in processes)

            tiny = Volume(volume.voxels[:8, :8, :8], volume.affine, "CT")
            for way in WAYS.values():  # what they import is not counted
                way(client, tiny, folder)
            packed(client, volume, folder)  # nor how the server finds the masks
            contents = itertools.count()
            for _, (name, way) in itertools.product(range(repeats), WAYS.items()):
                if name != AGAIN:
                    sent = with_content(volume, next(contents))
                before, begun = spent(), time.perf_counter()
                masks, affine, size = way(client, sent, folder)
                one = figures[name]
                one.clock.append(time.perf_counter() - begun)
                one.processors.append(spent() - before)
                one.size = size
                for mask, expected in zip(masks, wanted, strict=True):
                    np.testing.assert_array_equal(mask(), expected)
                np.testing.assert_allclose(affine, volume.affine, atol=1e-4)
    return figures


def with_content(volume: Volume, number: int) -> Volume:
    """The same but for one voxel: another content, which has to travel."""
    voxels = volume.voxels.copy(order="F")
    voxels[0, 0, 0] = number
    return Volume(voxels, volume.affine, "CT")


def table(volume: Volume, repeats: int) -> str:
    """Markdown."""
    figures = measure(volume, repeats)
    sizes = " x ".join(str(count) for count in volume.shape)
    lines = [
        f"{sizes} {volume.voxels.dtype} ({volume.voxels.nbytes / 1e6:.0f} MB), medians of {repeats}, "
        f"{os.cpu_count()} cores, at {commit()}.",
        "",
        "| way | seconds | NIfTI.gz / this | of both processors | NIfTI.gz / this | MB up | MB down |",
        "|---|---|---|---|---|---|---|",
    ]
    clock, processors = (
        {name: statistics.median(getattr(one, what)) for name, one in figures.items()}
        for what in ("clock", "processors")
    )
    for name, one in figures.items():
        up, down = (size / 1e6 for size in one.size)
        times = (
            f"{medians[name]:.2f} | {medians[NIFTI] / max(medians[name], 1e-9):.1f}" for medians in (clock, processors)
        )
        lines.append(f"| {name} | {' | '.join(times)} | {up:.1f} | {down:.2f} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wire", description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--serve", type=Path, help="be the server, with this folder")
    options = parser.parse_args(arguments)

    def tell() -> None:
        if options.serve:
            serve(options.serve)
        else:
            print(table(large_volume(), options.repeats))

    return run_program(tell)


def large_volume() -> Volume:
    """The sample chest CT on 512 x 512 x 300, with a scanner's noise, which resampling takes away."""
    from benchmarks.volumes import LARGE, resampled
    from medsight_core.imaging.volume import read_volume
    from sample_data.fetch import fetch

    with tempfile.TemporaryDirectory() as folder:
        volume = resampled(read_volume(fetch(folder, ["ct-chest"])["ct-chest"]), LARGE)
    noise = np.random.default_rng(0).normal(0, 12, volume.shape[::-1]).astype(np.int16).T
    return Volume(volume.voxels + noise, volume.affine, "CT")


if __name__ == "__main__":
    sys.exit(main())
