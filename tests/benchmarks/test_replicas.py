"""The benchmark of several replicas, once and with a tiny model."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.replicas import Measured, measure, report
from medsight_core.imaging.volume import Volume
from medsight_core.server.replicas import has_ray

MB = 10**6


@pytest.mark.slow
@pytest.mark.skipif(not has_ray(), reason="needs 'medsight[scale]'")
def test_both_servers_are_asked_and_answer_alike(tiny_model_dir):
    voxels = np.random.default_rng(0).integers(-1000, 400, (24, 22, 8)).astype(np.int16)
    measured = measure(tiny_model_dir, [Volume(voxels, np.diag([2.0, 2.0, 3.0, 1.0]), "CT")], users=2, repeats=1)
    assert set(measured.seconds) == {(count, question) for count in (1, 2) for question in ("first", "second")}
    assert all(len(seconds) == 1 for seconds in measured.seconds.values())
    assert measured.differing == 0
    assert len(measured.memory[2][1]) == 2
    assert measured.memory[1][1] == []


def test_ratios_are_those_of_one_repeat():
    seconds = {(1, "first"): [4.0, 6.0, 3.0], (2, "first"): [2.0, 4.0, 3.0]}
    seconds |= {(count, "second"): [1.0, 1.0, 1.0] for count in (1, 2)}
    text = report(Measured(seconds, 0, {1: (800 * MB, [], 0), 2: (500 * MB, [700 * MB, 710 * MB], 400 * MB)}), 4)
    assert "| first | 4.00 s | 3.00 s | 1.50 | 1.00 to 2.00 |" in text
    assert "With 2: server 500 MB, replicas 700 MB and 710 MB, Ray itself 400 MB." in text
    assert "With 1: server 800 MB, replicas none, Ray itself 0 MB." in text
