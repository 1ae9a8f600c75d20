"""Versions of a tiny model for tests: a changed copy of a model folder, and figures that the rule likes or not."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from medsight_core.engine.change_record import ChangeRecord
from medsight_core.engine.promotion import Evaluation, Score
from medsight_core.engine.registry import Registry, Version

BETTER = Evaluation(Score(0.4, 0.55, 12, "new"), Score(0.7, 0.69, 40, "old"))
NO_BETTER = Evaluation(Score(0.4, 0.38, 12, "new"), Score(0.7, 0.7, 40, "old"))
FORGETFUL = Evaluation(Score(0.4, 0.8, 12, "new"), Score(0.7, 0.6, 40, "old"))
CHANGE = ChangeRecord(
    {"trained": "language model", "parameters": 1234},
    {"steps": 3, "learning rate": 1e-3},
    {"cases": 12, "annotators": ["anna", "ben"]},
    ["It may outline more."],
)


def retrained(parent: Path, out: Path, seed: int = 1) -> Path:
    """A copy of a model folder with other weights in its perceiver and language model."""
    shutil.copytree(parent, out)
    path = out / "model.safetensors"
    weights = load_file(path)
    chance = torch.Generator().manual_seed(seed)
    for name, tensor in weights.items():
        if name.startswith(("perceiver.", "language.")) and tensor.is_floating_point():
            tensor += 0.05 * torch.randn(tensor.shape, generator=chance).to(tensor.dtype)
    save_file(weights, path, metadata={"format": "pt"})
    return out


def publish(registry: Registry, evaluation: Evaluation = BETTER, seed: int = 1, parent: str | None = None) -> Version:
    """A new version, trained from the one that is served."""
    parent = parent or registry.current()
    with registry.work() as work:
        written = retrained(registry.folder(parent), work / "model", seed)
        return registry.publish(written, parent, "SHA256:0", evaluation, CHANGE)
