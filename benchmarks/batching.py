"""What it saves to write replies about several planes at once, as the engine does for a volume's key planes.

    OMP_NUM_THREADS=1 python -m benchmarks.batching --repeats 5

One question about eight planes of a sample volume, each read beforehand: eight prompts, answered in one batch and one
after the other in turns, greedily, with the same tokens. Processor seconds, so that other work on the machine does not
count; medians over repeats.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.provenance import commit
from medsight_core.engine.context import context_line
from medsight_core.engine.engine import Engine
from medsight_core.engine.features import look
from medsight_core.engine.machine import this_machine
from medsight_core.engine.views import VolumeView
from medsight_core.errors import run_program
from medsight_core.imaging.volume import Volume, read_volume
from sample_data.fetch import fetch

QUESTION = "Outline the right lung and the left lung."
PROMPTS = 8
WORDS = 64  # tokens of a reply at most


@dataclass(frozen=True)
class Figures:
    """Processor seconds for all prompts, by repeat, and how many tokens they came to. alike: the same tokens."""

    together: list[float]
    one_by_one: list[float]
    tokens: int
    alike: bool

    @property
    def ratio(self) -> float:
        """How many times as fast they are together."""
        return statistics.median(self.one_by_one) / statistics.median(self.together)


@torch.inference_mode()
def measure(engine: Engine, volume: Volume, repeats: int, question: str = QUESTION) -> Figures:
    """Reply to ``question`` about planes of the volume, in both ways, in turns."""
    model, processor = engine.model, engine.processor
    view = VolumeView.of_volume(volume, processor, None)
    seen = look(model, processor, view, engine.cache, _silent)
    planes = np.linspace(0, len(seen) - 1, PROMPTS).round().astype(int).tolist()
    ids = processor.prompt_ids(question, context=context_line(view.words, ()))
    memory = model.read(ids, seen.images(planes))

    def replies(part: slice) -> list[list[int]]:
        made = model.generate(ids, None, processor.eos_token, memory=memory[part], max_new_tokens=WORDS)
        return [reply.ids for reply in made]

    replies(slice(0, PROMPTS))  # warm
    seconds: tuple[list[float], list[float]] = ([], [])
    alike = True
    for _ in range(repeats):
        begun = time.process_time()
        together = replies(slice(0, PROMPTS))
        middle = time.process_time()
        single = [reply for place in range(PROMPTS) for reply in replies(slice(place, place + 1))]
        seconds[0].append(middle - begun)
        seconds[1].append(time.process_time() - middle)
        alike = alike and together == single
    return Figures(*seconds, sum(map(len, single)), alike)


def report(figures: Figures) -> str:
    """The figures as Markdown."""
    together, single = (statistics.median(values) for values in (figures.together, figures.one_by_one))
    return "\n".join(
        [
            f"{PROMPTS} prompts, {figures.tokens} tokens, medians of {len(figures.together)}, "
            f"{torch.get_num_threads()} thread of {this_machine().cpu}; {commit()}.",
            "",
            "| one after the other (s) | together (s) | ratio | same tokens |",
            "|---|---|---|---|",
            f"| {single:.2f} | {together:.2f} | {figures.ratio:.1f} | {'yes' if figures.alike else 'NO'} |",
        ]
    )


def _silent(phase: str, done: float) -> None:
    """Nobody listens."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batching", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("sample_data/demo_model"))
    parser.add_argument("--studies", type=Path, default=Path("studies"), help="folder for the sample volumes")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(arguments)

    def run() -> None:
        volume = read_volume(fetch(options.studies)["ct-chest"])
        print(report(measure(Engine.load(options.model), volume, options.repeats)))

    return run_program(run)


if __name__ == "__main__":
    sys.exit(main())
