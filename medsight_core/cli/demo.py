"""``medsight demo``: real images, a real server in a process of its own, real questions over HTTP.

It is the path that Slicer takes, so a demo that ends well says that the installation works. Knows the questions and
what must come of them; the samples, the server and the client are those that everybody uses.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from medsight_core.cli import output
from medsight_core.cli.progress import Phase, progress
from medsight_core.errors import ServerError
from medsight_core.protocol import DEFAULT_PORT

if TYPE_CHECKING:
    from medsight_core.answer import Answer
    from medsight_core.server.running import RunningServer


@dataclass(frozen=True)
class Question:
    """One question of the demo.

    sample: id of the image it is about.
    prompt: the question.
    found, absent: canonical names that the answer must outline, or must call not seen.
    folder: where below the output folder the answer is kept; empty when it is only shown.
    """

    sample: str
    prompt: str
    found: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    folder: str = ""


QUESTIONS = (
    Question(
        sample="ct-chest",
        prompt="Outline the right lung and the left lung.",
        found=("right lung", "left lung"),
        folder="ct",
    ),
    Question(
        sample="mr-brain",
        prompt="Outline the left thalamus and the right thalamus.",
        found=("left thalamus", "right thalamus"),
        folder="mr",
    ),
    Question(sample="mr-brain", prompt="Is there a liver?", absent=("liver",)),
)


def run(studies: Path, model: Path, out: Path, port: int | None, once: bool, console: Console) -> None:
    """Fetch the samples into ``studies``, serve them, ask every question, and keep the answers below ``out``.

    port: None takes `DEFAULT_PORT`, or a free one when the server stops after the questions anyway.
    once: stop after the questions; otherwise serve until Ctrl+C, which then is no error.
    Raises NotFoundError when a sample's package is missing, ServerError when the server or an answer is wrong, and what
    `Settings` and `running_server` raise.
    """
    from medsight_core.server.running import running_server
    from medsight_core.server.settings import Settings

    images = _fetch(studies, console)
    if port is None:
        port = 0 if once else DEFAULT_PORT
    settings = Settings(studies=studies, model=model, port=port)
    with ExitStack() as stack:
        with progress() as phase:
            phase("Starting the server")
            server = stack.enter_context(running_server(settings))
            table, mistakes = _ask_all(server, images, out, phase)
        console.print(table)
        console.print(f"The answers' files are in {out}/", markup=False)
        if mistakes:
            raise ServerError(f"Not every answer is right: {'; '.join(mistakes)}. Try another model with --model.")
        if not once:
            _keep_serving(server, console)


def _fetch(studies: Path, console: Console) -> dict[str, Path]:
    from sample_data.fetch import fetch

    said: list[str] = []
    with progress() as phase:
        phase("Fetching the samples")
        images = fetch(studies, report=said.append)
    for line in said:
        console.print(line, style="dim", markup=False)
    return images


def _ask_all(server: RunningServer, images: dict[str, Path], out: Path, phase: Phase) -> tuple[Table, list[str]]:
    """A table of the questions with their answers, and a phrase for each thing that is wrong with these."""
    from medsight_core.client import MedSightClient
    from medsight_core.imaging.volume import read_volume

    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("image", "question", "answer", "seconds"):
        table.add_column(heading, justify="right" if heading == "seconds" else "left")
    mistakes = []
    with MedSightClient(server.address, server.token) as client:
        for question in QUESTIONS:
            phase(f"Asking {question.sample}: {question.prompt}")
            begin = time.monotonic()
            reply = client.ask(question.prompt, image=question.sample)
            seconds = time.monotonic() - begin
            if question.folder:
                phase(f"Drawing {question.sample}")
                volume = read_volume(images[question.sample])
                output.save(out / question.folder, volume, reply.answer, reply.segmentation)
            mistakes += _mistakes(question, reply.answer)
            table.add_row(question.sample, question.prompt, output.sentence(reply.answer), f"{seconds:.1f}")
    return table, mistakes


def _mistakes(question: Question, answer: Answer) -> list[str]:
    named = {region.name for region in answer.regions}
    missed = [f"{name} is not outlined on {question.sample}" for name in question.found if name not in named]
    invented = [
        f"{name} is not called absent on {question.sample}"
        for name in question.absent
        if name in named or name not in answer.absent
    ]
    return missed + invented


def _keep_serving(server: RunningServer, console: Console) -> None:
    console.print(
        f"\nServing at  {server.address}\nToken       {server.token}\n\n"
        "In 3D Slicer open the module MedSIGHT, enter this address and token, choose a volume, and ask.\n"
        "Ctrl+C stops the server.",
        markup=False,
        soft_wrap=True,
    )
    try:
        code = server.process.wait()
    except KeyboardInterrupt:
        return
    raise ServerError(f"The server stopped by itself with exit code {code}: start it again with 'medsight serve'.")
