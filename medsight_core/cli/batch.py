"""``medsight batch``: one question about every study in a folder.

Each study's answer is kept as soon as it is there (`medsight_core.cli.batch_results`), a study that fails costs nobody
else's answer, and what is there already is not asked again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Iterator

import typer
from rich.console import Console

from medsight_core.cli import failures
from medsight_core.cli.batch_results import FAILED, SUMMARY_KINDS, Results, Row
from medsight_core.cli.failures import guarded
from medsight_core.errors import InputError, MedSightError
from medsight_core.protocol import SCOPE_PLANE, SCOPE_RANGE, SCOPE_VOLUME, Question, is_range, parse_question

if TYPE_CHECKING:
    from medsight_core.engine.engine import Engine
    from medsight_core.imaging.studies import Study

# Where the phases of a question begin, as a share of all of it; roughly, for a bar.
_PHASES = {"encode": (0.0, 0.4), "generate": (0.4, 0.8), "decode": (0.8, 1.0)}

Show = Callable[[float], None]  # how many studies are done, with what is done of the one at hand


@guarded
def batch(
    folder: Annotated[Path, typer.Argument(help="Folder with NIfTI, NRRD or MetaImage files, or DICOM series.")],
    prompt: Annotated[str, typer.Argument(help="The question, such as 'Outline the right lung.'")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the answers and the summary.")] = Path("answers"),
    plane: Annotated[
        str | None, typer.Option(help="Ask about one plane, such as axial:42, or some, axial:10-20.")
    ] = None,
    summary: Annotated[str, typer.Option(help="Format of the summary: csv or jsonl.")] = "csv",
    model: Annotated[
        Path | None, typer.Option(help="Folder of the model; the small model that ships with MedSIGHT when left out.")
    ] = None,
    bits: Annotated[
        int | None,
        typer.Option(help="8 or 4: keep the language model in so many bits, to take less memory; whole when left out."),
    ] = None,
    modality: Annotated[str | None, typer.Option(help="CT, MR, US, XR or OT; guessed when left out.")] = None,
    window: Annotated[str | None, typer.Option(help="Window preset, such as lung; chosen when left out.")] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Least probability, 0 to 1, that counts as seen; the model's own when left out."),
    ] = None,
) -> None:
    """Ask one question about every study in a folder; started again, it goes on where it was.

    Writes the files of 'medsight ask' into a folder a study, and a summary. Ends with 1 when a study failed.
    """
    from medsight_core.cli.app import default_model
    from medsight_core.imaging.studies import find_studies
    from medsight_core.imaging.volume import check_modality
    from medsight_core.model.identity import model_identity
    from medsight_core.model.loading import read_config
    from medsight_core.model.quantize import check_bits

    if summary not in SUMMARY_KINDS:
        raise InputError(f"Unknown format {summary!r} of the summary: use one of {', '.join(SUMMARY_KINDS)}.")
    scope = SCOPE_VOLUME if plane is None else SCOPE_RANGE if is_range(plane) else SCOPE_PLANE
    question = parse_question(
        {
            "prompt": prompt,
            "scope": scope,
            "plane": plane,
            "modality": None if modality is None else check_modality(modality),
            "window": window,
            "threshold": threshold,
        }
    )
    check_bits(bits)
    studies = find_studies(folder, leave_out=[out])
    model = model or default_model()
    read_config(model)  # says what is wrong with a folder that is no model
    console = Console(highlight=False)
    results, rows = Results(out, studies), list[Row]()
    by = {"model": model_identity(model), **({} if bits is None else {"bits": bits})}
    with results.open({"question": question.to_params(), **by}):
        known = {study.name: row for study in studies if (row := results.known(study))}
        engine = _load(model, bits) if len(known) < len(studies) else None
        try:
            with _bar(len(studies)) as show:
                for row in _answers(engine, question, studies, known, results, show):
                    rows.append(row)
                    _tell(console, row)
        finally:  # also when it is stopped: what is known by then
            written = results.summarise(rows, summary)
            console.print(str(written), style="dim", markup=False, soft_wrap=True)
    failed = sum(row.outcome == FAILED for row in rows)
    if failed:
        raise MedSightError(
            f"{failed} of {len(rows)} studies failed: the summary says why, and the same command tries them again."
        )


def _load(model: Path, bits: int | None) -> Engine:
    from transformers.utils.logging import disable_progress_bar

    from medsight_core.engine.engine import Engine

    disable_progress_bar()  # ours is enough
    return Engine.load(model, bits=bits)


def _answers(
    engine: Engine | None,
    question: Question,
    studies: Sequence[Study],
    known: Mapping[str, Row],
    results: Results,
    show: Show,
) -> Iterator[Row]:
    """A row a study, in their order. known: those that need not be asked; with all of them no engine is needed."""
    for done, study in enumerate(studies):
        show(done)
        if engine is None or study.name in known:
            yield known[study.name]
            continue
        try:
            yield _answer(engine, question, study, results, lambda part, done=done: show(done + part))  # type: ignore[misc]
        except MedSightError as error:
            yield Row(study.name, FAILED, error=str(error))
        except MemoryError:
            yield Row(study.name, FAILED, error="There is not enough memory for this image: crop or downsample it.")
        except Exception as error:  # whatever it is, the other studies have nothing to do with it
            what = " ".join(f"{type(error).__name__}: {error}".split())
            yield Row(study.name, FAILED, error=f"Something unforeseen went wrong ({what}): ask about it alone.")
    show(len(studies))


def _answer(engine: Engine, question: Question, study: Study, results: Results, show: Show) -> Row:
    from medsight_core.imaging.volume import read_volume

    def report(phase: str, fraction: float) -> None:
        begin, end = _PHASES[phase]
        show(begin + (end - begin) * fraction)

    begun = time.monotonic()
    stamp = study.stamp()  # before reading: what changes meanwhile is asked again
    volume = read_volume(study.path, question.modality)
    answer = engine.ask(
        volume,
        question.prompt,
        scope=question.scope,
        plane=question.plane,
        window=question.window,
        threshold=question.threshold,
        progress=report,
    )
    engine.cache.clear()  # nobody asks about this image again
    engine.memories.clear()
    return results.keep(study, stamp, volume, answer, time.monotonic() - begun)


def _tell(console: Console, row: Row) -> None:
    if row.outcome == FAILED:
        failures.say(f"{row.study}: {row.error}")
    else:
        console.print(f"{row.study}: {row.answer}", markup=False, soft_wrap=True)


@contextmanager
def _bar(studies: int) -> Iterator[Show]:
    """A bar over all studies on stderr, which disappears at the end; nothing where nobody watches."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    if not failures.errors.is_terminal:
        yield lambda done: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    # What goes to a file must not be drawn above the bar.
    own = sys.stdout.isatty()
    with Progress(*columns, console=failures.errors, transient=True, redirect_stdout=own) as progress:
        task = progress.add_task("", total=studies)

        def show(done: float) -> None:
            progress.update(task, completed=done, description=f"{int(done)} of {studies} studies")

        yield show
