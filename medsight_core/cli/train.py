"""``medsight train``: one stage, or all of them, with a bar that tells how long it will take."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Iterator, Mapping

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from medsight_core.cli.failures import errors, guarded
from medsight_core.errors import InputError

if TYPE_CHECKING:
    from medsight_core.training.stages import Stage

app = typer.Typer(no_args_is_help=True)
console = Console(highlight=False)

UNSEEN_SEED = 2_000_000_011  # of volumes; the slices' seeds are far from it

PresetOption = Annotated[
    str, typer.Option(help="'paper' for the paper's numbers, 'demo' for the shipped model's, 'smoke' for minutes.")
]
OutOption = Annotated[Path, typer.Option("--out", "-o", help="Folder for checkpoints, figures and the model.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")]
OfficialOption = Annotated[
    bool, typer.Option("--official", help="The authors' losses and labels, with the faults that we leave behind.")
]


@app.callback()
def _group() -> None:
    """Train MedSIGHT, stage by stage (start it with torchrun for several processes)."""


def _stage(name: str, number: int, what: str) -> None:
    """Register the command of one stage."""

    @app.command(name, help=f"Stage {number}: {what}.")
    @guarded
    def command(
        model: Annotated[Path, typer.Option(help="Folder of the model to start from.")],
        data: Annotated[Path, typer.Option(help="BiomedParse meta file, or conversations, as the stage needs.")],
        out: OutOption,
        root: Annotated[
            Path | None, typer.Option(help="Folder that the conversations' files start from; their own when left out.")
        ] = None,
        preset: PresetOption = "paper",
        official: OfficialOption = False,
        resume: ResumeOption = False,
        steps: Annotated[int | None, typer.Option(help="Optimiser steps, instead of the preset's epochs.")] = None,
        batch: Annotated[int | None, typer.Option(help="Samples a step, over all processes.")] = None,
        learning_rate: Annotated[float | None, typer.Option("--lr", help="Peak learning rate.")] = None,
        change: Annotated[
            list[str] | None,
            typer.Option("--set", help="Any other setting of the recipe or the task, such as no_object_weight=0.2."),
        ] = None,
        fsdp: Annotated[
            bool, typer.Option("--fsdp", help="Spread the model over torchrun's processes: for one that fits no GPU.")
        ] = False,
    ) -> None:
        from medsight_core.training.run import StageRun, run_stage
        from medsight_core.training.stages import find_stage

        stage = find_stage(name)
        given = {"steps": steps, "batch": batch, "learning_rate": learning_rate}
        changes = {key: str(value) for key, value in given.items() if value is not None} | _pairs(change or [])
        recipe, options = _settings(stage, preset, official, changes)
        run = StageRun(stage, model, data, out, recipe, options, official, fsdp, root)
        with _bar() as show:
            report = run_stage(
                run, resume, lambda done, count, last: show(f"Stage {number}, {name}", done / count, last)
            )  # fmt: skip
        _table({name: report})
        console.print(str(out / "model"), style="dim", markup=False, soft_wrap=True)


@app.command()
@guarded
def start(
    language: Annotated[Path, typer.Option(help="Folder of a pretrained language model, such as Qwen3-8B.")],
    tower: Annotated[Path, typer.Option(help="UniMed-CLIP's .pt file.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the model.")],
    classes: Annotated[int, typer.Option(help="Object classes of the data; BiomedParse has 17.")] = 17,
    vision_layer: Annotated[int, typer.Option(help="Hidden state of the tower that everything reads.")] = -2,
) -> None:
    """A model to start from: a pretrained language model with the codes in its vocabulary, and a pretrained tower."""
    from medsight_core.training.pretrained import pretrained_model
    from medsight_core.training.run import save_model

    if out.exists():
        raise InputError(f"'{out}' is there already: give another folder.")
    save_model(*pretrained_model(language, tower, classes, vision_layer), out)
    console.print(str(out), style="dim", markup=False, soft_wrap=True)


@app.command("start-small")
@guarded
def start_small(
    vision: Annotated[Path, typer.Option(help="Folder of the model whose tower, perceiver and codebook it gets.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the model.")],
    base: Annotated[str, typer.Option(help="Installed language model to stand on.")] = "smollm2-135m-instruct",
    rank: Annotated[int, typer.Option(help="Rank of the adapter on its linear layers.", min=1)] = 16,
    last_layers: Annotated[int | None, typer.Option(help="Adapt so many of its last layers; all if left out.")] = None,
) -> None:
    """A model to start from whose folder stays small: an installed language model with an adapter, a trained vision."""
    from medsight_core.training.pretrained import model_on_base
    from medsight_core.training.run import save_model

    if out.exists():
        raise InputError(f"'{out}' is there already: give another folder.")
    save_model(*model_on_base(base, vision, rank, 2 * rank, last_layers), out)
    console.print(str(out), style="dim", markup=False, soft_wrap=True)


@app.command("all")
@guarded
def all_stages(
    out: OutOption,
    preset: PresetOption = "paper",
    model: Annotated[Path | None, typer.Option(help="Folder of the model to start from.")] = None,
    regions: Annotated[Path | None, typer.Option(help="BiomedParse meta file, for stages 1 and 2.")] = None,
    descriptions: Annotated[
        Path | None,
        typer.Option(
            help="Conversations without masks, for stages 3 and 5; made up if left out, for models that are told "
            "detections."
        ),
    ] = None,
    grounded: Annotated[
        Path | None, typer.Option(help="Conversations with masks, for stages 4 and 5; made from --regions if left out.")
    ] = None,
    official: OfficialOption = False,
    resume: ResumeOption = False,
    seed: Annotated[int, typer.Option(help="Of the data that the smoke preset generates.")] = 0,
) -> None:
    """All five stages. ``--preset smoke`` without model and data generates both."""
    from medsight_core.training.pipeline import Plan, train_all
    from medsight_core.training.presets import find_preset

    chosen = find_preset(preset)
    with _bar() as show:
        generated = preset == "smoke" and model is regions is descriptions is None
        if generated:
            show("Generating images and questions", 0.0, {})
            model, regions, descriptions = generate(out / "start", seed)
        if model is None or regions is None:
            raise InputError("Training all stages needs --model and --regions: give them, or --preset smoke alone.")
        plan = Plan(model, regions, descriptions, out, chosen, grounded, generated, official, seed)
        figures = train_all(plan, show, resume)
    _table(figures)
    console.print(str(out / "model"), style="dim", markup=False, soft_wrap=True)


def generate(folder: Path, seed: int, images: int = 700) -> tuple[Path, Path, Path]:
    """Phantom images, questions about them and a random small model: all that the smoke preset begins with.

    Two phantom volumes, which no training sees, lie beside them to ask the result about.
    """
    import nibabel
    import numpy as np

    from medsight_core.data.records import Conversations
    from medsight_core.training.fresh import fresh_model
    from medsight_core.training.presets import smoke_config
    from medsight_core.training.run import save_model
    from medsight_core.training.vocabulary import texts_of
    from sample_data.phantom import phantom_volume, write_descriptions, write_phantoms

    meta, descriptions, model = folder / "meta.json", folder / "descriptions.json", folder / "model"
    if not model.is_dir():
        write_phantoms(folder, images, smoke_config(0, 0).vision_config.image_size, seed)
        write_descriptions(meta, descriptions, seed)
        for kind in ("abdomen", "brain"):
            volume, _ = phantom_volume(kind, UNSEEN_SEED)
            to_ras = np.diag((-1.0, -1.0, 1.0, 1.0)) @ volume.affine
            nibabel.save(nibabel.Nifti1Image(volume.voxels, to_ras), folder / f"{kind}.nii.gz")
        save_model(*fresh_model(smoke_config, texts_of(meta, Conversations(descriptions), seed), seed), model)
    return model, meta, descriptions


def _settings(stage: Stage, preset: str, official: bool, changes: Mapping[str, str]) -> tuple[Any, dict[str, Any]]:
    """Recipe and options with changes, each to where its name is known."""
    from medsight_core.training.presets import find_preset
    from medsight_core.training.recipe import changed

    recipe, options = find_preset(preset).settings(stage, official)
    of_task = {name: text for name, text in changes.items() if name in options}
    of_recipe = {name: text for name, text in changes.items() if name not in options}
    return changed(recipe, of_recipe), changed(options, of_task)


def _pairs(texts: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    for text, (name, equals, value) in zip(texts, pairs):
        if not (name and equals and value):
            raise InputError(f"--set {text!r} is not of the form name=value.")
    return {name: value for name, _, value in pairs}


@contextmanager
def _bar() -> Iterator[Any]:
    """A bar with the time that is left; silent where nobody watches."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}", style="dim"),
    )  # fmt: skip
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal or _others()) as bar:

        def show(what: str, fraction: float, last: Mapping[str, float]) -> None:
            if not bar.tasks or bar.tasks[-1].description != what:
                for task in bar.tasks:
                    bar.remove_task(task.id)
                bar.add_task(what, total=1.0, figures="")
            figures = f"loss {last['loss']:.3f}" if "loss" in last else ""
            bar.update(bar.tasks[-1].id, completed=fraction, figures=figures)

        yield show


def _others() -> bool:
    """Whether this is not the first of several processes, which alone speaks."""
    return os.environ.get("RANK", "0") != "0"


def _table(figures: Mapping[str, Mapping[str, Any]]) -> None:
    """Start and end of each stage, on held-out data."""
    if _others():
        return
    table = Table("stage", "figure", "start", "end", "steps", "seconds", box=None, pad_edge=False)
    for name, report in figures.items():
        for figure, end in report["end"].items():
            start = report["start"][figure]
            first = figure == next(iter(report["end"]))
            about = (name, str(report["steps"]), f"{report['seconds']:.0f}") if first else ("", "", "")
            table.add_row(about[0], figure, f"{start:.3f}", f"{end:.3f}", about[1], about[2])
    console.print(table)


for _name, _number, _what in (
    ("tower", 0, "a vision tower that was not pretrained learns to see"),
    ("perceiver", 1, "region queries find what an image shows"),
    ("codebook", 2, "a codebook names region vectors"),
    ("align-vision", 3, "the language model reads image tokens"),
    ("align-text", 4, "codes become masks"),
    ("instruct", 5, "one model answers and outlines"),
):
    _stage(_name, _number, _what)
