"""Whether a machine can run a model, where, and how fast: told before any weight is read.

It joins what a model costs (`model.costs`) to what a machine has (`engine.machine`), and measures nothing itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from medsight_core.engine.machine import Machine, Speed, measure_speed
from medsight_core.engine.views import plane_batches
from medsight_core.engine.volumetric import KEY_FRACTIONS
from medsight_core.model.bits import BITS
from medsight_core.model.config import MedSightConfig
from medsight_core.model.costs import Costs, costs_of
from medsight_core.model.loading import read_config
from medsight_core.model.official.checkpoints import open_folder
from medsight_core.model.quantize import small_bytes

PROMPT_TOKENS = 2048  # a long conversation about one image
REPLY_TOKENS = 32  # a sentence with a region or two
PLANES = 60  # of a volume
VOLUME_BYTES = 1_000_000_000  # of main memory, for a volume, its planes and masks beside the model

Measure = Callable[[MedSightConfig, str, torch.dtype], Speed]

CPU, CPU_PRECISION = "cpu", torch.float32  # as `load_model` has it


@dataclass(frozen=True)
class Place:
    """Where a model may run. free, needs: bytes there. fits: whether that and the loading work out."""

    device: str
    name: str
    precision: torch.dtype
    free: int
    needs: int
    fits: bool


@dataclass(frozen=True)
class Expectation:
    """What to expect of a place.

    look, read, outline: seconds for a plane's tower and region tokens, the language model over image and question, and
    the masks of a plane. tokens: a second, of a reply. plane, volume: seconds for a short question about one plane, and
    about a volume of `PLANES`.
    """

    look: float
    read: float
    outline: float
    tokens: float
    plane: float
    volume: float


@dataclass(frozen=True)
class Diagnosis:
    """parameters, stored: how many and in which precision. places: the GPUs, then the CPU. gpu_needs: bytes that it
    would take on a GPU. small_needs: bytes of main memory with the language model in so many bits. best: the first
    place where it fits, None without. expected: there, else on the CPU."""

    parameters: int
    stored: torch.dtype
    places: tuple[Place, ...]
    gpu_needs: int
    small_needs: Mapping[int, int]
    best: Place | None
    expected: Expectation

    @property
    def verdict(self) -> str:
        """It fits and where, or it does not and what to do."""
        if self.best is not None:
            return (
                f"The model fits: it runs on {self.best.name} in {plain(self.best.precision)} and needs "
                f"{gigabytes(self.best.needs)} of the {gigabytes(self.best.free)} that are free."
            )
        *gpus, cpu = self.places
        for gpu in gpus:
            if gpu.needs <= gpu.free:
                return (
                    f"The model does not fit: {gpu.name} is large enough, but loading takes "
                    f"{gigabytes(self.parameters * self.stored.itemsize)} of main memory on the way and "
                    f"{gigabytes(cpu.free)} are free. Close other programs, or use a machine with more."
                )
        short = f"it needs {gigabytes(cpu.needs)} of main memory and {gigabytes(cpu.free)} are free"
        more = f"a machine with that much, or a GPU with {gigabytes(self.gpu_needs)} free"
        for bits, needs in self.small_needs.items():
            if needs <= cpu.free:
                return f"The model does not fit as it is: {short}. Ask it with --bits {bits}, which needs " + (
                    f"{gigabytes(needs)}, or use {more}."
                )
        return f"The model does not fit: {short}. Use {more}."


def examine_folder(folder: Path, machine: Machine, measure: Measure = measure_speed) -> Diagnosis:
    """Diagnose a model folder from its config.json and the headers of its weights.

    Raises ModelError when it holds no MedSIGHT model, or weights that are missing or damaged.
    """
    config = read_config(folder)
    parameters = sum(math.prod(shape) for shape in open_folder(folder).shapes.values())
    stored = cast("torch.dtype | None", config.dtype) or CPU_PRECISION  # no string once it was read from a file
    return examine(config, machine, parameters, stored, measure)


def examine(
    config: MedSightConfig,
    machine: Machine,
    parameters: int | None = None,
    stored: torch.dtype = torch.bfloat16,
    measure: Measure = measure_speed,
) -> Diagnosis:
    """Diagnose a model of these sizes. parameters: of its weights, counted when left out. stored: their precision."""
    costs = costs_of(config)
    parameters = costs.parameters if parameters is None else parameters
    cpu_needs, gpu_needs = (
        memory_needed(costs, config, parameters, precision.itemsize) for precision in (CPU_PRECISION, stored)
    )
    passing = parameters * stored.itemsize  # weights are read into main memory, then moved
    places = [
        Place(gpu.device, gpu.name, stored, gpu.free, gpu_needs, gpu_needs <= gpu.free and passing <= machine.free)
        for gpu in sorted(machine.gpus, key=lambda gpu: -gpu.free)
    ]
    cpu_needs += VOLUME_BYTES
    places.append(Place(CPU, "the CPU", CPU_PRECISION, machine.free, cpu_needs, cpu_needs <= machine.free))
    best = next((place for place in places if place.fits), None)
    place = best or places[-1]
    speed = measure(config, place.device, place.precision)
    small_needs = {bits: memory_in_bits(costs, config, parameters, bits) + VOLUME_BYTES for bits in BITS}
    expected = expect(costs, speed, place.precision.itemsize)
    return Diagnosis(parameters, stored, tuple(places), gpu_needs, small_needs, best, expected)


def memory_needed(costs: Costs, config: MedSightConfig, parameters: int, itemsize: int) -> int:
    """Bytes at the worst moment, each number having ``itemsize``: weights + prompt + masks.

    prompt: (keys and values + hidden states of a token) * tokens; `PROMPT_TOKENS`, or the key planes of a volume, which
    are asked in one batch, if these are more. masks: the perceiver's widest maps * planes that are decoded at once.
    """
    return (parameters + _kept(costs) + _maps(costs, config)) * itemsize


def memory_in_bits(costs: Costs, config: MedSightConfig, parameters: int, bits: int) -> int:
    """The same with the language model in so many bits (`model.quantize`).

    Its small layers, 2 bytes for each other number of it and of the prompt, 4 for what sees and outlines.
    """
    wide = 2 * (costs.language_parameters - costs.small_parameters + _kept(costs))
    sight = CPU_PRECISION.itemsize * (parameters - costs.language_parameters + _maps(costs, config))
    return math.ceil(small_bytes(costs.small_parameters, bits)) + wide + sight


def _kept(costs: Costs) -> int:
    tokens = max(PROMPT_TOKENS, len(KEY_FRACTIONS) * costs.prompt_tokens)
    return (costs.cache_per_token + costs.states_per_token) * tokens


def _maps(costs: Costs, config: MedSightConfig) -> int:
    return costs.mask_maps * plane_batches(PLANES, config.mask_size)[0].stop


def expect(costs: Costs, speed: Speed, itemsize: int) -> Expectation:
    """Seconds from arithmetic / FLOP/s; for a token, bytes that it reads / bandwidth + the step's own time.

    A question about a plane sees it, reads, replies, and decodes twice: to choose between codes, and to outline. A
    volume is seen and outlined on all planes; the language model reads its key planes, where codes are chosen. What
    prepares pictures and paints masks is not counted, so a small model's plane takes longer than this says.
    """
    see, regions, outline = (work / speed.pixels for work in (costs.see, costs.regions, costs.decode))
    read = costs.read / speed.products
    token = costs.step_parameters * itemsize / speed.bandwidth + speed.step
    reply, keys = REPLY_TOKENS * token, len(KEY_FRACTIONS)
    return Expectation(
        look=see + regions,
        read=read,
        outline=outline,
        tokens=1 / token,
        plane=see + regions + read + reply + 2 * outline,
        volume=PLANES * (see + outline) + keys * (regions + read + outline) + reply,
    )


def plain(precision: torch.dtype) -> str:
    """A precision's name, such as "bfloat16"."""
    return str(precision).removeprefix("torch.")


def gigabytes(count: float) -> str:
    """Bytes as a person reads them, such as "17.3 GB" (10^9 bytes each)."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{math.ceil(count / 1e6)} MB"
