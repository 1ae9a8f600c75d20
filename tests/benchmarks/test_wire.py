"""The wire's benchmark, on a volume that takes no time: both ways bring the same masks through a real server."""

from __future__ import annotations

import numpy as np

from benchmarks.wire import table
from medsight_core.imaging.volume import Volume


def test_three_ways_over_a_real_server():
    voxels = np.asfortranarray(np.random.default_rng(0).integers(-1000, 400, (24, 20, 16)).astype(np.int16))
    text = table(Volume(voxels, np.diag([-0.7, 0.7, 2.5, 1.0]), "CT"), repeats=1)
    assert text.startswith("24 x 20 x 16 int16 (0 MB), medians of 1")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")][1:]
    assert [row[0] for row in rows] == ["today", "ours", "ours again"]
    assert rows[2][3] == "0.0", "the second time nothing goes up"
