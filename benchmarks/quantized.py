"""What a language model in few bits costs and saves: ``python -m benchmarks.quantized --labels MAPS --fetal HC18``.

The shipped model whole, in 8 and in 4 bits, asked the same questions in turns, plane by plane: outlines (Dice), yes or
no (right answers), and whether the words are the same. Differences are paired; their 95 % intervals resample planes.
Then one decoder layer of the official size with random weights, and what loading takes. Without --labels and --fetal
only the latter two.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from benchmarks.demo.exams import SEED, held_out_exams
from benchmarks.demo.trials import Slice, Trial, check_trials, outline_trials, slices_of
from benchmarks.provenance import commit
from medsight_core.engine.engine import Engine
from medsight_core.engine.machine import this_machine
from medsight_core.intervals import bootstrap_interval
from medsight_core.model.config import MedSightConfig
from medsight_core.model.loading import load_model, read_config
from medsight_core.model.medsight import MedSightModel
from medsight_core.model.processor import MedSightProcessor
from medsight_core.model.quantize import BITS, SmallLinear, small_layers
from sample_data.generate.sources import Material

MODEL = Path("sample_data/demo_model")
SCANS = {"brain": 3, "chest": 2, "head": 1, "abdomen": 2, "fetal": 4}
VIEWS = {"fetal": ("axial",), "chest": ("axial", "coronal"), "abdomen": ("axial", "coronal")}
EACH = 3  # things of a plane, and as many that are not there
SETTINGS = (None, *BITS)
NAMES = {None: "whole, float32", 8: "8 bits", 4: "4 bits"}


@dataclass(frozen=True)
class Outcome:
    """What one engine answered about one plane: trials, the sentences, and the seconds a token took."""

    trials: list[Trial]
    texts: list[str]
    seconds: float


class Told:
    """An engine that remembers its sentences."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self.texts, self.config = engine, list[str](), engine.config

    def ask(self, *question: Any, **options: Any) -> Any:
        answer = self._engine.ask(*question, **options)
        self.texts.append(answer.text)
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


def planes_of(material: Material, engine: Engine, planes: int) -> list[Slice]:
    rng, offered = np.random.default_rng(SEED + 9), engine.config.orientations
    return [
        plane
        for exam in held_out_exams(material, SCANS)
        for plane in slices_of(
            exam,
            1 if exam.site == "fetal" else planes,
            [view for view in VIEWS.get(exam.site, ("axial", "coronal", "sagittal")) if view in offered],
            rng,
        )
    ]


def asked(engine: Engine, plane: Slice, place: int) -> Outcome:
    """The same questions whatever the engine."""
    told, rng = Told(engine), np.random.default_rng([SEED + 9, place])
    trials = list(outline_trials(told, plane, EACH, (), rng))
    trials += check_trials(told, plane, EACH, (), rng)
    return Outcome(trials, told.texts, seconds_a_token(engine))


@torch.inference_mode()
def seconds_a_token(engine: Engine, prompt: int = 100, tokens: int = 16) -> float:
    """Processor seconds of a token of the reply, behind a prompt of random embeddings."""
    model = engine.model
    width, dtype = model.config.text_config.hidden_size, model.get_input_embeddings().weight.dtype
    embeds = torch.randn(1, prompt, width, generator=torch.Generator().manual_seed(0)).to(dtype)

    def reply(count: int) -> float:
        start = time.process_time()
        model.reply(embeds, engine.processor.eos_token, count, min_new_tokens=count)
        return time.process_time() - start

    return (reply(tokens + 1) - reply(1)) / tokens


def compare(material: Material, planes: int, minutes: float, tell: Callable[[str], None]) -> list[str]:
    """The table of the shipped model; planes in random order until the time is over."""
    engines = {bits: Engine.load(MODEL, bits=bits) for bits in SETTINGS}
    for engine in engines.values():
        engine.cache = engines[None].cache  # what is seen is the same for all
    places = planes_of(material, engines[None], planes)
    end = time.monotonic() + 60 * minutes
    found: dict[int | None, list[Outcome]] = {bits: [] for bits in SETTINGS}
    for count, place in enumerate(np.random.default_rng(SEED + 9).permutation(len(places))):
        if count and time.monotonic() > end:
            break
        for bits, engine in engines.items():
            found[bits].append(asked(engine, places[place], int(place)))
        tell(f"{count + 1} of {len(places)} planes")
    whole = found[None]
    head = ("language model", "Dice", "difference", "yes or no right", "difference", "other words", "a token", "MB")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for bits, outcomes in found.items():
        cells = [NAMES[bits]]
        for value in (overlap, rightness):
            scores, truths = per_plane(outcomes, value), per_plane(whole, value)
            kept = [place for place, score in enumerate(scores) if score]
            every = [number for score in scores for number in score]
            cells.append(f"{np.mean(every):.4f} (n {len(every)})")
            cells.append("" if bits is None else paired([scores[p] for p in kept], [truths[p] for p in kept]))
        pairs = [(a, b) for mine, theirs in zip(outcomes, whole) for a, b in zip(mine.texts, theirs.texts)]
        cells.append("" if bits is None else f"{sum(a != b for a, b in pairs)} of {len(pairs)}")
        ratios = [mine.seconds / theirs.seconds for mine, theirs in zip(outcomes, whole)]
        cells.append("" if bits is None else f"{statistics.median(ratios):.2f}")
        cells.append(f"{bytes_of(engines[bits].model.language) / 1e6:.1f}")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def overlap(trial: Trial) -> float | None:
    return trial.dice if trial.kind == "outline" else None


def rightness(trial: Trial) -> float | None:
    return float(trial.said == ("yes" if trial.present else "no")) if trial.kind == "check" else None


def per_plane(outcomes: Sequence[Outcome], value: Callable[[Trial], float | None]) -> list[list[float]]:
    return [[v for trial in outcome.trials if (v := value(trial)) is not None] for outcome in outcomes]


def paired(found: Sequence[Sequence[float]], truths: Sequence[Sequence[float]]) -> str:
    """Mean difference with its interval; planes are resampled, because answers about one plane go together."""
    differences = [float(np.mean(np.subtract(mine, theirs))) for mine, theirs in zip(found, truths)]
    low, high = bootstrap_interval([differences], seed=0) or (float("nan"),) * 2
    return f"{np.mean(differences):+.4f} ({low:+.4f} to {high:+.4f})"


def bytes_of(module: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))


@torch.inference_mode()
def official_layer(repeats: int, tiny: bool = False) -> list[str]:
    """The table of one decoder layer: bytes, error, processor seconds of a token and of a prompt of 64."""
    text = MedSightConfig().text_config.to_dict() | {"num_hidden_layers": 1, "vocab_size": 64}
    text.pop("layer_types")
    if tiny:
        text |= {"hidden_size": 64, "intermediate_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1}
    torch.manual_seed(0)
    language = AutoModelForCausalLM.from_config(MedSightConfig(text_config=text).text_config).eval()
    layer = language.model.layers[0]
    inputs = {count: torch.randn(1, count, language.config.hidden_size) for count in (1, 64)}
    places = {count: language.model.rotary_emb(x, torch.arange(count)[None]) for count, x in inputs.items()}

    def run(count: int, dtype: torch.dtype) -> tuple[torch.Tensor, float]:
        cos_sin = tuple(part.to(dtype) for part in places[count])
        start = time.process_time()
        output = layer(inputs[count].to(dtype), position_embeddings=cos_sin)
        return (output[0] if isinstance(output, tuple) else output).float(), time.process_time() - start

    weights = {name: part.weight.detach().clone() for name, part in small_layers(language).items()}
    truth, whole = run(64, torch.float32)[0], bytes_of(layer)
    added = truth - inputs[64]  # what the layer adds to the stream; the stream itself nobody rounds
    seconds: dict[Any, dict[int, float]] = {}
    rows = []
    for bits in (None, "bfloat16", *BITS):
        if bits == "bfloat16":
            layer.to(torch.bfloat16)
        elif bits is not None:
            for name, weight in weights.items():
                linear = nn.Linear(1, 1, bias=False)
                linear.weight = nn.Parameter(weight, requires_grad=False)
                language.set_submodule(name, SmallLinear(linear, bits))
        dtype = torch.float32 if bits is None else torch.bfloat16
        run(64, dtype)
        seconds[bits] = {count: statistics.median(run(count, dtype)[1] for _ in range(repeats)) for count in inputs}
        error = float((run(64, dtype)[0] - truth).norm() / added.norm())
        ratios = [f"{seconds[bits][count] / seconds[None][count]:.2f}" for count in inputs]
        size = bytes_of(layer)
        rows.append([NAMES.get(bits, "bfloat16"), f"{size / 1e6:.0f}", f"{size / whole:.3f}", f"{error:.4f}", *ratios])
    head = "| one layer | MB | of float32 | relative error | seconds a token, of float32 | a prompt of 64, of float32 |"
    return [head, "|---|---|---|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]


def loading(tiny: bool = False) -> list[str]:
    """How much memory loading takes, of a bfloat16 file: three official layers, all else as the shipped model's."""
    config = read_config(MODEL)
    if not tiny:
        text = MedSightConfig().text_config.to_dict()
        text.pop("layer_types")
        own = {"num_hidden_layers": 3, "vocab_size": config.text_config.vocab_size}
        config = MedSightConfig(**{**config.to_dict(), "text_config": {**text, **own}})
    lines = ["| loading | file, MB | most on the way, MB | in the end, MB |", "|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        torch.set_default_dtype(torch.bfloat16)
        model = MedSightModel(config)
        torch.set_default_dtype(torch.float32)
        model.save_pretrained(folder)
        MedSightProcessor.from_pretrained(MODEL, config).save_pretrained(folder)
        del model
        size = (Path(folder) / "model.safetensors").stat().st_size
        for bits in SETTINGS:
            before = own_memory()
            with Watch() as watch:
                model = load_model(folder, bits=bits)[0]
            end = bytes_of(model)
            lines.append(f"| {NAMES[bits]} | {size / 1e6:.0f} | {(watch.most - before) / 1e6:.0f} | {end / 1e6:.0f} |")
            del model
    return lines


def own_memory() -> int:
    """Bytes that this process holds beside what it shares with files."""
    info = psutil.Process().memory_info()
    return info.rss - info.shared


class Watch:
    """The most `own_memory` within a ``with`` block, looked at every 20 ms."""

    def __enter__(self) -> Watch:
        self.most, self._done = own_memory(), threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(0.02):
            self.most = max(self.most, own_memory())


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quantized", description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=Path, help="folder of whole-head label maps")
    parser.add_argument("--fetal", type=Path, help="folder of HC18")
    parser.add_argument("--studies", type=Path, default=Path("studies"))
    parser.add_argument("--planes", type=int, default=4, help="of each exam")
    parser.add_argument("--minutes", type=float, default=20, help="after which no other plane is asked about")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    machine = this_machine()
    print(f"At {commit()} on {machine.cpu}, {machine.cores} threads.\n")
    if options.labels and options.fetal:
        material = Material(options.labels, options.fetal, options.studies)
        say = lambda line: print(line, file=sys.stderr, flush=True)  # noqa: E731
        print("\n".join(compare(material, options.planes, options.minutes, say)), end="\n\n", flush=True)
    print("\n".join(official_layer(options.repeats)), end="\n\n", flush=True)
    print("\n".join(loading()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
