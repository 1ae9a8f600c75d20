"""``medsight doctor``: what this machine can run, told before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from medsight_core.cli.failures import guarded
from medsight_core.cli.options import ModelOption
from medsight_core.errors import InputError

if TYPE_CHECKING:
    from medsight_core.engine.doctor import Diagnosis
    from medsight_core.engine.machine import Machine

OFFICIAL = "8b"

console = Console(highlight=False)


@guarded
def doctor(
    model: ModelOption = None,
    config: Annotated[str | None, typer.Option(help=f"A model without its weights: {OFFICIAL}, the paper's.")] = None,
) -> None:
    """Tell whether this machine can run a model, where, and how fast.

    Reads no weights. Ends with exit code 2 when the model does not fit.
    """
    from medsight_core.cli.progress import progress

    if config not in (None, OFFICIAL):
        raise InputError(f"There is no configuration {config!r}: use {OFFICIAL}, or --model for a model's folder.")
    if config is not None and model is not None:
        raise InputError("Both --model and --config are given: choose one.")
    with progress() as phase:
        phase("Looking at the machine")
        from medsight_core.cli.app import default_model
        from medsight_core.engine.doctor import examine, examine_folder
        from medsight_core.engine.machine import this_machine
        from medsight_core.model.config import MedSightConfig

        machine = this_machine()
        phase("Measuring it")
        if config is None:
            diagnosis = examine_folder(model or default_model(), machine)
        else:
            diagnosis = examine(MedSightConfig(), machine)
    for table in report(machine, diagnosis):
        console.print(table)
        console.print()
    console.print(diagnosis.verdict, style="bold" if diagnosis.best else "bold red", soft_wrap=True)
    if diagnosis.best is None:
        raise typer.Exit(InputError.exit_code)


def report(machine: Machine, diagnosis: Diagnosis) -> Iterator[Table]:
    """What the machine has, what the model needs, and what to expect."""
    from medsight_core.engine.doctor import CPU_PRECISION, PLANES, REPLY_TOKENS, gigabytes, plain

    yield _rows(
        "This machine",
        ("CPU", ", ".join((machine.cpu, f"{machine.cores} cores", *machine.instructions))),
        ("main memory", f"{gigabytes(machine.memory)}, {gigabytes(machine.free)} free"),
        *[
            (gpu.device, f"{gpu.name}, {gigabytes(gpu.memory)}, {gigabytes(gpu.free)} free" + _rounding(gpu.bf16))
            for gpu in machine.gpus
        ],
        *([] if machine.gpus else [("GPU", "none that torch can use")]),
        ("torch", machine.torch),
    )
    cpu = diagnosis.places[-1]
    count, stored = diagnosis.parameters, plain(diagnosis.stored)
    sizes = {plain(CPU_PRECISION): 4, "bfloat16": 2}
    yield _rows(
        "The model",
        ("parameters", f"{count:,}, stored in {stored}"),
        ("weights", ", ".join(f"{gigabytes(count * size)} in {name}" for name, size in sizes.items())),
        ("at most on the CPU", f"{gigabytes(cpu.needs)} in {plain(cpu.precision)}"),
        *((f"with --bits {bits}", f"{gigabytes(needs)} on the CPU") for bits, needs in diagnosis.small_needs.items()),
        ("at most on a GPU", f"{gigabytes(diagnosis.gpu_needs)} in {stored}"),
    )
    expected, place = diagnosis.expected, diagnosis.best or cpu
    yield _rows(
        f"To be expected on {place.name} in {plain(place.precision)}" + ("" if diagnosis.best else ", if it fitted"),
        ("to see an image", seconds(expected.look)),
        ("to read image and question", seconds(expected.read)),
        ("tokens a second", f"{expected.tokens:.2g}" if expected.tokens < 10 else f"{expected.tokens:.0f}"),
        ("to outline", f"{seconds(expected.outline)} a plane"),
        ("a question about a plane", f"{seconds(expected.plane)}, with {REPLY_TOKENS} tokens of reply"),
        ("about a volume", f"{seconds(expected.volume)}, of {PLANES} planes"),
    )


def seconds(time: float) -> str:
    """A time as a person reads it."""
    if time < 1:
        return f"{1000 * time:.0f} ms"
    return f"{time:.1f} s" if time < 100 else f"{time / 60:.0f} min"


def _rounding(bf16: bool) -> str:
    return "" if bf16 else ", no bfloat16 of its own"


def _rows(title: str, *rows: tuple[str, str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="dim", box=None, pad_edge=False, show_header=False)
    for row in rows:
        table.add_row(*row)
    return table
