"""``medsight models``: the versions that training from corrections made, and which of them is served.

Works on the studies folder; a server that is running answers its next question with what is chosen here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from medsight_core.cli.failures import guarded
from medsight_core.errors import InputError

if TYPE_CHECKING:
    from medsight_core.engine.promotion import Score
    from medsight_core.engine.registry import Registry

app = typer.Typer(no_args_is_help=True)
console = Console(highlight=False)

StudiesOption = Annotated[Path, typer.Option(help="Studies folder that the versions belong to.")]
ModelOption = Annotated[
    Path | None, typer.Option(help="Folder of the base model, as of 'medsight serve'; the shipped one when left out.")
]
VersionArgument = Annotated[str, typer.Argument(help="Version, such as v2, or base.")]


@app.callback()
def _group() -> None:
    """See, serve and compare the versions that training from corrections made."""


@app.command("list")
@guarded
def list_versions(studies: StudiesOption = Path("studies"), model: ModelOption = None) -> None:
    """List all versions; an arrow marks the one that is served."""
    registry = _registry(studies, model)
    current = registry.current()
    table = Table(
        "", "version", "from", "made", "new cases", "reference set", "may be served", box=None, pad_edge=False
    )
    for version in registry.versions():
        measured = version.evaluation
        table.add_row(
            "→" if version.name == current else "",
            version.name,
            version.parent,
            version.created,
            _score(measured.held_out) if measured else "",
            _score(measured.reference) if measured else "",
            "yes" if registry.verdict(version.name).allowed else "no",
        )
    console.print(table)
    console.print(str(registry.root), style="dim", markup=False, soft_wrap=True)


@app.command()
@guarded
def promote(version: VersionArgument, studies: StudiesOption = Path("studies"), model: ModelOption = None) -> None:
    """Serve a version, if Dice on new cases rose and on the reference set fell by no more than 0.02."""
    verdict = _registry(studies, model).promote(version)
    if not verdict.allowed:
        raise InputError(f"{version} is not promoted. {verdict.reason}")
    console.print(f"{version} is served from the next question on. {verdict.reason}", markup=False, soft_wrap=True)


@app.command()
@guarded
def rollback(
    to: Annotated[
        str | None, typer.Option(help="Version to serve again; the one that was served before when left out.")
    ] = None,
    studies: StudiesOption = Path("studies"),
    model: ModelOption = None,
) -> None:
    """Serve an earlier version again; its answers come back bit for bit."""
    served = _registry(studies, model).rollback(to)
    console.print(f"{served} is served again from the next question on.", markup=False, soft_wrap=True)


@app.command()
@guarded
def diff(
    one: VersionArgument, other: VersionArgument, studies: StudiesOption = Path("studies"), model: ModelOption = None
) -> None:
    """Tell what differs between two versions: settings, weights by part, figures."""
    from medsight_core.model.difference import config_difference, weight_difference

    registry = _registry(studies, model)
    folders = [registry.folder(name) for name in (one, other)]
    for name, (first, second) in config_difference(*folders).items():
        console.print(f"{name}: {first!r} → {second!r}", markup=False, soft_wrap=True)
    table = Table("part", "tensors", "parameters", "changed", "distance", box=None, pad_edge=False)
    for part in weight_difference(*folders):
        share = part.changed / part.parameters if part.parameters else 0.0
        table.add_row(part.part, str(part.tensors), str(part.parameters), f"{share:.1%}", f"{part.distance:.4f}")
    console.print(table)
    for name in (one, other):
        if measured := registry.version(name).evaluation:
            figures = f"new cases {_score(measured.held_out)}, reference set {_score(measured.reference)}"
            console.print(f"{name}: Dice on {figures}", markup=False, soft_wrap=True)


def _registry(studies: Path, model: Path | None) -> Registry:
    from medsight_core.cli.app import default_model
    from medsight_core.engine.registry import Registry

    if not studies.is_dir():
        raise InputError(f"There is no studies folder {studies}: name the one that is served with --studies.")
    return Registry.of_studies(studies, model or default_model())


def _score(score: Score) -> str:
    return f"{score.before:.3f} → {score.after:.3f} (n = {score.n})"
