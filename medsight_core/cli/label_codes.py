"""``medsight data label-codes``: the region code of every mask, as a stage-2 model names it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from medsight_core.cli.failures import guarded


@guarded
def label_codes(
    regions: Annotated[Path, typer.Argument(help="BiomedParse meta file.")],
    model: Annotated[Path, typer.Option(help="Folder of a model that has been through stage 2.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File for the coded images (.jsonl).")],
    root: Annotated[
        Path | None, typer.Option(help="Folder that file names in the output start from; that of REGIONS if left out.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images at once.")] = 8,
    device: Annotated[str, typer.Option(help="Where the model runs: cpu, or cuda.")] = "cpu",
    name_codes: Annotated[
        bool, typer.Option("--name-codes", help="Write the names that codes turn out to have into the model's folder.")
    ] = False,
) -> None:
    """Name the region code of every mask, for 'medsight data converse'."""
    from medsight_core.cli.progress import progress
    from medsight_core.data.biomedparse import BiomedParse
    from medsight_core.data.coded import read_coded, write_coded
    from medsight_core.model.loading import load_model, read_config
    from medsight_core.training.label_codes import label_codes as label
    from medsight_core.training.label_codes import names_of_codes

    folder = regions.parent if root is None else root
    with progress() as phase:
        phase("Reading the list")
        images = BiomedParse(regions)
        loaded, processor = load_model(model, device)
        coded = label(
            loaded, processor, images, batch, progress=lambda done, count: phase("Naming the codes", done / count)
        )  # fmt: skip
        write_coded(out, coded, folder)
    written = read_coded(out, folder)
    names = names_of_codes(written)
    if name_codes:
        config = read_config(model)  # not the loaded one, whose precision is this machine's
        config.names_of_codes = names
        config.save_pretrained(model)
    table = Table("code", "nearly always names", box=None, pad_edge=False)
    for code, name in names.items():
        table.add_row(code, name)
    console = Console(highlight=False)
    console.print(table)
    masks, codes = sum(len(image.masks) for image in written), {mask.code for image in written for mask in image.masks}
    console.print(f"{masks} masks of {len(written)} images have {len(codes)} codes, {len(names)} of them one name.")
    if len(written) < len(images):
        console.print(
            f"{len(images) - len(written)} images have more masks than the model has queries and were left out."
        )
    console.print(os.fspath(out), style="dim", markup=False, soft_wrap=True)
