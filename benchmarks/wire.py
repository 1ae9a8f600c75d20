"""What it takes to send a volume up and its masks down, as today's files and packed.

    python -m benchmarks.wire --repeats 3

The sample chest CT on a grid of 512 x 512 x 300, and two masks that fill its lungs, through a real HTTP server in a
process of its own: our endpoints, MONAI Label's sessions, and no model. Today's way is a .nii.gz up and a .seg.nrrd
down, with all that both ends do: write, read, check. Ours is the same with `medsight_core.packing`. Seconds are of both
processes' processors, so that other work on the machine does not count; medians over repeats.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import psutil
import uvicorn
from fastapi import FastAPI

from benchmarks.provenance import commit
from medsight_core.answer import Answer, Region
from medsight_core.client import MedSightClient
from medsight_core.errors import run_program
from medsight_core.imaging.segmentation_file import read_segmentation, write_masks, write_segmentation
from medsight_core.imaging.shelf import VolumeShelf
from medsight_core.imaging.volume import Volume
from medsight_core.protocol import (
    CAPABILITY_BLOSC2,
    CAPABILITY_PACKED,
    EXTENSION_SEGMENTATION,
    PACKED_EXTENSIONS,
    PATH_INFO,
    PROTOCOL_VERSION,
)

QUESTION = "Outline the lungs."
CODECS = {extension: codec for codec, extension in PACKED_EXTENSIONS.items()}
NAMES = ("right lung", "left lung")


class WithoutModel:
    """The place of the MONAI Label app: reads what was uploaded, outlines what is dark inside it, writes the label."""

    def __init__(self, folder: Path) -> None:
        from monailabel.utils.sessions import Sessions

        self._folder, self._sessions, self._shelf = folder, Sessions(str(folder / "sessions")), VolumeShelf()

    def sessions(self) -> Any:
        return self._sessions

    def infer(self, asked: dict[str, Any]) -> dict[str, Any]:
        volume = self._shelf.read(asked["image"], "CT")
        answer, extension = outlined(volume), asked["result_extension"]
        path = self._folder / f"label{extension}"
        if extension == EXTENSION_SEGMENTATION:
            write_segmentation(path, volume, answer)
        else:
            write_masks(path, volume, answer, CODECS[extension])
        return {"file": path, "params": answer.to_json()}


def outlined(volume: Volume) -> Answer:
    """Both lungs, as an ellipsoid each: where they end does not matter, only that they are as large."""
    i, j, k = np.ogrid[tuple(slice(-1, 1, count * 1j) for count in volume.shape)]
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
    app.state.volumes = volumes.KeptVolumes(folder / "volumes")
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


def as_today(client: MedSightClient, volume: Volume, folder: Path) -> tuple[list[np.ndarray], np.ndarray, list[int]]:
    """Up and down as files: masks, affine, and the bytes that went up and down."""
    up, down = folder / "up.nii.gz", folder / f"down{EXTENSION_SEGMENTATION}"
    nibabel.save(nibabel.Nifti1Image(volume.voxels, np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine), up)
    session = client.upload(up)
    reply = client.ask(QUESTION, session=session)
    down.write_bytes(reply.segmentation or b"")
    found = read_segmentation(down)
    client.delete_session(session)
    masks = [np.asarray(segment.mask) for segment in found.segments]
    return masks, found.affine, [up.stat().st_size, down.stat().st_size]


def as_ours(client: MedSightClient, volume: Volume, folder: Path) -> tuple[list[np.ndarray], np.ndarray, list[int]]:
    """The same, packed."""
    sent = [0]
    session = client.upload_voxels(volume.voxels, volume.affine, lambda _, total: sent.__setitem__(0, total))
    reply = client.ask(QUESTION, session=session, result_extension=PACKED_EXTENSIONS[client.codec()])
    found = reply.masks()
    assert found is not None
    client.delete_session(session)
    masks = [mask.on(found.shape) for mask in found.masks]
    return masks, found.affine, [sent[0], len(reply.segmentation or b"")]


def measure(volume: Volume, repeats: int) -> dict[str, tuple[list[float], list[int]]]:
    """Seconds of each repeat, and bytes up and down, of "today", "ours" and of "ours again": the volume is there."""
    wanted = [region.mask for region in outlined(volume).regions]
    figures: dict[str, tuple[list[float], list[int]]] = {}

    def once(name: str, way: Callable[..., Any], folder: Path, sent: Volume) -> None:
        before = spent()
        masks, affine, size = way(client, sent, folder)
        seconds = spent() - before
        for mask, expected in zip(masks, wanted, strict=True):
            np.testing.assert_array_equal(mask, expected)
        np.testing.assert_allclose(affine, volume.affine, atol=1e-4)
        figures.setdefault(name, ([], size))[0].append(seconds)

    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        with server_process(folder) as (address, server), MedSightClient(address) as client:
            own = psutil.Process()

            def spent() -> float:
                return sum(sum(process.cpu_times()[:2]) for process in (own, server))

            client.info()
            tiny = Volume(volume.voxels[:8, :8, :8], volume.affine, "CT")
            for way in (as_today, as_ours):  # what both import is not counted
                way(client, tiny, folder)
            for repeat in range(repeats):
                voxels = volume.voxels.copy(order="F")
                voxels[0, 0, 0] = repeat  # another content: it has to travel
                sent = Volume(voxels, volume.affine, "CT")
                once("today", as_today, folder, sent)
                once("ours", as_ours, folder, sent)
                once("ours again", as_ours, folder, sent)
    return figures


def table(volume: Volume, repeats: int) -> str:
    """Markdown."""
    figures = measure(volume, repeats)
    medians = {name: statistics.median(seconds) for name, (seconds, _) in figures.items()}
    sizes = " x ".join(str(count) for count in volume.shape)
    lines = [
        f"{sizes} {volume.voxels.dtype} ({volume.voxels.nbytes / 1e6:.0f} MB), medians of {repeats}, at {commit()}.",
        "",
        "| way | seconds of both processors | today / this | MB up | MB down |",
        "|---|---|---|---|---|",
    ]
    for name, (_, (up, down)) in figures.items():
        ratio = medians["today"] / medians[name]
        lines.append(f"| {name} | {medians[name]:.2f} | {ratio:.1f} | {up / 1e6:.1f} | {down / 1e6:.2f} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wire", description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
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
