"""``medsight convert``: the authors' weights as one model folder, and a table of what becomes of every tensor."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from medsight_core.cli.failures import guarded
from medsight_core.errors import InputError

if TYPE_CHECKING:
    from medsight_core.model.official.conversion import Conversion
    from medsight_core.model.official.sources import Prepared

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
    from medsight_core.model.official.checkpoints import read_json
    from medsight_core.model.official.sources import Sources, prepare

    sources = Sources(llm, perceiver, vision, codebook, tokenizer)
    overrides = {} if size_overrides is None else read_json(size_overrides)
    prepared = prepare(sources, vision_layer, code_state, overrides)
    if out is None or dry_run:
        console.print(*fates(prepared.conversion), sep="\n\n")
        prepared.conversion.check()
        console.print(summary(prepared))
    else:
        _write(prepared, out, dtype)
        console.print(summary(prepared))
        console.print(f"The model is in {out}/", markup=False, soft_wrap=True)
    for note in prepared.notes:
        console.print(note, markup=False, soft_wrap=True)


def fates(conversion: Conversion) -> Iterator[Table]:
    """What becomes of every tensor, a table for each source; layers, and weight and bias, share a row."""
    for source in dict.fromkeys([one.source for one in conversion.mapped] + [one.source for one in conversion.dropped]):
        rows: Counter[tuple[str, str, str]] = Counter()
        for mapped in (one for one in conversion.mapped if one.source == source):
            ours = " ".join(dict.fromkeys(_pattern(name) for name in mapped.ours))
            rows["mapped", _pattern(mapped.key), ours] += 1
        for dropped in (one for one in conversion.dropped if one.source == source):
            rows["dropped", _pattern(dropped.key), dropped.reason] += 1
        table = _table(source.name, "", "official name", "becomes, or why not", "tensors")
        for row, count in rows.items():
            table.add_row(*row, str(count), style="dim" if row[0] == "dropped" else "")
        yield table
    if conversion.faults:
        table = _table("What is wrong", "", "official name", "what", "file", style="red")
        for fault in conversion.faults:
            table.add_row(fault.kind, fault.key, fault.why, fault.file.name)
        yield table


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
    from medsight_core.model.official.write import write

    with progress() as phase:
        write(prepared, out, getattr(torch, dtype), report=phase)


def _pattern(name: str) -> str:
    name = _NUMBERED.sub(r"\1.*.", name)
    return re.sub(r"\.(weight|bias)$|_(weight|bias)$", "", name)


def _table(title: str, *headings: str, style: str = "") -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim", style=style)
    for heading in headings:
        table.add_column(heading, overflow="fold", justify="right" if heading == "tensors" else "left")
    return table
