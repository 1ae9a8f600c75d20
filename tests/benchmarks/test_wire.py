"""The wire's benchmark, on a volume that takes no time: all ways bring the same masks through a real server."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

from benchmarks.wire import AGAIN, WAYS, Sent, measure, packed, table
from medsight_core.imaging.volume import Volume


def small() -> Volume:
    voxels = np.asfortranarray(np.random.default_rng(0).integers(-1000, 400, (48, 40, 32)).astype(np.int16))
    return Volume(voxels, np.diag([-0.7, 0.7, 2.5, 1.0]), "CT")


def test_all_ways_over_a_real_server():
    text = table(small(), repeats=1)
    assert text.startswith("48 x 40 x 32 int16 (0 MB), medians of 1")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")][1:]
    assert [row[0] for row in rows] == list(WAYS)
    assert [row[5] == "0.0" for row in rows] == [row[0] == AGAIN for row in rows], "only then nothing goes up"


def test_other_masks_are_noticed(monkeypatch):
    def shifted(*arguments: Any) -> Sent:
        masks, affine, size = packed(*arguments)
        return [functools.partial(np.roll, mask(), 1) for mask in masks], affine, size

    monkeypatch.setitem(WAYS, AGAIN, shifted)
    with pytest.raises(AssertionError, match="Arrays are not equal"):
        measure(small(), repeats=1)
