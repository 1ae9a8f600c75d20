"""``medsight convert``: the authors' weights as one model folder, and a table of what becomes of every tensor."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from medsight_core.cli.failures import guarded
from medsight_core.errors import InputError

if TYPE_CHECKING:
    from medsight_core.model.conversion import Conversion
    from medsight_core.model.official_sources import Prepared

DTYPES = ("bfloat16", "float32")

console = Console(highlight=False)

_NUMBERED = re.compile(r"(layers|resblocks|bi_blocks|conv_adapters|stages|codebooks)\.\d+\.")


@guarded
def convert(
    llm: Annotated[Path, typer.Option(help="Folder of the language model, such as medsight_full_instruct.")],
    perceiver: Annotated[Path | None, typer.Option(help="The Region Perceiver, such as 0079280.pt.")] = None,
    vision: Annotated[Path | None, typer.Option(help="UniMed-CLIP's file, of which the visual tower is used.")] = None,
    codebook: Annotated[Path | None, typer.Option(help="Stage-2 checkpoint, or projected_codebook.pt.")] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="Folder of the tokenizer; --llm when left out.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write, which must not exist or be empty.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check names and shapes, write nothing.")] = False,
    vision_layer: Annotated[
        int | None, typer.Option(help="Layer of the tower that is read, -1 or -2; config.json's when left out.")
    ] = None,
    code_state: Annotated[
        str, typer.Option(help="State that a code is decoded from: its own, or the previous one as the authors do.")
    ] = "own",
    size_overrides: Annotated[
        Path | None, typer.Option(help="JSON with sizes that are not the official ones and that no shape tells.")
    ] = None,
    dtype: Annotated[str, typer.Option(help=f"Stored precision: {' or '.join(DTYPES)}.")] = DTYPES[0],
) -> None:
    """Convert the authors' weights into a model folder for 'medsight ask' and 'medsight serve'."""
    if out is None and not dry_run:
        raise InputError("There is no --out: give the folder to write, or --dry-run to check only.")
    if dtype not in DTYPES:
        raise InputError(f"The precision {dtype!r} does not exist: use {' or '.join(DTYPES)}.")
    from transformers.utils.logging import set_verbosity_error

    from medsight_core.model.checkpoints import read_json
    from medsight_core.model.official_sources import Sources, prepare

    set_verbosity_error()  # it warns that it does not know the authors' model type
    sources = Sources(llm, perceiver, vision, codebook, tokenizer)
    overrides = {} if size_overrides is None else read_json(size_overrides)
    prepared = prepare(sources, vision_layer, code_state, overrides)
    if out is None or dry_run:
        console.print(fates(prepared.conversion))
        prepared.conversion.check()
        console.print(summary(prepared))
    else:
        _write(prepared, out, dtype)
        console.print(summary(prepared))
        console.print(f"The model is in {out}/", markup=False, soft_wrap=True)
    for note in prepared.notes:
        console.print(note, markup=False, soft_wrap=True)


def fates(conversion: Conversion) -> Table:
    """What becomes of every tensor; layers, and weight and bias, share a row."""
    rows: dict[tuple[str, str, str, str], int] = {}
    for mapped in conversion.mapped:
        ours = " ".join(dict.fromkeys(_pattern(name) for name in mapped.ours))
        _count(rows, ("mapped", mapped.file.name, _pattern(mapped.key), ours))
    for dropped in conversion.dropped:
        _count(rows, ("dropped", dropped.file.name, _pattern(dropped.key), dropped.reason))
    for fault in conversion.faults:
        _count(rows, (fault.kind, fault.file.name, fault.key, fault.why))
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("", "file", "official name", "becomes, or why not", "tensors"):
        table.add_column(heading, justify="right" if heading == "tensors" else "left", overflow="fold")
    styles = {"mapped": "", "dropped": "dim"}
    for row, count in rows.items():
        table.add_row(*row, str(count), style=styles.get(row[0], "red"))
    return table


def summary(prepared: Prepared) -> str:
    """How many tensors and numbers, and the switches that were chosen."""
    conversion, config = prepared.conversion, prepared.config
    numbers = sum(math.prod(shape) for shape in conversion.shapes.values())
    return (
        f"{len(conversion.mapped)} tensors mapped, {len(conversion.dropped)} dropped; the model has "
        f"{numbers:,} parameters.\nVision layer {config.vision_layer}, code state {config.code_state}, "
        f"licence {config.licence}."
    )


def _write(prepared: Prepared, out: Path, dtype: str) -> None:
    import torch

    from medsight_core.cli.progress import progress
    from medsight_core.model.convert import write

    with progress() as phase:
        write(prepared, out, getattr(torch, dtype), report=phase)


def _pattern(name: str) -> str:
    name = _NUMBERED.sub(r"\1.*.", name)
    return re.sub(r"\.(weight|bias)$|_(weight|bias)$", "", name)


def _count(rows: dict[tuple[str, str, str, str], int], row: tuple[str, str, str, str]) -> None:
    rows[row] = rows.get(row, 0) + 1
