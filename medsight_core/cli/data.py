"""``medsight data``: look at training data, and make it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from medsight_core.cli.converse import converse
from medsight_core.cli.failures import guarded
from medsight_core.cli.generate import generate
from medsight_core.cli.label_codes import label_codes
from medsight_core.errors import InputError

if TYPE_CHECKING:
    from medsight_core.data.findings import Report

app = typer.Typer(no_args_is_help=True)
console = Console(highlight=False)

_SHOWN = 20  # faults; the others are only counted


@app.callback()
def _group() -> None:
    """Look at training data, and make it."""


@app.command()
@guarded
def check(
    path: Annotated[Path, typer.Argument(help="BiomedParse meta file, or a .json or .jsonl file of conversations.")],
    root: Annotated[
        Path | None, typer.Option(help="Folder that the conversations' files start from; their own when left out.")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="Folder of the model to be trained: checks classes, codes and lengths against it."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Look at so many records only, spread over the file.")
    ] = None,
    max_length: Annotated[int, typer.Option(min=1, help="Longest sequence in tokens; needs --model.")] = 2048,
) -> None:
    """Look at every record, image and mask of a training set, and name what cannot be trained on.

    Ends with exit code 2 when anything is wrong.
    """
    from medsight_core.cli.progress import progress

    with progress() as phase:
        phase("Reading the list")
        from medsight_core.data.check import check_biomedparse, check_conversations, holds_labelled_images

        def looked(done: int, count: int) -> None:
            phase("Looking at the files", done / count)

        labelled = holds_labelled_images(path)
        if labelled and root is not None:
            raise InputError(f"'{path}' says itself where its images are: leave out --root.")
        config = processor = None
        if model is not None:
            from medsight_core.model.loading import read_config
            from medsight_core.model.processor import MedSightProcessor

            config = read_config(model)
            processor = MedSightProcessor.from_pretrained(model, config)
        if labelled:
            report = check_biomedparse(path, looked, config, limit)
        else:
            report = check_conversations(path, root, processor, looked, limit, max_length)
    _show(report)
    if report.bad:
        raise typer.Exit(InputError.exit_code)


def _show(report: Report) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    for heading, value in _figures(report):
        table.add_row(heading, value)
    console.print(table)
    for where, reason in report.bad[:_SHOWN]:
        console.print(f"{where}: {reason}", style="red", markup=False, soft_wrap=True)
    if not report.bad:
        console.print("Nothing is wrong with them.")
        return
    records = len({where for where, _ in report.bad})
    more = f", {len(report.bad) - _SHOWN} more faults are not shown" if len(report.bad) > _SHOWN else ""
    console.print(f"{records} of {report.records} {report.kind} cannot be trained on{more}.", style="bold red")


def _figures(report: Report) -> list[tuple[str, str]]:
    """The rows of the table."""
    looked_at = f"{report.records}" if report.records == report.total else f"{report.records} of {report.total}"
    rows = [(report.kind, looked_at)]
    rows += [("image files", f"{len(report.images)}"), ("mask files", f"{len(report.masks)}")]
    if report.kind == "conversations":
        rows.append(("without images", f"{report.without_images}"))
    rows.append(("without masks", f"{report.without_masks}"))
    for modality, count in sorted(report.masks_by_modality.items()):
        used = sum(code.startswith(f"M{modality}_") for code in report.codes)
        rows.append((f"masks of modality {modality}", f"{count}" + (f" in {used} codes" if used else "")))
    if report.masks:
        low, middle, high = (f"{area:.2%}" for area in report.mask_areas((0.05, 0.5, 0.95)))
        rows.append(("area of the masks", f"{middle} of the image, 90% of them {low} to {high}"))
    if report.non_square:
        share = report.non_square / len(report.images)
        rows.append(("not square", f"{share:.1%} of the images; the model sees their middle"))
        hidden = f"{report.hidden_area:.1%} of the masks' area"
        rows.append(("outside it", f"{hidden}; {report.hidden_masks} masks wholly"))
    if report.longest is not None:
        rows.append(("longest sequence", f"{report.longest} tokens"))
    return rows


# Commands of this group in files of their own are registered below, one line each.
app.command()(converse)
app.command()(label_codes)
app.command()(generate)
