"""What differs between two model folders: settings, and how far the weights of each part lie apart.

Reads one tensor at a time, so it needs no more memory than the largest of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from medsight_core.errors import ModelError


@dataclass(frozen=True)
class PartDifference:
    """One part of the model, such as "perceiver".

    tensors, parameters: of both models together. changed: parameters that differ. distance: norm of the difference as a
    share of the first model's norm. A tensor that only one has, or in another shape, counts as changed wholly.
    """

    part: str
    tensors: int
    parameters: int
    changed: int
    distance: float


def config_difference(one: Path, other: Path) -> dict[str, tuple[Any, Any]]:
    """Settings that differ, by name; what one does not have is None. Raises ModelError when there is no model."""
    first, second = _config(one), _config(other)
    names = sorted(first.keys() | second.keys())
    return {name: (first.get(name), second.get(name)) for name in names if first.get(name) != second.get(name)}


def weight_difference(one: Path, other: Path) -> list[PartDifference]:
    """The difference of each part, by name. Raises ModelError when the weights cannot be read."""
    sums: dict[str, list[float]] = {}
    for name, first, second in _tensors(one, other):
        entry = sums.setdefault(name.partition(".")[0], [0, 0, 0, 0.0, 0.0])
        given = [tensor for tensor in (first, second) if tensor is not None]
        entry[0] += 1
        entry[1] += given[0].numel()
        if first is not None:
            entry[4] += float(first.square().sum())
        if first is not None and second is not None and first.shape == second.shape:
            entry[2] += int((first != second).sum())
            entry[3] += float((first - second).square().sum())
        else:
            entry[2] += given[0].numel()
            entry[3] += sum(float(tensor.square().sum()) for tensor in given)
    return [
        PartDifference(part, int(tensors), int(parameters), int(changed), (apart / norm) ** 0.5 if norm else 0.0)
        for part, (tensors, parameters, changed, apart, norm) in sorted(sums.items())
    ]


def _tensors(one: Path, other: Path) -> Iterator[tuple[str, torch.Tensor | None, torch.Tensor | None]]:
    """Each name, and the tensor under it in both folders, in float32."""
    with ExitStack() as stack:
        try:
            first, second = (_open(folder, stack) for folder in (one, other))
            for name in sorted(first.keys() | second.keys()):
                yield name, _tensor(first, name), _tensor(second, name)
        except (OSError, SafetensorError) as error:
            raise ModelError(f"The weights in {one} or {other} cannot be read: bring them back from a copy.") from error


def _tensor(held: dict[str, Any], name: str) -> torch.Tensor | None:
    return held[name].get_tensor(name).float() if name in held else None


def _open(folder: Path, stack: ExitStack) -> dict[str, Any]:
    """The open file by name of the tensors in it."""
    held = {}
    for path in sorted(folder.glob("*.safetensors")):
        weights = stack.enter_context(safe_open(path, framework="pt"))
        held.update(dict.fromkeys(weights.keys(), weights))
    return held


def _config(folder: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"The config.json in {folder} cannot be read: save the model there again.") from error
    return config
