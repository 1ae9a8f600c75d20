"""How fast the 8B model answers, with random weights: speed and memory depend on sizes, not on what was learned.

    python -m benchmarks.official_size                    on a GPU, writes docs/official-size.md
    python -m benchmarks.official_size --layers 2         fewer decoder layers, where memory or patience is short
    python -m benchmarks.official_size --tiny             a model of no size, to see that this works

The model is made on the device, in bfloat16 on a GPU and float32 on a CPU, as `load_model` has it. Every figure is a
median over repeats with the smallest and the largest. Without --tiny and --layers, and on a GPU only, it writes.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import torch
import transformers
from transformers import StoppingCriteria, StoppingCriteriaList

from benchmarks.provenance import commit
from medsight_core.model.config import MedSightConfig
from medsight_core.model.costs import QUESTION_TOKENS
from medsight_core.model.medsight import IMAGE_SENTINEL, MedSightModel

DOCUMENT = Path("docs/official-size.md")
WARM_UP = 2
TINY = {
    "vision_config": {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
        "image_size": 56, "patch_size": 14,
    },
    "perceiver_config": {"num_queries": 5, "num_heads": 2, "head_dim": 8, "ffn_ratio": 2},
    "text_config": {
        "model_type": "qwen3", "vocab_size": 834, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16,
    },
    "first_code_token": 258,
}  # fmt: skip


def build(config: MedSightConfig, device: str) -> MedSightModel:
    """The model with random weights, made where it will run."""
    torch.manual_seed(0)
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32 if device == "cpu" else torch.bfloat16)
    try:
        with torch.device(device):
            return MedSightModel(config).eval()
    finally:
        torch.set_default_dtype(usual)


@torch.inference_mode()
def measure(model: MedSightModel, tokens: int, codes: Sequence[int], repeats: int) -> dict[str, list[float]]:
    """Figures by name, a value of each repeat."""
    config, device = model.config, model.device
    side, half = config.vision_config.image_size, QUESTION_TOKENS // 2
    pixels = torch.randn(1, 3, side, side, device=device, dtype=model.dtype)
    ids = [1] * half + [IMAGE_SENTINEL] + [1] * half
    states = torch.randn(1, max(codes), config.text_config.hidden_size, device=device, dtype=model.dtype)
    figures: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        figures.setdefault(name, []).append(value)

    for _ in range(WARM_UP + repeats):
        clock = Clock(device)
        features = model.encode(pixels)
        clock.tick()
        model.generate(
            ids, features, eos_token=0, max_new_tokens=tokens, min_new_tokens=tokens,
            stopping_criteria=StoppingCriteriaList([clock]),
        )  # fmt: skip
        seen, first, *_, last = clock.seconds
        note("image seen (s)", seen)
        note("image to first token (s)", first)
        note(f"tokens a second, of {tokens}", (tokens - 1) / (last - first))
        for count in codes:
            clock = Clock(device)
            model.decode(features.patches, states[:, :count])
            clock.tick()
            note(f"masks of {count} codes (s)" if count > 1 else "mask of 1 code (s)", clock.seconds[0])
    return {name: values[WARM_UP:] for name, values in figures.items()}


class Clock(StoppingCriteria):
    """Seconds since it was made, at each tick; as a criterion it ticks at every token and stops nothing."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: list[float] = []
        self.start = self._now()

    def tick(self) -> None:
        self.seconds.append(self._now() - self.start)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: object) -> torch.Tensor:
        self.tick()
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def peak_memory(device: torch.device) -> int:
    """Bytes at most so far: on a GPU what torch held there, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def report(card: str, what: str, figures: dict[str, list[float]], memory: int) -> str:
    """The figures as Markdown."""
    repeats = len(next(iter(figures.values())))
    rows = [
        f"| {name} | {_rounded(statistics.median(values))} | {_rounded(min(values))} to {_rounded(max(values))} |"
        for name, values in figures.items()
    ]
    lines = [
        "# The model at its official size",
        "",
        f"{what} with random weights on {card}; n = {repeats} repeats, one image.",
        f"Made by `python -m benchmarks.official_size` at {commit()}, torch {torch.__version__}, transformers "
        f"{transformers.__version__}.",
        "",
        "| | median | smallest to largest |",
        "|---|---|---|",
        *rows,
        f"| peak memory (GB) | {memory / 1e9:.1f} | |",
        "",
    ]
    return "\n".join(lines)


def card_of(device: torch.device) -> str:
    """What the device is called."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.cpu.get_capabilities().get('cpu_name', 'a CPU')}, {torch.get_num_threads()} threads"


def config_of(tiny: bool, layers: int | None) -> MedSightConfig:
    """The sizes that are asked for, the official ones otherwise."""
    sizes = TINY if tiny else {}
    if layers is None:
        return MedSightConfig(**sizes)
    text = MedSightConfig(**sizes).text_config.to_dict()
    del text["layer_types"]  # one entry a layer
    return MedSightConfig(**{**sizes, "text_config": {**text, "num_hidden_layers": layers}})


def _rounded(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--layers", type=int)
    parser.add_argument("--tokens", type=int, default=64, help="of the longer reply")
    parser.add_argument("--codes", type=int, nargs="+", default=[1, 4, 16], help="decoded in one pass")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--out", type=Path, default=DOCUMENT)
    options = parser.parse_args(arguments)
    official = not options.tiny and options.layers is None
    if official and options.device == "cpu":
        parser.error("the official size takes 35 GB and hours on a CPU: use a GPU, or give --layers or --tiny")
    model = build(config_of(options.tiny, options.layers), options.device)
    figures = measure(model, options.tokens, options.codes, options.repeats)
    count = sum(parameter.numel() for parameter in model.parameters())
    precision = str(model.dtype).removeprefix("torch.")
    what = f"{count:,} parameters in {precision}"
    text = report(card_of(model.device), what, figures, peak_memory(model.device))
    print(text)
    if official:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
