"""The commands of ``medsight`` and their options.

Each command checks the request before anything slow happens, does its work through the same doors that everybody else
has (`Engine`, `MedSightClient`, the server), and leaves the rest to its neighbours in this package.
"""

from __future__ import annotations

import importlib.util
import io
import json
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

import medsight_core
from medsight_core.cli import convert, data, failures, models, train
from medsight_core.cli.batch import batch
from medsight_core.cli.doctor import doctor
from medsight_core.cli.evaluate import evaluate
from medsight_core.cli.failures import guarded
from medsight_core.cli.options import BitsOption, ModelOption
from medsight_core.cli.preannotate import preannotate
from medsight_core.cli.view import DEFAULT_VIEW_PORT
from medsight_core.errors import InputError, MedSightError, ServerError
from medsight_core.protocol import (
    DEFAULT_PORT,
    EXTENSION_SEGMENTATION,
    PACKED_EXTENSIONS,
    SCOPE_PLANE,
    SCOPE_RANGE,
    SCOPE_VOLUME,
    TOKEN_ENVIRONMENT,
    Question,
    is_range,
    parse_question,
)

if TYPE_CHECKING:
    from medsight_core.answer import Answer
    from medsight_core.cli.progress import Phase
    from medsight_core.client.events import Event
    from medsight_core.imaging.volume import Volume

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False, add_completion=False)
console = Console(highlight=False)

_STEPS = {
    "queued": "Waiting for the server's other questions",
    "encode": "Looking at the image",
    "generate": "Writing the sentence",
    "decode": "Outlining the regions",
}

StudiesOption = Annotated[Path, typer.Option(help="Folder with the images that may be asked by id.")]
TokenOption = Annotated[
    str | None,
    typer.Option(
        envvar=TOKEN_ENVIRONMENT,
        help="The server's token. Better in the environment: other users can see a command's options.",
    ),
]


def main() -> None:
    """Entry point of the ``medsight`` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # an answer may hold letters that this terminal does not know
    app()


@app.callback()
def _options(debug: Annotated[bool, typer.Option("--debug", help="Show where an error arose.")] = False) -> None:
    """Ask a medical volume in plain words: a sentence, named segments, a picture. Research use only."""
    failures.debug = debug


@app.command()
@guarded
def ask(
    image: Annotated[Path, typer.Argument(help="NIfTI, NRRD or MetaImage file, or a folder with a DICOM series.")],
    prompt: Annotated[str, typer.Argument(help="The question, such as 'Outline the right lung.'")],
    plane: Annotated[
        str | None, typer.Option(help="Ask about one plane, such as axial:42, or some, axial:10-20.")
    ] = None,
    volume: Annotated[bool, typer.Option("--volume", help="Ask about the whole volume (the default).")] = False,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the answer's files.")] = Path("answer"),
    server: Annotated[str | None, typer.Option(help="Address of a running server; answers here when left out.")] = None,
    token: TokenOption = None,
    model: ModelOption = None,
    bits: BitsOption = None,
    modality: Annotated[str | None, typer.Option(help="CT, MR, US, XR or OT; guessed when left out.")] = None,
    window: Annotated[str | None, typer.Option(help="Window preset, such as lung; chosen when left out.")] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Least probability, 0 to 1, that counts as seen; the model's own when left out."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Ask one question about one image.

    Prints the answer and writes answer.json, segmentation.seg.nrrd and overlay.png.
    """
    from medsight_core.cli import output
    from medsight_core.cli.progress import progress

    if plane is not None and volume:
        raise InputError("Both --plane and --volume are given: choose one.")
    _check_model(server, model, bits)
    scope = SCOPE_VOLUME if plane is None else SCOPE_RANGE if is_range(plane) else SCOPE_PLANE
    question = parse_question(
        {
            "prompt": prompt,
            "scope": scope,
            "plane": plane,
            "modality": modality,
            "window": window,
            "threshold": threshold,
        }
    )
    with progress() as phase:
        phase("Reading the image")
        from medsight_core.imaging.volume import read_volume

        asked = read_volume(image, modality)
        segmentation = None
        if server is None:
            answer = _ask_here(asked, question, model or default_model(), bits, phase)
        else:
            answer, segmentation = _ask_server(image, asked, question, server, token, phase)
        phase("Writing the answer")
        written = output.save(out, asked, answer, segmentation)
    if as_json:
        print(json.dumps(answer.to_json(), indent=2))
    else:
        output.show(console, answer)
        for path in written:
            console.print(str(path), style="dim", markup=False, soft_wrap=True)


@app.command()
@guarded
def serve(
    studies: StudiesOption,
    model: ModelOption = None,
    bits: BitsOption = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; anything but a loopback address lets other machines in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = DEFAULT_PORT,
    token: TokenOption = None,
    training_data: Annotated[
        Path | None, typer.Option(help="Folder whose folders hold data prepared for the stages of training.")
    ] = None,
    reserve: Annotated[
        float | None,
        typer.Option(help="MB of memory to keep free; what would take of it is refused until there is more."),
    ] = None,
    replicas: Annotated[
        int,
        typer.Option(
            help="Processes that hold the model and answer at the same time; more than 1 needs 'medsight[scale]'."
        ),
    ] = 1,
    stop_with_input: Annotated[
        bool, typer.Option("--stop-with-input", help="Stop when standard input ends, for programs that start a server.")
    ] = False,
) -> None:
    """Serve a folder of images to Slicer and other clients until Ctrl+C."""
    from medsight_core.server.serve import serve as run
    from medsight_core.server.settings import DEFAULT_RESERVE, Settings

    settings = Settings(
        studies=studies,
        model=model or default_model(),
        bits=bits,
        host=host,
        port=port,
        token=token or "",
        training_data=training_data,
        reserve_bytes=DEFAULT_RESERVE if reserve is None else round(reserve * 1e6),
        replicas=replicas,
    )
    with suppress(KeyboardInterrupt):  # the way to stop it
        run(settings, stop_with_input=stop_with_input)


@app.command()
@guarded
def demo(
    once: Annotated[bool, typer.Option("--once", help="Stop after the questions, do not keep serving.")] = False,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the answers' files.")] = Path("demo"),
    studies: StudiesOption = Path("studies"),
    model: ModelOption = None,
    port: Annotated[
        int | None, typer.Option(help=f"Port to listen on; {DEFAULT_PORT}, or a free one with --once, when left out.")
    ] = None,
) -> None:
    """Ask a real chest CT and a real brain MRI through a real server, then keep serving."""
    from medsight_core.cli.demo import run

    run(studies, model or default_model(), out, port, once, console)


@app.command()
@guarded
def view(
    server: Annotated[
        str | None, typer.Option(help="Address of a running server; one of its own answers when left out.")
    ] = None,
    token: TokenOption = None,
    studies: StudiesOption = Path("studies"),
    model: ModelOption = None,
    bits: BitsOption = None,
    port: Annotated[int, typer.Option(help="Port of the page; 0 takes a free one.")] = DEFAULT_VIEW_PORT,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Ask about studies in a page in the browser, for those without 3D Slicer, until Ctrl+C."""
    from medsight_core.cli.view import run

    _check_model(server, model, bits)
    run(server, token, studies, model or default_model(), bits, port, browser, console)


app.command()(batch)
app.add_typer(train.app, name="train")
app.add_typer(data.app, name="data")
app.add_typer(models.app, name="models")
app.command()(convert.convert)
app.command()(evaluate)
app.command()(doctor)
app.command()(preannotate)


@app.command()
@guarded
def version() -> None:
    """Print the version."""
    print(medsight_core.__version__)


def default_model() -> Path:
    """Folder of the model that ships with MedSIGHT."""
    package = importlib.util.find_spec("sample_data")
    if package is None or not package.submodule_search_locations:
        raise InputError("The model that ships with MedSIGHT is not installed: give a model's folder with --model.")
    return Path(package.submodule_search_locations[0]) / "demo_model"


def _check_model(server: str | None, model: Path | None, bits: int | None) -> None:
    for option, value in (("--model", model), ("--bits", bits)):
        if server is not None and value is not None:
            raise InputError(f"The server answers with its own model: leave out {option}, or --server to answer here.")
    if bits is not None:
        from medsight_core.model.bits import check_bits

        check_bits(bits)


def _ask_here(volume: Volume, question: Question, model: Path, bits: int | None, phase: Phase) -> Answer:
    phase("Loading the model")
    from transformers.utils.logging import disable_progress_bar

    from medsight_core.engine.engine import Engine

    disable_progress_bar()  # ours is enough

    def report(step: str, fraction: float) -> None:
        phase(_STEPS.get(step, step), fraction)

    return Engine.load(model, bits=bits).answer(volume, question, report, phase.say)


def _ask_server(
    image: Path, asked: Volume, question: Question, server: str, token: str | None, phase: Phase
) -> tuple[Answer, bytes | None]:
    """The answer with its masks; from an older server without them, and the label file that it sent."""
    from medsight_core.client import MedSightClient, Text

    def show(event: Event) -> None:
        if isinstance(event, Text):
            phase.say(event.text)
        else:
            ahead = f" ({event.ahead} ahead)" if event.ahead else ""
            phase(_STEPS.get(event.phase, event.phase) + ahead, event.done)

    with MedSightClient(server, token) as client:
        phase("Sending the image")
        codec = client.codec()
        session = client.upload_voxels(asked.voxels, asked.affine) if codec else client.upload(image)
        try:
            phase("Waiting for the answer")
            with failures.ctrl_c() as cancel:
                reply = client.ask(
                    question.prompt,
                    session=session,
                    scope=question.scope,
                    plane=question.plane,
                    modality=asked.modality if codec else question.modality,
                    window=question.window,
                    threshold=question.threshold,
                    result_extension=PACKED_EXTENSIONS.get(codec, EXTENSION_SEGMENTATION),
                    on_event=show,
                    cancel=cancel,
                )
        finally:
            with suppress(MedSightError):  # sessions expire by themselves; what matters is why there is no answer
                client.delete_session(session)
    masks = reply.masks() if codec else None
    if masks is None:
        return reply.answer, reply.segmentation
    if masks.shape != asked.shape:
        raise ServerError("The server's masks do not lie on this image's voxels: check that it is of this version.")
    whole = {mask.label: mask.on(masks.shape) for mask in masks.masks}
    regions = tuple(replace(region, mask=whole[region.label]) for region in reply.answer.regions)
    return replace(reply.answer, regions=regions), None
