"""``medsight batch``: one question about every study in a folder.

Each study's answer is kept as soon as it is there (`medsight_core.cli.batch_results`), a study that fails costs nobody
else's answer, and what is there already is not asked again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from medsight_core.cli import failures
from medsight_core.cli.batch_asker import Asker, Show, answers_at_once
from medsight_core.cli.batch_results import FAILED, SUMMARY_KINDS, Results, Row
from medsight_core.cli.failures import guarded
from medsight_core.cli.options import BitsOption, ModelOption
from medsight_core.errors import InputError, MedSightError
from medsight_core.protocol import SCOPE_PLANE, SCOPE_RANGE, SCOPE_VOLUME, is_range, parse_question

if TYPE_CHECKING:
    from medsight_core.imaging.studies import Study


@guarded
def batch(
    folder: Annotated[Path, typer.Argument(help="Folder with NIfTI, NRRD or MetaImage files, or DICOM series.")],
    prompt: Annotated[str, typer.Argument(help="The question, such as 'Outline the right lung.'")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the answers and the summary.")] = Path("answers"),
    plane: Annotated[
        str | None, typer.Option(help="Ask about one plane, such as axial:42, or some, axial:10-20.")
    ] = None,
    summary: Annotated[str, typer.Option(help="Format of the summary: csv or jsonl.")] = "csv",
    model: ModelOption = None,
    bits: BitsOption = None,
    modality: Annotated[str | None, typer.Option(help="CT, MR, US, XR or OT; guessed when left out.")] = None,
    window: Annotated[str | None, typer.Option(help="Window preset, such as lung; chosen when left out.")] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Least probability, 0 to 1, that counts as seen; the model's own when left out."),
    ] = None,
    replicas: Annotated[
        int, typer.Option(help="Studies asked about at the same time; more than 1 needs 'medsight[scale]'.")
    ] = 1,
) -> None:
    """Ask one question about every study in a folder; started again, it goes on where it was.

    Writes the files of 'medsight ask' into a folder a study, and a summary. Ends with 1 when a study failed.
    """
    from medsight_core.cli.app import default_model
    from medsight_core.imaging.studies import find_studies
    from medsight_core.imaging.volume import check_modality
    from medsight_core.model.bits import check_bits
    from medsight_core.model.identity import model_identity
    from medsight_core.model.loading import read_config

    if summary not in SUMMARY_KINDS:
        raise InputError(f"Unknown format {summary!r} of the summary: use one of {', '.join(SUMMARY_KINDS)}.")
    if replicas != 1:
        from medsight_core.server.replicas import check_count

        check_count(replicas)
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
        try:
            with _bar(len(studies)) as show:
                found = _answers(Asker(model, question, results, bits=bits), studies, known, replicas, show)
                for row in found:
                    rows.append(row)
                    _tell(console, row)
        finally:  # also when it is stopped: what is known by then
            order = {study.name: number for number, study in enumerate(studies)}
            written = results.summarise(sorted(rows, key=lambda row: order[row.study]), summary)
            console.print(str(written), style="dim", markup=False, soft_wrap=True)
    failed = sum(row.outcome == FAILED for row in rows)
    if failed:
        raise MedSightError(
            f"{failed} of {len(rows)} studies failed: the summary says why, and the same command tries them again."
        )


def _answers(
    asker: Asker, studies: Sequence[Study], known: Mapping[str, Row], replicas: int, show: Show
) -> Iterator[Row]:
    """A row a study, in their order; from several replicas as they come. known: those that need not be asked."""
    unknown = [study for study in studies if study.name not in known]
    if min(replicas, len(unknown)) > 1:
        yield from known.values()
        yield from answers_at_once(asker, unknown, min(replicas, len(unknown)), lambda done: show(len(known) + done))
        return
    for done, study in enumerate(studies):
        show(done)
        if study.name in known:
            yield known[study.name]
        else:
            yield asker.answer(study, lambda part, done=done: show(done + part))  # type: ignore[misc]
    show(len(studies))


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
