"""Short texts that tell model folders apart by what is in them, without reading gigabytes of weights."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import BinaryIO

_WHOLE = 64 << 20  # bytes of a file that are read all; of a larger one, samples
_SAMPLES, _SAMPLE = 64, 1 << 20
_SIGHT = ("vision.", "perceiver.")  # of the weights' names


def model_identity(folder: str | Path) -> str:
    """16 hexadecimal digits of a model folder's configuration and weights; the same for a copy of it.

    A version's name alone is not enough: people train again and keep the name. Of weights above 64 MiB it reads 64
    samples, which two trainings do not share.
    """
    folder = Path(folder)
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for weights in sorted(folder.glob("*.safetensors")):
        size = weights.stat().st_size
        digest.update(f"{weights.name} {size}\n".encode())
        with weights.open("rb") as file:
            if size <= _WHOLE:
                digest.update(file.read())
            else:
                for sample in range(_SAMPLES):
                    file.seek((size - _SAMPLE) * sample // (_SAMPLES - 1))
                    digest.update(file.read(_SAMPLE))
    return digest.hexdigest()[:16]


def sight_identity(folder: str | Path) -> str:
    """The same of what decides how a model sees an image: all of its configuration but its version, tower, perceiver.

    Two versions that differ in their words alone share it. Unreadable weights count as none.
    """
    folder = Path(folder)
    config = json.loads((folder / "config.json").read_bytes())
    config.pop("version", None)
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            for name, about, start, end in _tensors(file):
                if name.startswith(_SIGHT):
                    digest.update(f"{name} {about}\n".encode())
                    file.seek(start)
                    digest.update(file.read(end - start))
    return digest.hexdigest()[:16]


def _tensors(file: BinaryIO) -> list[tuple[str, str, int, int]]:
    """Name, type and shape, first and last byte of each tensor of a safetensors file; none of a damaged one.

    The bytes themselves, because numpy has no bfloat16.
    """
    try:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(min(length, _WHOLE)))
        header.pop("__metadata__", None)
        return [
            (name, f"{about['dtype']} {about['shape']}", *(8 + length + offset for offset in about["data_offsets"]))
            for name, about in sorted(header.items())
        ]
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
        return []
