"""``medsight data converse``: grounded conversations from images whose masks have codes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from medsight_core.cli.failures import guarded
from medsight_core.errors import InputError

if TYPE_CHECKING:
    from typing import Sequence

    from medsight_core.data.coded import CodedImage
    from medsight_core.data.converse import Author, Written


@guarded
def converse(
    coded: Annotated[
        Path, typer.Argument(help="Images whose masks have codes, as 'medsight data label-codes' writes them.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="File for the conversations (.jsonl). What it holds stays, so a stopped run goes on."
        ),
    ],
    root: Annotated[
        Path | None,
        typer.Option(help="Folder that file names start from in both files; that of CODED when left out."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed writes other conversations.")] = 0,
    per_image: Annotated[int, typer.Option(help="Conversations about each image.")] = 2,
    endpoint: Annotated[
        str | None,
        typer.Option(
            help="Address of a language model that speaks OpenAI's chat format, such as http://127.0.0.1:8000/v1; it "
            "gets names, codes and boxes, never pictures. Templates are used when left out. A key is read from "
            "the environment variable MEDSIGHT_ENDPOINT_KEY."
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The name of the model at --endpoint.")] = None,
) -> None:
    """Write questions and answers about labelled images; half of the requests ask for what an image does not show."""
    from medsight_core.cli.progress import progress
    from medsight_core.data.coded import read_coded
    from medsight_core.data.converse import write_conversations

    if (endpoint is None) != (model is None):
        raise InputError("--endpoint and --model belong together: give both, or neither to use templates.")
    folder = coded.parent if root is None else root
    with progress() as phase:
        phase("Reading the images")
        images = read_coded(coded, folder)
        author = _author(images, seed, endpoint, model)
        try:
            written = write_conversations(
                images, author, out, folder, per_image, lambda done: phase("Writing conversations", done)
            )
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise InputError(
                f"The conversations cannot be written to '{out}' ({reason}): give another file."
            ) from error
    _show(written, out)


def _author(images: Sequence[CodedImage], seed: int, endpoint: str | None, model: str | None) -> Author:
    if endpoint is None or model is None:
        from medsight_core.data.converse_by_template import TemplateAuthor

        return TemplateAuthor(images, seed)
    from medsight_core.cli.converse_endpoint import Endpoint
    from medsight_core.data.converse_by_model import ModelAuthor

    return ModelAuthor(images, Endpoint(endpoint, model), seed)


def _show(written: Written, out: Path) -> None:
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right")
    share = f"{written.lacking / written.requests:.0%}" if written.requests else "0%"
    for number, what in (
        (written.conversations, "conversations written"),
        (written.turns, "turns"),
        (written.requests, "requests"),
        (written.lacking, f"of them ask for something absent ({share})"),
        (written.masks, "masks"),
        (written.kept, "conversations were there already"),
        (written.left_out, "left out, as no reply could be used or there was nothing to ask for"),
    ):
        table.add_row(str(number), what)
    console.print(table)
    console.print(str(out), style="dim", markup=False, soft_wrap=True)
