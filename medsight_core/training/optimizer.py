"""The optimisers of the stages: AdamW as the paper's, or Muon, which learns from far fewer images.

Muon (Jordan 2024) steps a matrix by its momentum made orthogonal, so that rare directions learn as fast as common ones.
torch's own takes plain matrices only; this one takes kernels of convolutions too, and leaves all else to AdamW.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from medsight_core.engine.machine import computes_bf16

OPTIMIZERS = ("adamw", "muon")
# Rows of these stand for words, classes or places, each of which learns for itself.
_ROWS_APART = re.compile(
    r"\b(embed_tokens|patch_embedding|position_embedding|lm_head|classes|head|modality)\.weight$|\w*(queries|tables)$"
    r"|\brows\.(inputs|outputs)$"
)
_MOMENTUM = 0.95
_SIZED_AS_ADAM = 0.2  # root mean square of AdamW's steps in units of the rate (Liu 2025), so that one rate fits both
_ROUNDS = 5
_A, _B, _C = 3.4445, -4.7750, 2.0315  # a Newton-Schulz step that is steepest at zero (Jordan 2024)


class Muon(torch.optim.AdamW):
    """Muon for groups with ``orthogonal``, AdamW without weight decay for the others."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of each. Gradients of the orthogonal groups are spent: they are None afterwards."""
        for group in self.param_groups:
            if group["orthogonal"]:
                self._turn(group)
        return super().step(closure)

    @torch.no_grad()
    def _turn(self, group: dict[str, Any]) -> None:
        for parameter in group["params"]:
            if (gradient := parameter.grad) is None:
                continue
            state = self.state[parameter]
            if not state:
                state["step"] = torch.zeros(())  # AdamW looks for it in every state that it reads back
                state["momentum"] = torch.zeros_like(parameter)
            momentum = state["momentum"]
            momentum.lerp_(gradient, 1 - _MOMENTUM)
            step = orthogonal(gradient.lerp(momentum, _MOMENTUM).flatten(1))
            size = _SIZED_AS_ADAM * max(step.shape) ** 0.5
            parameter.add_(step.view_as(parameter), alpha=-group["lr"] * size)
            parameter.grad = None


def orthogonal(matrix: Tensor) -> Tensor:
    """A matrix (m, n) with all singular values near one and the singular vectors as they were, by Newton-Schulz."""
    x = matrix.to(torch.bfloat16 if computes_bf16() else torch.float32)
    if wide := matrix.shape[0] > matrix.shape[1]:
        x = x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(_ROUNDS):
        square = x @ x.T
        x = _A * x + (_B * square + _C * square @ square) @ x
    return (x.T if wide else x).to(matrix.dtype)


def build_optimizer(
    kind: str,
    named: Iterable[tuple[str, nn.Parameter]],
    rate: float,
    tower_rate: float,
    betas: tuple[float, float],
) -> torch.optim.Optimizer:
    """The optimiser of those parameters that learn. kind: of `OPTIMIZERS`. tower_rate: that of the vision tower."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in named:
        if parameter.requires_grad:
            matrix = kind == "muon" and parameter.ndim > 1 and not _ROWS_APART.search(name)
            groups.setdefault((matrix, "vision." in name), []).append(parameter)
    made = [
        {"params": parameters, "lr": tower_rate if tower else rate, "orthogonal": matrix}
        for (matrix, tower), parameters in groups.items()
    ]
    return (Muon if kind == "muon" else torch.optim.AdamW)(made, betas=betas, weight_decay=0.0)
