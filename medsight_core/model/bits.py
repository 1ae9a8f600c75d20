"""In how few bits a language model may be kept; `quantize` does it, and this asks before anything slow is imported."""

from __future__ import annotations

import importlib.util

from medsight_core.errors import InputError, NotFoundError

BITS = (8, 4)


def check_bits(bits: int | None, device: str = "cpu") -> None:
    """Refuse what `quantize` cannot do; None, the whole model, is always fine.

    Raises InputError for other bits and for another device, NotFoundError when torchao is not installed.
    """
    if bits is None:
        return
    if bits not in BITS:
        raise InputError(f"The language model cannot be kept in {bits} bits: use 8 or 4, or leave it out for all.")
    if device != "cpu":
        raise InputError(f"{bits} bits are for the CPU, not for {device!r}: leave out the bits there, or use cpu.")
    if importlib.util.find_spec("torchao") is None:
        raise NotFoundError(f"For {bits} bits torchao is missing: run 'pip install \"medsight[quant]\"'.")
