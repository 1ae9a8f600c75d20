"""What a question about a whole volume costs, and what asking fewer planes loses.

    OMP_NUM_THREADS=1 python -m benchmarks.volumes --repeats 5

Real volumes, resampled to 300 slices. Each ratio is made in one run, from processor time, so that other work on the
machine does not count; medians over repeats. Asking every plane is what the engine does for a question about one plane,
without its overheads: each plane's own detections, reply and code, decoded there where the thing is seen.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from scipy import ndimage

from benchmarks.provenance import commit
from medsight_core.answer import Answer
from medsight_core.engine.context import context_line
from medsight_core.engine.detection import Detections
from medsight_core.engine.engine import Engine
from medsight_core.engine.features import ViewFeatures, look
from medsight_core.engine.machine import this_machine
from medsight_core.engine.views import VolumeView
from medsight_core.engine.volumetric import without_specks
from medsight_core.errors import CancelledError, run_program
from medsight_core.evaluation.mask_scores import dice
from medsight_core.imaging.segmentation_file import write_segmentation
from medsight_core.imaging.volume import Volume, read_volume
from medsight_core.model.medsight import Generation, ImageFeatures
from medsight_core.model.perceiver import PerceiverOutput
from medsight_core.model.processor import MedSightProcessor
from medsight_core.protocol import PlaneRequest
from sample_data.fetch import fetch, reference_masks

SLICES = 300
ASKED = {
    "ct-chest": ("right lung", "left lung"),
    "mr-brain": ("left thalamus", "right putamen", "left hippocampus", "right caudate nucleus"),
    "mr-brain-colin": ("left thalamus", "right putamen", "left hippocampus", "right caudate nucleus"),
}
LARGE = (512, 512, SLICES)


def resampled(volume: Volume, shape: Sequence[int], order: int = 1) -> Volume:
    """The volume on a grid of another shape that covers the same box. order: 0 for labels."""
    zoom = np.divide(shape, volume.shape)
    voxels = ndimage.zoom(
        volume.voxels.astype(np.float32), zoom, order=order, grid_mode=True, mode="nearest", output=np.float32
    )
    affine = volume.affine.copy()
    affine[:3, :3] /= zoom
    affine[:3, 3] += volume.affine[:3, :3] @ ((1 / zoom - 1) / 2)
    kind = np.int16 if volume.voxels.dtype.kind in "iu" else np.float32
    # As files are read: slice by slice in memory.
    return Volume(
        np.asfortranarray(np.rint(voxels).astype(kind) if kind is np.int16 else voxels), affine, volume.modality
    )


def question(name: str) -> str:
    return f"Outline the {name}."


def mask_of(answer: Answer, name: str, shape: Sequence[int]) -> np.ndarray:
    found = [region.mask for region in answer.regions if region.name == name]
    return found[0] if found and found[0] is not None else np.zeros(shape, bool)


def fresh(volume: Volume) -> Volume:
    """The same volume as if just read: nothing is known about it yet."""
    return Volume(volume.voxels, volume.affine, volume.modality)


def forget(engine: Engine) -> None:
    engine.cache.clear()
    engine.memories.clear()


@torch.inference_mode()
def every_plane(engine: Engine, volume: Volume, name: str) -> np.ndarray:
    """What of a name all planes of the volume outline, each asked for itself: bool (I, J, K)."""
    config, model = engine.config, engine.model
    with mock.patch.object(VolumeView, "of_volume", _of_all_planes):
        view = engine._view(volume, "volume", None, None)
    seen = look(model, engine.processor, view, engine.cache, _silent)
    detections = engine._detections(seen)
    assert detections is not None
    maps = np.zeros((len(seen), config.mask_size, config.mask_size), np.float32)
    for plane in range(len(seen)):
        own = detections.on(slice(plane, plane + 1))
        context = context_line(view.words, own.seen) if config.show_detections else ""
        (reply,) = engine._reply(question(name), [], seen, [plane], context, [name], _silent, None)
        states = [candidate.state for candidate in reply.candidates if candidate.name == name]
        if states and name in own.seen:
            output = model.decode(seen.patches([plane]), torch.stack(states)[None])
            own_map = output.masks[0].amax(0).sigmoid().numpy()
            maps[plane] = without_specks(own_map[None], config.mask_threshold)[0]
    return view.outline(maps, config.vision_config.image_size, config.mask_threshold)


def _of_all_planes(volume: Volume, processor: MedSightProcessor, window: str | None) -> VolumeView:
    """`VolumeView.of_volume` that leaves no plane out."""
    with mock.patch("medsight_core.imaging.plane.PlaneStack.every", lambda stack, _: stack):
        return _OF_VOLUME(volume, processor, window)


_OF_VOLUME = VolumeView.of_volume


def _silent(phase: str, done: float) -> None:
    """Nobody listens."""


def seconds(work: Callable[..., object], *arguments: object) -> float:
    """Processor seconds that something takes."""
    gc.collect()
    begun = time.process_time()
    work(*arguments)
    return time.process_time() - begun


HEAD = (
    "| volume | every plane (s) | ours (s) | ratio | second / first | Dice, every plane | ours |\n"
    "|---|---|---|---|---|---|---|"
)


def whole_volume(engine: Engine, sample: str, volume: Volume, repeats: int) -> str:
    """Ours against every plane, in time (of every plane, one in five repeats) and Dice."""
    truth, names = truths(sample, volume), ASKED[sample]
    first, second, all_planes = [], [], []
    for _ in range(repeats):
        forget(engine)
        volume = fresh(volume)
        first.append(seconds(engine.ask, volume, question(names[0])))
        second.append(seconds(engine.ask, volume, question(names[1])))
    kept, engine.cache.capacity = engine.cache.capacity, 4 << 30  # every plane is looked at once
    for _ in range(max(1, repeats // 5)):
        forget(engine)
        volume = fresh(volume)
        outlined: list[np.ndarray] = []
        all_planes.append(
            seconds(lambda asked, kept: kept.append(every_plane(engine, asked, names[0])), volume, outlined)
        )
    masks = {"every": outlined + [every_plane(engine, volume, name) for name in names[1:]]}
    engine.cache.capacity = kept
    masks["ours"] = [mask_of(engine.ask(volume, question(name)), name, volume.shape) for name in names]
    forget(engine)
    a, b, c = (statistics.median(values) for values in (all_planes, first, second))
    dices = " | ".join(
        f"{statistics.mean(dice(mask, truth[name]) for mask, name in zip(found, names)):.3f}"
        for found in masks.values()
    )
    return f"| {sample}, {_size(volume)} | {a:.1f} | {b:.1f} | {a / b:.1f} | {c / b:.2f} | {dices} |"


def truths(sample: str, volume: Volume) -> dict[str, np.ndarray]:
    """The reference masks of what is asked for, on the volume's grid."""
    zooms = {name: mask for name, mask in reference_masks(sample).items() if name in ASKED[sample]}
    return {
        name: ndimage.zoom(
            mask.astype(np.uint8), np.divide(volume.shape, mask.shape), order=0, grid_mode=True, mode="nearest"
        ).astype(bool)
        for name, mask in zooms.items()
    }


def first_tokens(engine: Engine, volumes: dict[str, Volume], repeats: int) -> Iterator[str]:
    """Processor seconds until the first token of the reply about a plane, first question and follow-up."""
    yield "| plane | first question (s) | follow-up (s) | ratio |"
    yield "|---|---|---|---|"
    for sample, volume in volumes.items():
        first, second = [], []
        for n in range(repeats):
            plane = PlaneRequest("axial", volume.shape[2] // 2 + n)
            forget(engine)
            volume = fresh(volume)
            first.append(_first_token(engine, volume, question(ASKED[sample][0]), plane))
            second.append(_first_token(engine, volume, f"Is there a {ASKED[sample][1]}?", plane))
        a, b = statistics.median(first), statistics.median(second)
        yield f"| {sample}, {_size(volume)} | {a:.3f} | {b:.3f} | {a / b:.1f} |"


def _first_token(engine: Engine, volume: Volume, prompt: str, plane: PlaneRequest) -> float:
    def stop(phase: str, done: float) -> None:
        if phase == "generate" and done > 0:
            raise CancelledError("Enough.")

    begun = time.process_time()
    try:
        engine.ask(volume, prompt, "plane", plane, progress=stop)
    except CancelledError:
        return time.process_time() - begun
    raise RuntimeError("The reply had no token.")


class WithoutModel(Engine):
    """An engine whose model computes nothing: most planes show a disc of one name, as large as a lung."""

    def __init__(self, engine: Engine, name: str) -> None:
        super().__init__(engine.model, engine.processor)
        self._name, config = name, self.config
        codes = {known: code for code, known in config.names_of_codes.items()}
        text = f"The {name} [{codes[name]}] is outlined."
        self._reply_ids = self.processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        axis = np.linspace(-1, 1, config.mask_size)
        self._disc = torch.from_numpy(np.where(axis[:, None] ** 2 + axis**2 < 0.2, 5.0, -5.0)).float()

    def _detections(self, seen: ViewFeatures, threshold: float | None = None) -> Detections:
        scores = torch.zeros(len(seen), 1)
        scores[len(seen) // 8 : len(seen) - len(seen) // 8] = 0.9
        return Detections((self._name,), scores, 0.5)

    @contextmanager
    def idle(self) -> Iterator[None]:
        """The model computes nothing meanwhile."""
        config, model = self.config, self.model
        width, hidden = config.vision_config.hidden_size, config.text_config.hidden_size

        def see(pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return torch.zeros(len(pixels), config.grid, config.grid, width), torch.zeros(len(pixels), width)

        def regions(patches: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(patches), config.perceiver_config.num_queries, width)

        def read(ids: Sequence[int], images: ImageFeatures) -> torch.Tensor:
            return torch.zeros(len(images.patches), 1)

        def generate(*_: object, memory: torch.Tensor, **__: object) -> list[Generation]:
            return [Generation(self._reply_ids, [], torch.zeros(1, hidden)) for _ in memory]

        def decode(patches: torch.Tensor, states: torch.Tensor) -> PerceiverOutput:
            return PerceiverOutput(states, [], [self._disc.expand(len(patches), states.shape[1], -1, -1)], [])

        with (
            mock.patch.multiple(model, see=see, read=read, generate=generate, decode=decode),
            mock.patch.object(model.perceiver, "regions", regions),
        ):
            yield


def without_model(model: Path, volume: Volume, repeats: int) -> dict[str, float]:
    """Median seconds of a job whose model computes nothing, and bytes that it takes beyond engine and volume.

    For a process of its own, where nothing else has taken memory before.
    """
    engine = WithoutModel(Engine.load(model), ASKED["ct-chest"][0])
    before = resident()
    values = []
    with engine.idle():
        for _ in range(repeats):
            forget(engine)
            values.append(seconds(job, engine, volume))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    return {"seconds": statistics.median(values), "bytes": grown}


def overhead(model: Path, studies: Path, repeats: int) -> Iterator[str]:
    """What a job costs beside the model: asking, and writing the label file."""
    command = [sys.executable, "-m", "benchmarks.volumes", "--without-model", "--repeats", str(repeats)]
    command += ["--model", str(model), "--studies", str(studies)]
    idle = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    engine, volume = Engine.load(model), large(studies)
    real = []
    for _ in range(repeats):
        forget(engine)
        real.append(seconds(job, engine, volume))
    whole, own = statistics.median(real), idle["seconds"]
    yield "| 300-slice job | with the model (s) | without (s) | share | memory, of the volume's |"
    yield "|---|---|---|---|---|"
    memory = idle["bytes"] / volume.voxels.nbytes
    yield f"| {_size(volume)} {volume.voxels.dtype} | {whole:.1f} | {own:.1f} | {own / whole:.0%} | {memory:.1f} x |"


def job(engine: Engine, volume: Volume) -> None:
    """A question about a volume just read, and its label file."""
    volume = fresh(volume)
    answer = engine.ask(volume, question(ASKED["ct-chest"][0]))
    assert answer.regions
    with tempfile.TemporaryDirectory() as folder:
        write_segmentation(Path(folder) / "label.seg.nrrd", volume, answer)


def large(studies: Path) -> Volume:
    """The chest CT as a modern scanner would store it."""
    return resampled(read_volume(fetch(studies, ["ct-chest"])["ct-chest"]), LARGE)


def resident() -> int:
    """Bytes of this process that lie in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _size(volume: Volume) -> str:
    return " x ".join(map(str, volume.shape))


PARTS = ("volumes", "first-token", "overhead")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.volumes", description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("sample_data/demo_model"))
    parser.add_argument("--studies", type=Path, default=Path("studies"))
    parser.add_argument("--samples", default=",".join(ASKED), help="which volumes")
    parser.add_argument("--parts", default=",".join(PARTS), help="what to measure")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--without-model", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)

    def program() -> None:
        if options.without_model:
            print(json.dumps(without_model(options.model, large(options.studies), options.repeats)))
            return
        paths = fetch(options.studies, options.samples.split(","))
        volumes = {sample: read_volume(path) for sample, path in paths.items()}
        volumes = {sample: resampled(volume, (*volume.shape[:2], SLICES)) for sample, volume in volumes.items()}
        threads = torch.get_num_threads()
        print(f"{threads} thread{'s' * (threads > 1)} of {this_machine().cpu}; n = {options.repeats}; {commit()}.")
        engine = Engine.load(options.model)
        parts = options.parts.split(",")
        if "volumes" in parts:
            print(HEAD)
            for sample, volume in volumes.items():
                print(whole_volume(engine, sample, volume, options.repeats), flush=True)
        if "first-token" in parts:
            print(*first_tokens(engine, volumes, options.repeats), sep="\n", flush=True)
        if "overhead" in parts:
            print(*overhead(options.model, options.studies, options.repeats), sep="\n")

    return run_program(program)


if __name__ == "__main__":
    sys.exit(main())
