"""A prepared conversion as a MedSIGHT model folder, written a shard at a time.

No more than one shard of the result and one tensor of the input is in memory, and the folder appears only when it is
complete. What becomes of which tensor was decided before (`sources`).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors.torch import save_file

from medsight_core.errors import InputError
from medsight_core.model.official.card import model_card
from medsight_core.model.official.checkpoints import INDEX
from medsight_core.model.official.sources import Prepared

SHARD_BYTES = 2_000_000_000

Report = Callable[[str, float], None]


def write(
    prepared: Prepared,
    out: Path,
    dtype: torch.dtype = torch.bfloat16,
    shard_bytes: int = SHARD_BYTES,
    report: Report | None = None,
) -> None:
    """Write weights, configuration, tokenizer and model card to ``out``, which must not exist or be empty.

    report: called with what is going on and how much is done, 0..1.
    Raises ModelError for the first fault of the conversion, InputError for a folder that cannot be written.
    """
    conversion = prepared.conversion
    conversion.check()
    with torch.device("meta"):
        empty = {name: torch.empty(conversion.shapes[name], dtype=dtype) for name in conversion.names}
    split = split_torch_state_dict_into_shards(empty, max_shard_size=shard_bytes)
    total = split.metadata["total_size"]
    with _complete_folder(out, total) as folder:
        done = 0
        for number, (file, names) in enumerate(split.filename_to_tensors.items(), 1):
            tensors = {}
            for name in names:
                tensors[name] = conversion.make(name, dtype)
                done += tensors[name].nbytes
                if report is not None:
                    report(f"Converting, shard {number} of {len(split.filename_to_tensors)}", done / total)
            save_file(tensors, folder / file, metadata={"format": "pt"})
        if split.is_sharded:
            index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
            (folder / INDEX).write_text(json.dumps(index, indent=2), encoding="utf-8")
        prepared.config.dtype = dtype
        prepared.config.save_pretrained(folder)
        prepared.processor.save_pretrained(folder)
        card = model_card(prepared, str(dtype).removeprefix("torch."))
        (folder / "README.md").write_text(card, encoding="utf-8")


@contextmanager
def _complete_folder(out: Path, size: int) -> Iterator[Path]:
    """A folder to write to that becomes ``out`` at the end, or vanishes when anything goes wrong."""
    out = out.absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is there already and not empty: give another folder with --out.")
    partial = out.with_name(f".{out.name}.partial-{os.getpid()}")
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"{out} cannot be written ({error.strerror}): give another folder with --out.") from error
    try:
        free = shutil.disk_usage(partial).free
        if free < size:
            raise InputError(
                f"The model takes {size / 1e9:.1f} GB and {out.parent} has {free / 1e9:.1f} GB free: give a folder on "
                "another disk with --out."
            )
        yield partial
        if out.exists():
            out.rmdir()  # it is empty
        partial.replace(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
