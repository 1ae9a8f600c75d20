"""What a language model in 8 or 4 bits costs and saves: ``python -m benchmarks.quantized``.

The shipped model whole, in 8 and in 4 bits, asked the same questions about the sample volumes in turns, plane by plane:
outlines (Dice), yes or no (right answers), and whether the words are the same. The model was trained on changed copies
of these images, so their differences count, not the figures. Differences are paired; their 95 % intervals resample
planes. Then one decoder layer of the official size with random weights, and what loading takes.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from benchmarks.demo.exams import SEED, Exam, real_exams
from benchmarks.demo.trials import Slice, slices_of
from benchmarks.provenance import commit
from medsight_core.engine.engine import Engine
from medsight_core.engine.machine import this_machine
from medsight_core.engine.wording import listed
from medsight_core.evaluation.mask_scores import dice
from medsight_core.intervals import bootstrap_interval
from medsight_core.model.bits import BITS
from medsight_core.model.config import MedSightConfig
from medsight_core.model.loading import load_model, read_config
from medsight_core.model.medsight import MedSightModel
from medsight_core.model.processor import MedSightProcessor
from medsight_core.model.quantize import SmallLinear, small_layers

MODEL = Path("sample_data/demo_model")
EACH = 4  # things of a plane, and as many that are not there
SETTINGS = (None, *BITS)
NAMES = {None: "whole, float32", 8: "8 bits", 4: "4 bits"}


@dataclass(frozen=True)
class Outcome:
    """What one engine answered about one plane. dices: of things that are there; rights: of yes or no."""

    dices: list[float]
    rights: list[float]
    texts: list[str]


def planes_of(exams: Iterable[Exam], engine: Engine, planes: int) -> list[Slice]:
    """Planes of each exam that show something, in random order."""
    rng, offered = np.random.default_rng(SEED), engine.config.orientations
    views = [view for view in ("axial", "coronal") if view in offered]  # sides cannot be told on sagittal planes
    found = [plane for exam in exams for plane in slices_of(exam, planes, views, rng)]
    return [found[place] for place in rng.permutation(len(found))]


def asked(engine: Engine, plane: Slice, place: int) -> Outcome:
    """The same questions whatever the engine: some things at once, then whether each, and as many others, is there."""
    rng = np.random.default_rng([SEED, place])
    shown, absent = (
        [str(name) for name in rng.permutation(names)[:EACH]]
        for names in plane.exam.visible(plane.orientation, plane.index)
    )
    answer, _ = plane.ask(engine, f"Outline the {listed(shown)}.")
    masks = {region.name: region.mask for region in answer.regions}
    dices = [dice(plane.outlined(masks[name]), plane.truth(name)) if name in masks else 0.0 for name in shown]
    texts, rights = [answer.text], []
    for name in (*shown, *absent):
        text = plane.ask(engine, f"Is there a {name}?")[0].text
        rights.append(float(text.lower().startswith("yes" if name in shown else "no")))
        texts.append(text)
    return Outcome(dices, rights, texts)


@torch.inference_mode()
def seconds_a_token(engine: Engine, prompt: int = 100, tokens: int = 12) -> float:
    """Processor seconds of a token of the reply, behind a prompt of random embeddings."""
    model = engine.model
    width, dtype = model.config.text_config.hidden_size, model.get_input_embeddings().weight.dtype
    embeds = torch.randn(1, prompt, width, generator=torch.Generator().manual_seed(0)).to(dtype)

    def reply(count: int) -> float:
        start = time.process_time()
        model.reply(embeds, engine.processor.eos_token, count, min_new_tokens=count)
        return time.process_time() - start

    return (reply(tokens + 1) - reply(1)) / tokens


def compare(exams: Iterable[Exam], planes: int, minutes: float, repeats: int, tell: Callable[[str], None]) -> list[str]:
    """The table of the shipped model; planes are taken until the time is over."""
    engines = {bits: Engine.load(MODEL, bits=bits) for bits in SETTINGS}
    for engine in engines.values():
        engine.cache = engines[None].cache  # what is seen is the same for all
    places = planes_of(exams, engines[None], planes)
    found: dict[int | None, list[Outcome]] = {bits: [] for bits in SETTINGS}
    end = time.monotonic() + 60 * minutes
    for place, plane in enumerate(places):
        if place and time.monotonic() > end:
            break
        for bits, engine in engines.items():
            found[bits].append(asked(engine, plane, place))
        tell(f"{place + 1} of {len(places)} planes")
    seconds = [{bits: seconds_a_token(engine) for bits, engine in engines.items()} for _ in range(repeats)]
    whole = found[None]
    head = ("language model", "Dice", "difference", "yes or no right", "difference", "other words", "a token", "MB")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for bits, outcomes in found.items():
        cells = [NAMES[bits]]
        for of in (lambda outcome: outcome.dices, lambda outcome: outcome.rights):
            every = [number for outcome in outcomes for number in of(outcome)]
            cells.append(f"{np.mean(every):.4f} (n {len(every)})")
            cells.append("" if bits is None else paired(list(map(of, outcomes)), list(map(of, whole))))
        pairs = [(a, b) for mine, theirs in zip(outcomes, whole) for a, b in zip(mine.texts, theirs.texts)]
        cells.append("" if bits is None else f"{sum(a != b for a, b in pairs)} of {len(pairs)}")
        cells.append(f"{statistics.median(turn[bits] / turn[None] for turn in seconds):.2f}")
        cells.append(f"{bytes_of(engines[bits].model.language) / 1e6:.1f}")
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", f"{len(whole)} planes of {len({plane.exam.subject for plane in places[: len(whole)]})} images."]


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
    parser.add_argument("--studies", type=Path, default=Path("studies"))
    parser.add_argument("--planes", type=int, default=12, help="of each image")
    parser.add_argument("--minutes", type=float, default=30, help="after which no other plane is asked about")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    machine = this_machine()
    print(f"At {commit()} on {machine.cpu}, {machine.cores} threads.\n", flush=True)
    exams = real_exams(options.studies)
    table = compare(exams, options.planes, options.minutes, options.repeats, lambda line: print(line, file=sys.stderr))
    print("\n".join(table), end="\n\n", flush=True)
    print("\n".join(official_layer(options.repeats)), end="\n\n", flush=True)
    print("\n".join(loading()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
