"""``medsight preannotate``: one question about every study of a server, so that annotators begin with an answer."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Callable

import typer
from rich.console import Console

from medsight_core.cli.failures import ctrl_c, guarded, say
from medsight_core.errors import CancelledError, NotFoundError
from medsight_core.protocol import BATCH_IMAGES, TOKEN_ENVIRONMENT

if TYPE_CHECKING:
    from medsight_core.client.batch import Batch

console = Console(highlight=False)
_EVERY_SECONDS = 0.5  # between two looks at how far it is


@guarded
def preannotate(
    prompt: Annotated[str, typer.Argument(help="The question, such as 'Outline the lungs.'")],
    server: Annotated[str, typer.Option(help="Address of the running server.")],
    token: Annotated[
        str | None,
        typer.Option(
            envvar=TOKEN_ENVIRONMENT,
            help="The server's token. Better in the environment: other users can see a command's options.",
        ),
    ] = None,
    images: Annotated[str, typer.Option(help=f"Which studies: {', '.join(BATCH_IMAGES)}.")] = BATCH_IMAGES[0],
    anew: Annotated[bool, typer.Option("--anew", help="Ask again where this answer is there already.")] = False,
) -> None:
    """Ask a server about all its studies that nobody has labelled; go on where it was stopped.

    The answers wait in the worklist, and nothing is learned from them until somebody hands in what he made of them.
    """
    from medsight_core.cli.progress import progress
    from medsight_core.client import Annotator

    with Annotator("preannotate", server, token) as client, progress() as phase, ctrl_c() as cancel:
        batch = client.preannotate(prompt, images, anew)
        while not batch.ended:
            phase(f"{batch.done} of {batch.total} studies{_left(batch.eta)}", batch.done / max(1, batch.total))
            if cancel.wait(_EVERY_SECONDS):
                with suppress(NotFoundError):  # it ended at this moment
                    client.stop_preannotation()
                batch = _until_ended(client.preannotation)
                break
            batch = client.preannotation()
    console.print(
        f"{batch.answered} of {batch.total} studies pre-annotated, {batch.skipped} were already, "
        f"{len(batch.failed)} cannot be."
    )
    for image, why in batch.failed:
        console.print(f"{image}: {why}", markup=False, soft_wrap=True)
    if batch.status == "STOPPED":
        say("It was stopped: run the same command again to go on.")
        raise typer.Exit(CancelledError.exit_code)


def _until_ended(look: Callable[[], Batch]) -> Batch:
    while not (batch := look()).ended:
        time.sleep(_EVERY_SECONDS / 5)
    return batch


def _left(eta: float | None) -> str:
    """How long it will take, in words."""
    if eta is None:
        return ""
    return f", {eta / 60:.0f} min left" if eta >= 90 else f", {eta:.0f} s left"
