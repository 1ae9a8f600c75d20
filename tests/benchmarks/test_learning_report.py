"""The page with the learning curve: what is counted, compared and called missing."""

from __future__ import annotations

import json
import re

import pytest

from benchmarks.learning_report import plot, read_rows, report
from medsight_core.errors import InputError

SETTINGS = {
    "steps": 60, "batch": 8, "planes_per_case": 20, "replay_planes": 30, "replay_weight": 2.0, "back": 0.1, "pool": 80,
}  # fmt: skip


def write(folder, name: str, dice: list[float], reference: float = 0.7) -> None:
    """A run's file."""
    voxels, slices = [int(400 * (1 - value)) for value in dice], [4] * len(dice)
    row = {
        "settings": SETTINGS, "dice": dice, "voxels": voxels, "slices": slices,
        "drawn_voxels": [400] * len(dice), "drawn_slices": [8] * len(dice), "reference": [reference] * 3,
        "false_masks": [0.0, 1.0], "seconds": 120.0, "cpu_seconds": 240.0, "reference_seconds": 30.0,
        "peak_mib": 1000, "machine": "1 thread of a processor", "commit": "abc",
    }  # fmt: skip
    if not name.startswith("start"):
        row["blind"] = [0.1] * len(dice)
    (folder / f"{name}.json").write_text(json.dumps(row))


def test_the_table_and_the_plot(tmp_path):
    for name, dice, *reference in (
        ("start-0-0", [0.0, 0.2]), ("random-0-5", [0.4, 0.6]), ("random-1-5", [0.6, 0.8], 0.69),
        ("random-0-10", [0.7, 0.9]), ("hybrid-0-5", [0.5, 0.9]), ("hybrid-0-10", [0.8, 0.8]),
        ("hybrid-2-10", [0.6, 0.6]), ("poisoned-0-10", [0.3, 0.3]),
    ):  # fmt: skip
        write(tmp_path, name, dice, *reference)
    rows = read_rows(tmp_path)
    text = report(rows)
    assert "abc; 1 thread of a processor, shared with other work. 60 steps of 8 planes" in text
    assert "30 replayed planes that count 2 times, 10% of the way back to the parent's weights at the end." in text
    assert "reaches a Dice of 0.100 on the held-out cases and 0.700 on the reference set." in text
    assert "**Not run**, for want of time: 42 of 48 trainings (4 sizes, 4 strategies, 3 seeds)." in text
    assert "Measured, one figure a seed: +0.700; +0.000; 2.0 minutes on 1 thread, and 0.5 each time" in text
    changed = "-0.005 (-0.010 to +0.000)"
    assert f"| 5 | random | 2 | 0.600 (0.500 to 0.700) | - | {changed} | 0.500 | 4.0 | 1000 |" in text
    assert "| 5 | hybrid | 1 | 0.700 (0.500 to 0.900) | +0.200 (+0.100 to +0.300) |" in text, "the same seed only"
    assert "| 10 | hybrid | 2 | 0.700 (0.700 to 0.700) | +0.000 (-0.100 to +0.100) |" in text
    assert "nothing takes 400 voxels on 8.0 slices." in text
    assert "| 10 | random | 80 | 0.20 | 4.0 |" in text
    assert "| poisoned | 0 | 10 | 0.300 | 0.100 | +0.200 (+0.200 to +0.200) |" in text, (
        "beside those that belong, and in no other table"
    )
    assert len(re.findall(r"(?m)^\| .*poisoned", text)) == 1
    plot(rows, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 5000


def test_a_page_begins_with_the_model_as_it_is(tmp_path):
    write(tmp_path, "random-0-5", [0.4, 0.6])
    with pytest.raises(InputError, match=r"^There is no run of the model as it is in '.*': python -m benchmarks"):
        read_rows(tmp_path)
