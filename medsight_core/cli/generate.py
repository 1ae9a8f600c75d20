"""``medsight data generate``: labelled training images, from label maps, sample volumes and made-up bodies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from medsight_core.cli.failures import guarded

if TYPE_CHECKING:
    from sample_data.generate.folders import Dataset
    from sample_data.generate.sources import Material, Source


@guarded
def generate(
    out: Annotated[Path, typer.Option("--out", "-o", help="New folder for the images.")],
    planes: Annotated[int, typer.Option(min=1, help="Images of each source to train on.")],
    sources: Annotated[
        str,
        typer.Option(
            help="Sources by name or first word, with commas between them, such as brain,chest-phantom; every one "
            "whose material is there when left out (docs/generated-data.md)."
        ),
    ] = "",
    labels: Annotated[Path | None, typer.Option(help="Folder of whole-head label maps, for the brain.")] = None,
    fetal: Annotated[Path | None, typer.Option(help="Folder of HC18, for fetal heads.")] = None,
    studies: Annotated[Path, typer.Option(help="Folder that sample volumes are fetched to.")] = Path("studies"),
    cranium: Annotated[
        Path | None, typer.Option(help="Cranium.inv3 of invesalius-examples; where Debian puts it when left out.")
    ] = None,
    held_out: Annotated[
        int | None, typer.Option(min=0, help="Images of each source's held-out subjects; a tenth when left out.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed makes other images.")] = 0,
    side: Annotated[int, typer.Option(min=16, help="Pixels of an image's side.")] = 256,
    workers: Annotated[int, typer.Option(min=1, help="Processes, one core each.")] = 1,
) -> None:
    """Generate labelled images and write them as BiomedParse does: OUT/train and OUT/held-out, no subject in both."""
    from medsight_core.cli.progress import progress
    from sample_data.generate.folders import write_planes
    from sample_data.generate.sources import Material
    from sample_data.generate.sources import sources as chosen_by

    material = Material(labels, fetal, studies, cranium or Material.cranium)
    words = [word.strip() for word in sources.split(",") if word.strip()]
    with progress() as phase:
        phase("Looking for the sources")
        usable = _usable(chosen_by(words), words, material)
        written = write_planes(
            out, usable, material, planes, planes // 10 if held_out is None else held_out, seed, side, workers,
            lambda done: phase("Generating images", done),
        )  # fmt: skip
    _show(written, out)


def _usable(chosen: tuple[Source, ...], words: list[str], material: Material) -> list[Source]:
    """The sources whose material is there; NotFoundError when that of one named in full is missing, or of all."""
    from medsight_core.errors import NotFoundError

    usable, reasons = [], []
    for source in chosen:
        try:
            source.subjects(material)
        except NotFoundError as error:
            if source.name in words:
                raise
            reasons.append(f"{source.name} is left out. {error}")
        else:
            usable.append(source)
    if not usable:
        raise NotFoundError(" ".join(reasons))
    for reason in reasons:
        Console(highlight=False).print(reason, markup=False, soft_wrap=True)
    return usable


def _show(written: dict[str, dict[str, Dataset]], out: Path) -> None:
    console = Console(highlight=False)
    table = Table("set", "folder", "images", "subjects", "masks", "names", box=None, pad_edge=False)
    for part, datasets in written.items():
        for folder, dataset in datasets.items():
            counts = (len(dataset.images), dataset.subjects, len(dataset.annotations), len(dataset.masks))
            table.add_row(part, folder, *map(str, counts))
    console.print(table)
    for part in written:
        console.print(str(out / part / "meta.json"), style="dim", markup=False, soft_wrap=True)
