"""The authors' checkpoint files as tensors by name, read one at a time and never through an unsafe pickle.

Opening a checkpoint reads names and shapes only; the numbers stay on disk until they are asked for. It knows nothing of
what the names mean.
"""

from __future__ import annotations

import argparse
import json
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from medsight_core.errors import InputError, ModelError
from medsight_core.model.official.names import PROJECTED_CODEBOOK

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """Tensors of one file or folder.

    path: the file or folder as it was given.
    shapes: shape of each tensor by name.
    files: the file in which each tensor is, by name.
    read: gives a tensor by name, in its stored precision, possibly as a view of the file.
    steps: training steps, where the file says so.
    """

    path: Path
    shapes: dict[str, tuple[int, ...]]
    files: dict[str, Path]
    read: Callable[[str], Tensor]
    steps: int | None = None

    @classmethod
    def of_tensors(cls, path: Path, tensors: Mapping[str, Tensor], steps: int | None = None) -> Checkpoint:
        """Tensors that are at hand already, such as memory-mapped ones."""
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        return cls(path, shapes, dict.fromkeys(tensors, path), tensors.__getitem__, steps)

    def below(self, prefix: str) -> dict[str, tuple[int, ...]]:
        """Shapes of the tensors whose names begin with ``prefix``, by the rest of the name."""
        return {name[len(prefix) :]: shape for name, shape in self.shapes.items() if name.startswith(prefix)}


def open_folder(folder: Path) -> Checkpoint:
    """The safetensors shards of a transformers folder.

    Raises InputError for a folder without any, ModelError for a shard that is missing or damaged.
    """
    shards = _shards(folder)
    files: dict[str, Path] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for shard in shards:
        if not shard.is_file():
            raise ModelError(f"{folder / INDEX} lists {shard.name}, which is not there: download it again.")
        try:
            with safe_open(shard, framework="pt") as content:
                for name in content.keys():  # noqa: SIM118 - it is no dict
                    files[name], shapes[name] = shard, tuple(content.get_slice(name).get_shape())
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{shard} cannot be read as safetensors: download it again.") from error

    def read(name: str) -> Tensor:
        # Opened for each tensor, so that the pages of those read before are given back.
        with safe_open(files[name], framework="pt") as content:
            return content.get_tensor(name)

    return Checkpoint(folder, shapes, files, read)


def open_torch_file(path: Path) -> Checkpoint:
    """The tensors of a ``.pt`` file: bare, or in an entry "model" or "state_dict" beside other things.

    A prefix "module." of names is left out (model-spec section 1). The one tensor of projected_codebook.pt is called
    `PROJECTED_CODEBOOK`. Only tensors, plain values and argparse.Namespace are ever unpickled.
    Raises InputError for a path without a file, ModelError for one that holds anything else.
    """
    content = _unpickle(path)
    if isinstance(content, Tensor):
        return Checkpoint.of_tensors(path, {PROJECTED_CODEBOOK: content})
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds a {type(content).__name__}, not tensors by name: give another file.")
    state = next((content[entry] for entry in ("model", "state_dict") if isinstance(content.get(entry), dict)), content)
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise ModelError(f"{path} has {name!r} as a {type(value).__name__}, not a tensor: give another file.")
    state = {str(name).removeprefix("module."): tensor for name, tensor in state.items()}
    steps = content.get("steps")
    return Checkpoint.of_tensors(path, state, steps if isinstance(steps, int) else None)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object in a file. Raises InputError when there is none, ModelError when it cannot be read."""
    if not path.is_file():
        raise InputError(f"There is no file {path}: check the path.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is not valid JSON: download or write it again.") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds a {type(content).__name__}, not a JSON object: download or write it again.")
    return content


def _shards(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}: check the path.")
    if not (folder / INDEX).is_file():
        if (folder / SINGLE).is_file():
            return [folder / SINGLE]
        raise InputError(f"{folder} has neither {INDEX} nor {SINGLE}: give the folder of the language model.")
    listed = read_json(folder / INDEX).get("weight_map")
    if not isinstance(listed, dict) or not listed:
        raise ModelError(f"{folder / INDEX} has no weight_map: download it again.")
    names = sorted({str(name) for name in listed.values()})
    for name in names:
        if Path(name).name != name:
            raise ModelError(f"{folder / INDEX} points at {name!r}, outside its folder: download it again.")
    return [folder / name for name in names]


def _unpickle(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"There is no file {path}: check the path.")
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # whatever torch raises on a damaged file, which it does not document
        culprit = re.search(r"GLOBAL (\S+)", str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if culprit is None:
            raise ModelError(f"{path} is no PyTorch checkpoint, or a damaged one: download it again.") from error
        raise ModelError(
            f"{path} holds the Python object {culprit.group(1)}; only tensors and argparse.Namespace are loaded, "
            "because others can run foreign code: get the file from its authors."
        ) from error
