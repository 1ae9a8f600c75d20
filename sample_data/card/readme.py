"""Facts and words as README.md: the head is what model hubs read, the rest is for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from medsight_core.answer import NOTICE
from medsight_core.model.config import ConvolutionalTowerConfig, VisionConfig
from sample_data.card import words
from sample_data.card.facts import Facts, Measured
from sample_data.fetch import samples
from sample_data.generate.sources import SOURCES


def readme(facts: Facts, pictures: str) -> str:
    """Markdown. pictures: where those of failures lie, as a link from the model's folder; not used without failures."""
    parts = (
        _head(facts),
        _list("## What it is for", words.INTENDED),
        _list("## What it must not be used for", words.MUST_NOT),
        _data(facts),
        _training(facts),
        _results(facts),
        _failures(facts, pictures),
        _by_name(facts),
        _list("## References", words.REFERENCES),
    )
    return "\n\n".join(parts) + "\n"


def _tower(tower: VisionConfig) -> str:
    if isinstance(tower, ConvolutionalTowerConfig):
        return f"convolutional tower of widths {tower.widths[0]} to {tower.widths[-1]}"
    return f"tower of {tower.num_hidden_layers} layers of width {tower.hidden_size}"


def _head(facts: Facts) -> str:
    config = facts.config
    tower, perceiver, text = config.vision_config, config.perceiver_config, config.text_config
    rows = {
        "architecture": f"{_tower(tower)} on {tower.image_size} pixels in patches of {tower.patch_size}; Region "
        f"Perceiver with {perceiver.num_queries} queries, masks of {config.mask_size} x {config.mask_size}; language "
        f"model of {text.num_hidden_layers} layers of width {text.hidden_size}",
        "parameters": f"{facts.parameters / 1e6:.1f} million",
        "file": f"`model.safetensors`, {facts.size / 1e6:.1f} MB",
        "licence": f"{config.licence} (the weights; they hold no image, and each image has its own, below)",
        "planes": ", ".join(config.orientations),
        "names": "; ".join(f"{modality}: {len(names)}" for modality, names in config.modality_names.items()),
        "made by": "`make demo-model`",
    }
    return "\n".join(
        [
            "---",
            f"license: {config.licence.lower()}",
            "language: en",
            "library_name: transformers",
            "pipeline_tag: image-segmentation",
            f"tags: [{', '.join(words.TAGS)}]",
            "---",
            "",
            f"# {words.NAME}, version {config.version}",
            "",
            f"**{NOTICE}** {words.DESCRIPTION}",
            "",
            "| | |",
            "|---|---|",
            *(f"| {name} | {value} |" for name, value in rows.items()),
        ]
    )


def _data(facts: Facts) -> str:
    images = facts.training["images"]
    what, counts = ("source", "shows", "images are", "made from", "licence"), ("images", "subjects")
    rows = []
    for source in SOURCES:
        if own := images["train"].get(source.name):
            held = images["held-out"].get(source.name) or {"images": 0, "subjects": 0}
            rows.append(
                (source.name, source.kind.title, words.IMAGES[source.name], source.origin, source.licence)
                + (own["images"], own["subjects"], held["images"], held["subjects"])
            )
    notices = dict.fromkeys(sample.attribution for sample in samples() if sample.attribution)
    return "\n\n".join(
        [
            "## Training data",
            _table((*what, *counts, *(f"held-out {count}" for count in counts)), rows),
            "No subject is among both the images and the held-out ones. Half of the held-out images calibrated the "
            "probabilities; the figures below are on other images of the same held-out subjects. How each is made: "
            "`docs/generated-data.md`.",
            *notices,
        ]
    )


def _training(facts: Facts) -> str:
    record = facts.training
    rows = [
        (s["stage"], s["samples"], s["steps"], s["batch"], s["precision"], f"{s['seconds'] / 60:.0f}")
        + (f"{s['metric']} {s['start']:.3f} to {s['end']:.3f}",)
        for s in record["stages"]
    ]
    notes = [f"- {stage['stage']}: {stage['note']}" for stage in record["stages"] if "note" in stage]
    machine, minutes = record["machine"], sum(stage["seconds"] for stage in record["stages"]) / 60
    return "\n\n".join(
        [
            "## Training",
            f"{minutes:.0f} minutes in all on {_machine(machine)}, seed {record['seed']}.",
            _table(("stage", "samples", "steps", "batch", "precision", "minutes", "on held-out samples"), rows),
            *(["\n".join(["What did not run as the recipe says:", "", *notes])] if notes else []),
        ]
    )


def _results(facts: Facts) -> str:
    goals = [figure for figure in facts.goals.values() if figure.goal]
    short = [figure.title for figure in goals if not figure.met]
    missed = f" Not reached: {'; '.join(short)}." if short else ""
    headings = ("figure", "measured", "95 % interval", "n", "goal", "")
    rows = [
        (*_cells(f), f.goal, "reached" if f.met else "**not reached**" if f.goal else "") for f in _values(facts.goals)
    ]
    figures = ("Dice", "n", "accepted", "n", "false masks", "n")
    sites = [
        (words.SITES[site], *(cell for name in words.SITE_FIGURES for cell in _short(own[name])))
        for site, own in facts.sites.items()
    ]
    controls = [
        (name, words.CONTROLS[name], *_short(own.get("dice")), *_short(own.get("false masks")))
        for name, own in facts.controls.items()
    ]
    return "\n\n".join(
        [
            "## How good it is",
            f"Measured by `make evaluate-demo` at {facts.commit} on {_machine(facts.machine)}. "
            f"{len(goals) - len(short)} of {len(goals)} goals are reached.{missed}",
            _table(headings, rows),
            "### By kind of image, subjects that it never saw",
            "Dice is the mean over names, and what was refused counts 0; intervals of 95 % in brackets.",
            _table(("images", *figures), sites),
            "### Controls",
            _table(("control", "what it shows", "Dice", "n", "false masks", "n"), controls),
            "### Free wording, by form of the question",
            _table(("form", "understood", "95 % interval", "n"), [_cells(f) for f in _values(facts.wording)]),
        ]
    )


def _failures(facts: Facts, pictures: str) -> str:
    parts = [_list("## Where it fails", words.LIMITS)]
    if facts.failures:
        parts.append(
            "The worst answers of the examination, by modality. Orange is what the model outlined, dashed blue what is "
            "there."
        )
    parts += [f"![{_caption(one)}]({pictures}/{one['file']})\n\n{_caption(one)}" for one in facts.failures]
    return "\n\n".join(parts)


def _caption(failure: Mapping[str, Any]) -> str:
    """What a picture shows, and whose image it is."""
    folder, _, subject = failure["subject"].partition("/")
    source = next(source for source in SOURCES if source.name == folder)
    result = f"Dice {failure['dice']:.2f}" if failure["dice"] is not None else "it is not there"
    return (
        f"{failure['kind'].capitalize()}, {failure['modality']}: {failure['name']} on {failure['orientation']} plane, "
        f"{result}, confidence {failure['confidence']:.2f}. "
        f"Image: {folder} {subject}, {source.origin}, {source.licence}."
    )


def _by_name(facts: Facts) -> str:
    rows = [
        (name, _number(row["dice"]), row["present"], _number(row["false"]), row["absent"])
        for name, row in facts.names.items()
    ]
    return "## By name\n\n" + _table(("name", "Dice", "n", "falsely outlined", "n"), rows)


def _machine(machine: Mapping[str, Any]) -> str:
    instructions = machine.get("instructions", ())
    return f"{machine['threads']} threads of {machine['cpu']}" + (
        f" ({', '.join(instructions)})" if instructions else ""
    )


def _cells(figure: Measured) -> tuple[Any, ...]:
    """Title, value, interval and n, a cell each."""
    return figure.title, _number(figure.value), _interval(figure), figure.n


def _short(figure: Measured | None) -> tuple[Any, ...]:
    """Value with its interval, and n, a cell each."""
    return (f"{_number(figure.value)} ({_interval(figure)})", figure.n) if figure else ("", "")


def _interval(figure: Measured) -> str:
    return "too few" if figure.low is None else f"{_number(figure.low)} to {_number(figure.high)}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _values(figures: Mapping[str, Measured]) -> Iterator[Measured]:
    return iter(figures.values())


def _list(heading: str, lines: Sequence[str]) -> str:
    return "\n".join([heading, "", *(f"- {line}" for line in lines)])


def _table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
