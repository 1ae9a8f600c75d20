"""What the Region Perceiver saves, beside a straightforward writing-down of its specification, at the official size.

    python -m benchmarks.perceiver --repeats 5

Both have the same random weights and patches, and must give the same numbers. Times are processor seconds of one
thread, so that other work on the machine does not count, of passes that take turns; medians over repeats. Memory is the
most that a process of its own ever held while it made the weights and one pass.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.provenance import commit
from benchmarks.straightforward_perceiver import perceive
from medsight_core.errors import run_program
from medsight_core.model.config import PerceiverConfig
from medsight_core.model.perceiver import RegionPerceiver

ALIKE = 1e-5  # greatest difference of two outputs that count as the same numbers


@dataclass(frozen=True)
class Sizes:
    """width: D. grid: patches along a side. codes: how many queries one image is decoded with."""

    width: int = 1024
    grid: int = 24
    codes: int = 4


class Passes:
    """The passes over one image by name, all with the same weights."""

    def __init__(self, sizes: Sizes) -> None:
        torch.manual_seed(0)
        model = RegionPerceiver(PerceiverConfig(), sizes.width).eval()
        for parameter in model.parameters():
            if parameter.dim() == 1:  # gains and biases that a mistake could hide behind
                parameter.data += 0.1 * torch.randn_like(parameter)
        patches = torch.randn(1, sizes.grid, sizes.grid, sizes.width)
        codes = torch.randn(1, sizes.codes, sizes.width)
        self.works: dict[str, Callable[[], Tensor]] = {
            "straightforward encode": lambda: perceive(model, patches)[0],
            "ours encode": lambda: model.regions(patches),
            "straightforward decode": lambda: perceive(model, patches, codes)[1],
            "ours decode": lambda: model(patches, codes).masks,
        }

    @torch.inference_mode()
    def run(self, name: str) -> tuple[Tensor, float]:
        """What a pass gives, and its processor seconds."""
        begun = time.process_time()
        result = self.works[name]()
        return result, time.process_time() - begun


def measure(sizes: Sizes, repeats: int) -> tuple[dict[str, float], dict[str, float]]:
    """Median seconds of each pass, and the greatest difference of the two arms' results, of the results' own scale."""
    passes, times, apart = Passes(sizes), {}, {}
    for _ in range(repeats):
        found = {name: passes.run(name) for name in passes.works}
        for name, (_, taken) in found.items():
            times.setdefault(name, []).append(taken)
        for kind in ("encode", "decode"):
            plain, ours = found[f"straightforward {kind}"][0], found[f"ours {kind}"][0]
            apart[kind] = float((plain - ours).abs().max() / plain.abs().max())
    return {name: statistics.median(values) for name, values in times.items()}, apart


def peak(sizes: Sizes, name: str) -> int:
    """Bytes that a process of its own held at most."""
    command = [sys.executable, "-m", "benchmarks.perceiver", "--only", name, *_as_arguments(sizes)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(json.loads(found.stdout)["bytes"])


def most_held() -> int:
    """Bytes that this process held at most; of Linux, whose getrusage counts the parent's memory too."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def table(sizes: Sizes, repeats: int) -> str:
    """Markdown."""
    seconds, apart = measure(sizes, repeats)
    for kind, difference in apart.items():
        if difference > ALIKE:
            raise ArithmeticError(f"The two ways to {kind} differ by {difference:.1g}: nothing can be compared.")
    memory = {name: peak(sizes, name) for name in seconds}

    def both(arm: str) -> float:
        return seconds[f"{arm} encode"] + seconds[f"{arm} decode"]

    plain, ours = "straightforward encode", "ours encode"
    lines = [
        f"Width {sizes.width}, {sizes.grid} x {sizes.grid} patches, {sizes.codes} codes, float32, "
        f"one thread, medians of {repeats}, at {commit()}.",
        "",
        "| figure | straightforward | ours | ratio |",
        "|---|---|---|---|",
        f"| encode (s) | {seconds[plain]:.2f} | {seconds[ours]:.2f} | {seconds[plain] / seconds[ours]:.2f} |",
        f"| encode and decode (s) | {both('straightforward'):.2f} | {both('ours'):.2f} | "
        f"{both('straightforward') / both('ours'):.2f} |",
    ]
    for kind in ("encode", "decode"):
        one, other = memory[f"straightforward {kind}"], memory[f"ours {kind}"]
        lines.append(f"| peak memory, {kind} (MB) | {one / 1e6:.0f} | {other / 1e6:.0f} | {other / one:.0%} |")
    lines += ["", f"Greatest difference: {max(apart.values()):.1g} of the greatest number."]
    return "\n".join(lines)


def _as_arguments(sizes: Sizes) -> list[str]:
    return ["--width", str(sizes.width), "--grid", str(sizes.grid), "--codes", str(sizes.codes)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.perceiver", description=__doc__.splitlines()[0])
    usual = Sizes()
    parser.add_argument("--width", type=int, default=usual.width)
    parser.add_argument("--grid", type=int, default=usual.grid)
    parser.add_argument("--codes", type=int, default=usual.codes)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", help="make one pass and tell the memory, as JSON")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    sizes = Sizes(options.width, options.grid, options.codes)

    def tell() -> None:
        if options.only:
            Passes(sizes).run(options.only)
            print(json.dumps({"bytes": most_held()}))
        else:
            print(table(sizes, options.repeats))

    return run_program(tell)


if __name__ == "__main__":
    sys.exit(main())
