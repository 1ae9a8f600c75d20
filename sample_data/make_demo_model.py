"""Make the shipped model from its sources: images, stages, calibration (``make demo-model``).

    python -m sample_data.make_demo_model --labels LABEL_MAPS --fetal HC18 --work runs/demo-model --out MODEL

Every phase is kept in ``--work``; a second run goes on where the first was stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from medsight_core.data.biomedparse import META_KEYS, BiomedParse
from medsight_core.data.converse_by_template import text_conversations
from medsight_core.data.sequence import Selection
from medsight_core.data.targets import Series
from medsight_core.engine.context import view_words
from medsight_core.errors import run_program
from medsight_core.model.loading import load_model
from medsight_core.training.calibration import fit_lines, presence_scores
from medsight_core.training.fresh import fresh_model
from medsight_core.training.pipeline import Plan, train_all
from medsight_core.training.presets import find_preset
from medsight_core.training.run import save_model
from sample_data.card.training import TRAINING, training_record
from sample_data.demo_config import CLASS_NAMES, MODALITIES, demo_config
from sample_data.generate.folders import write_planes
from sample_data.generate.sources import SOURCES, Material, Source, sources
from sample_data.generate.study import without_sides

SEED = 20261125
SIDE = 192
TALKED_ABOUT = 4000  # images that conversations are made about
TEXTS = 6000  # conversations that the tokenizer learns its words from
WORDS = 3000  # that it may learn
MADE_UP = 24000  # conversations without an image: how people ask takes more of them than what images show
PRESENCE_THRESHOLD = 0.4  # where the images that calibrated it are missed about as often as others get false masks

# Of each source: images to train on, and images of held-out subjects.
PLANES: Mapping[str, tuple[int, int]] = {
    "brain-maps": (9000, 400),
    "brain-mni": (700, 0),
    "brain-colin": (400, 0),
    "chest-ct": (1000, 0),
    "chest-maps": (1000, 0),
    "chest-phantom": (1200, 200),
    "head-ct-cranium": (400, 0),
    "head-ct-maps": (800, 120),
    "fetal": (1200, 200),
    "abdomen": (1500, 200),
}


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sample_data.make_demo_model", description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=Path, required=True, help="folder of whole-head label maps")
    parser.add_argument("--fetal", type=Path, required=True, help="folder of HC18")
    parser.add_argument("--studies", type=Path, default=Path("studies"))
    parser.add_argument("--work", type=Path, default=Path("runs/demo-model"))
    parser.add_argument("--out", type=Path, default=Path("runs/demo-model/shipped"))
    options = parser.parse_args()
    material = Material(options.labels, options.fetal, options.studies)
    return run_program(lambda: make(material, options.work, options.out))


def make(material: Material, work: Path, out: Path) -> None:
    """All phases, those that are done left out."""
    images, start, stages = work / "images", work / "start", work / "stages"
    generate(images, material, os.cpu_count() or 1)
    if not start.is_dir():
        save_model(*fresh_model(demo_config, vocabulary(SEED), SEED, WORDS), start)
    plan = Plan(
        start,
        images / "train.json",
        None,
        stages,
        find_preset("demo"),
        with_tower=True,
        seed=SEED,
        made_up=MADE_UP,
        talked_about=TALKED_ABOUT,
    )
    train_all(plan, report=_Lines(), resume=True)
    ship(stages / "model", images / "held-out.json", out)


def generate(folder: Path, material: Material, workers: int) -> None:
    """Images of all sources, and one meta file for those to train on and one for those of held-out subjects."""
    for number, (name, (planes, held_out)) in enumerate(PLANES.items()):
        if not (folder / name / "train" / "meta.json").is_file():
            _say(f"generating {planes} + {held_out} images of {name}")
            write_planes(folder / name, sources([name]), material, planes, held_out, SEED + number, SIDE, workers)
    for part in ("train", "held-out"):
        join_metas([folder / name / part / "meta.json" for name in PLANES], folder / f"{part}.json")


def join_metas(paths: list[Path], out: Path) -> None:
    """One meta file of those of several folders of images; such as do not exist are left out."""
    joined: dict[str, list] = {key: [] for key in META_KEYS}
    for path in paths:
        if path.is_file():
            meta = json.loads(path.read_text(encoding="utf-8"))
            below = path.parent.relative_to(out.parent)
            for key in META_KEYS:
                joined[key] += [(below / entry).as_posix() if isinstance(entry, str) else entry for entry in meta[key]]
    out.write_text(json.dumps(joined, indent=2) + "\n", encoding="utf-8")


def vocabulary(seed: int) -> Iterator[str]:
    """Questions and answers such as the model will read; codes do not matter to a tokenizer."""
    series = [
        Series(
            view_words(orientation, MODALITIES[source.kind.title]), dict.fromkeys(_names(source, orientation), "M0_0")
        )
        for source in SOURCES
        for orientation in source.kind.shares
    ]
    for conversation in text_conversations(series, TEXTS, seed, order=CLASS_NAMES):
        for turn in conversation.turns:
            yield turn.question
            yield turn.answer


def ship(model: Path, held_out: Path, out: Path) -> None:
    """The trained model with calibrated presence, in half precision, and the record of its training.

    model: in the folder of all stages. Every second image calibrates; the others are left for whoever measures.
    """
    record = training_record(model.parent, held_out.parent, SEED)
    loaded, processor = load_model(model, merge=False)
    images = BiomedParse(held_out)
    half = Selection(images, range(0, len(images), 2))
    _say(f"calibrating on {len(half)} images")
    loaded.config.calibration = fit_lines(presence_scores(loaded, processor, half))
    loaded.config.presence_threshold = PRESENCE_THRESHOLD
    save_model(loaded.half(), processor, out)
    (out / TRAINING).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    _say("done")


def _names(source: Source, orientation: str) -> tuple[str, ...]:
    return without_sides(source.names, {}, ())[0] if orientation == "sagittal" else source.names


class _Lines:
    """Progress as lines of text, at most one in ten seconds."""

    def __init__(self) -> None:
        self._last = 0.0

    def __call__(self, what: str, done: float, figures: Mapping[str, float]) -> None:
        if time.monotonic() - self._last > 10:
            self._last = time.monotonic()
            said = " ".join(f"{name} {value:.3g}" for name, value in figures.items() if name.startswith("loss"))
            _say(f"{what}: {100 * done:.0f} % {said}")


def _say(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
