"""``medsight evaluate``: a model against a published benchmark, by the authors' scorer and by ours."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from medsight_core.cli.failures import guarded

if TYPE_CHECKING:
    from medsight_core.evaluation import tables

console = Console(highlight=False)


@guarded
def evaluate(
    benchmark: Annotated[
        str,
        typer.Argument(
            help="diagseg, mecovqa-g, vqa-rad, slake, pathvqa, omnimedvqa, mmmu-med or biomedparse.",
            metavar="BENCHMARK",
        ),
    ],
    data: Annotated[Path, typer.Option(help="Folder of the benchmark, laid out as docs/evaluation.md shows.")],
    model: Annotated[Path, typer.Option(help="Folder of the model.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for replies and reports. A stopped run goes on from it.")
    ],
    limit: Annotated[
        int | None, typer.Option(min=1, help="Ask so many questions only, spread over the benchmark.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures that are looked at together.")] = 8,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; cuda where there is one when left out.")] = None,
    bits: Annotated[
        int | None, typer.Option(help="8 or 4: keep the language model in so many bits, on cpu; whole when left out.")
    ] = None,
    filtered: Annotated[
        Path | None,
        typer.Option(help="For diagseg: the authors' shorter list, as records with qa_id or one id a line."),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave records out that cannot be used, and count them.")
    ] = False,
    tolerance: Annotated[float, typer.Option(min=0, help="Of the surface Dice, in pixels of each picture.")] = 2.0,
    repetition_penalty: Annotated[
        float, typer.Option(min=1, help="On words that a reply has already; the authors use 1.2.")
    ] = 1.0,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest reply in tokens; the model's own limit when left out.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the bootstrap intervals.")] = 0,
) -> None:
    """Score a model on a benchmark, by the authors' scorer and by ours side by side.

    Writes results.json, results.md, scores.jsonl and report.html beside the model's replies.
    """
    from medsight_core.cli.progress import progress

    with progress() as phase:
        phase("Starting")
        import torch
        from transformers.utils.logging import disable_progress_bar

        from medsight_core.evaluation import tables
        from medsight_core.evaluation.predict import Options
        from medsight_core.evaluation.report import write_report
        from medsight_core.evaluation.run import Settings, evaluate

        disable_progress_bar()  # ours is enough
        # What it warns of, that the penalty sees the reply only, is what the authors do.
        warnings.filterwarnings("ignore", message="Passing `repetition_penalty`")
        settings = Settings(
            limit=limit,
            batch_size=batch_size,
            device=device or ("cuda" if torch.cuda.is_available() and bits is None else "cpu"),
            bits=bits,
            filtered=filtered,
            skip_bad=skip_bad,
            tolerance=tolerance,
            seed=seed,
            options=Options(repetition_penalty, max_new_tokens),
        )
        result = evaluate(benchmark, data, model, out, settings, phase)
        phase("Writing the report")
        written = write_report(result, out)
    for name, rows in result.sets.items():
        _show(f"{result.benchmark.title}, {name}", tables.table(rows, result.name))
    if result.bad:
        console.print(f"{len(result.bad)} records were left out: see {written[1]}", markup=False, soft_wrap=True)
    for path in written:
        console.print(str(path), style="dim", markup=False, soft_wrap=True)


def _show(title: str, shown: tables.Table) -> None:
    """The columns over all cases; the reports hold the others."""
    from medsight_core.evaluation.tables import SCORERS

    last = [column for column in ("mean", "all cases") if column in shown.columns]
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    for heading in ("", "", *last):
        table.add_column(heading, no_wrap=True)
    for line in shown.lines:
        style = {"ours": "bold", "paper": "dim italic"}.get(line.scorer, "")
        table.add_row(SCORERS[line.scorer], line.label, *line.cells[-len(last) :], style=style)
    console.print(table)
