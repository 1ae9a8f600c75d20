"""Towers and optimisers beside each other: stage 0 of the shipped model, for a few steps from random weights.

    python -m benchmarks.towers --data runs/demo-model/images/train.json

Each arm sees the same images in the same order. The figures are of images that no arm learns from.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.provenance import commit
from medsight_core.errors import run_program
from medsight_core.model.config import MedSightConfig
from medsight_core.training.fresh import fresh_model
from medsight_core.training.presets import find_preset
from medsight_core.training.run import StageRun, run_stage, save_model
from medsight_core.training.stages import STAGES
from sample_data.demo_config import demo_config

# As wide and as deep as fits the same file; patches of the same size.
TRANSFORMER = {
    "hidden_size": 192,
    "intermediate_size": 768,
    "num_hidden_layers": 8,
    "num_attention_heads": 3,
    "image_size": 192,
    "patch_size": 4,
    "hidden_act": "quick_gelu",
}
ARMS: tuple[tuple[str, str, float], ...] = (  # tower, optimiser, peak rate
    ("transformer", "adamw", 1.2e-3),
    ("transformer", "muon", 1e-3),
    ("convolutions", "adamw", 1e-3),
    ("convolutions", "muon", 1e-3),
    ("convolutions", "muon", 4e-3),
)


def compare(data: Path, steps: int, changes: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Each arm's figures after so many steps: its names, "dice" of n held-out images, "loss", "seconds".

    loss: mean of the last fifth of the steps. changes: to the recipe.
    """
    rows = []
    with TemporaryDirectory() as folder:
        for number, (tower, optimizer, rate) in enumerate(ARMS):
            start = Path(folder) / tower
            if not start.is_dir():
                save_model(*fresh_model(_config(tower), ["a"]), start)
            recipe, options = find_preset("demo").settings(STAGES["tower"])
            recipe = replace(
                recipe, **{"steps": steps, "batch": 8, "log_every": 1, **(changes or {})},
                optimizer=optimizer, learning_rate=rate,
            )  # fmt: skip
            losses: list[float] = []
            report = run_stage(
                StageRun(STAGES["tower"], start, data, Path(folder) / str(number), recipe, options),
                progress=lambda done, count, last, losses=losses: losses.append(last.get("loss", 0.0)),
            )
            last = losses[-max(1, steps // 5) :]
            rows.append(
                {
                    "tower": tower, "optimizer": optimizer, "rate": rate, "dice": report["end"]["dice"],
                    "loss": sum(last) / len(last), "seconds": report["seconds"], "n": report["samples"],
                }
            )  # fmt: skip
    return rows


def table(rows: list[dict[str, Any]], steps: int) -> str:
    """Markdown."""
    lines = [f"Stage 0 for {steps} steps from random weights, one run an arm, at {commit()}.", ""]
    lines += ["| tower | optimiser | rate | loss at the end | Dice, held out |", "|---|---|---|---|---|"]
    for row in rows:
        lines.append(
            f"| {row['tower']} | {row['optimizer']} | {row['rate']:g} | {row['loss']:.3f} | {row['dice']:.3f} |"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.towers", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="meta file of images with masks")
    parser.add_argument("--steps", type=int, default=120)
    options = parser.parse_args(arguments)
    return run_program(lambda: print(table(compare(options.data, options.steps), options.steps)))


def _config(tower: str) -> Any:
    def build(vocab_size: int, first_code_token: int) -> MedSightConfig:
        values = demo_config(vocab_size, first_code_token).to_dict()
        if tower == "transformer":
            values["vision_config"] = TRANSFORMER
        return MedSightConfig(**values)

    return build


if __name__ == "__main__":
    sys.exit(main())
