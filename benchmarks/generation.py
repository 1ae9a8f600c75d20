"""How long generated planes take to make and to write, source by source.

    OMP_NUM_THREADS=1 python -m benchmarks.generation --labels LABEL_MAPS --fetal HC18

Processor time, so that other work on the machine does not count. What is read once, such as a label map, is read
before. Every figure is a median over scans with the smallest and the largest.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.provenance import commit
from medsight_core.engine.machine import this_machine
from medsight_core.errors import NotFoundError, run_program
from sample_data.generate.folders import Job, write_scan
from sample_data.generate.sources import Material, Source, sources


def measure(source: Source, material: Material, scans: int, side: int, seed: int = 0) -> list[float]:
    """Milliseconds a plane of ``side`` pixels with its mask files, a value of each scan.

    Raises NotFoundError when the source's material is missing.
    """
    values = []
    with TemporaryDirectory() as folder:
        for unit in range(scans):
            job = Job(
                Path(folder) / "train", source.name, material, unit, source.kind.per_scan, seed, side, held_out=False
            )
            write_scan(job)  # reads what the same job then finds in memory
            begun = time.process_time()
            planes = write_scan(job)
            values.append(1000 * (time.process_time() - begun) / len(planes))
    return values


def report(figures: Mapping[str, Sequence[float]], side: int) -> str:
    """The figures by source as Markdown."""
    scans = len(next(iter(figures.values()), ()))
    rows = [
        f"| `{name}` | {statistics.median(values):.0f} | {min(values):.0f} to {max(values):.0f} |"
        for name, values in figures.items()
    ]
    threads = torch.get_num_threads()
    return "\n".join(
        [
            f"A plane of {side} pixels with its mask files; n = {scans} scans of each source, "
            f"{threads} thread{'s' * (threads > 1)} of {this_machine().cpu}; {commit()}.",
            "",
            "| source | ms a plane, median | smallest to largest |",
            "|---|---|---|",
            *rows,
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generation", description=__doc__.splitlines()[0])
    parser.add_argument("--sources", default="", help="as 'medsight data generate' takes them; all when left out")
    parser.add_argument("--labels", type=Path, help="folder of whole-head label maps")
    parser.add_argument("--fetal", type=Path, help="folder of HC18")
    parser.add_argument("--studies", type=Path, default=Material.studies)
    parser.add_argument("--cranium", type=Path, default=Material.cranium)
    parser.add_argument("--scans", type=int, default=8, help="of each source")
    parser.add_argument("--side", type=int, default=256)
    options = parser.parse_args(arguments)
    material = Material(options.labels, options.fetal, options.studies, options.cranium)

    def program() -> None:
        figures = {}
        for source in sources([word for word in options.sources.split(",") if word]):
            try:
                figures[source.name] = measure(source, material, options.scans, options.side)
            except NotFoundError as error:
                print(f"{source.name}: left out. {error}")
        print(report(figures, options.side))

    return run_program(program)


if __name__ == "__main__":
    sys.exit(main())
