"""The learning benchmark: who is chosen, what is counted, and what is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from benchmarks import learning
from benchmarks.learning import NAME, Plan, hippocampi, pick, plot, report
from medsight_core.answer import Answer, Region
from medsight_core.engine.impression import Impression
from medsight_core.errors import InputError


@pytest.fixture
def data(tmp_path) -> Path:
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
        for number in range(6):
            values = np.zeros((8, 8, 8), np.uint8)
            values[2:4, 2:6, 2:6], values[4:6, 2:6, 2:6] = 1, 2
            sitk.WriteImage(sitk.GetImageFromArray(values), str(tmp_path / folder / f"hippocampus_{number:03d}.nii.gz"))
    return tmp_path


def row(strategy: str, size: int, dice: list[float], seed: int = 0, reference: float = 0.7) -> dict:
    voxels, slices = [int(400 * (1 - value)) for value in dice], [4] * len(dice)
    return {
        "strategy": strategy, "seed": seed, "size": size, "dice": dice, "voxels": voxels, "slices": slices,
        "drawn_voxels": [400] * len(dice), "drawn_slices": [8] * len(dice), "reference": [reference] * 3,
        "false_masks": [0.0, 1.0], "seconds": 120.0, "cpu_seconds": 240.0, "peak_mib": 1000.0,
    }  # fmt: skip


def test_the_order_of_cases_is_always_the_same(data):
    first, again = hippocampi(data), hippocampi(data)
    assert first == again
    assert [case.id for case in first] != sorted(case.id for case in first)
    assert first[0].segments == (NAME, NAME)


def test_too_few_images_are_told(data, tmp_path):
    (tmp_path / "work" / "sets").mkdir(parents=True)
    with pytest.raises(InputError, match=r"' has 6 images: 45 are needed\.$"):
        learning.run(Plan(data, tmp_path / "work", sizes=(5,)))


def test_the_doubtful_come_first_and_chance_follows_the_seed(data, tmp_path, monkeypatch):
    cases = hippocampi(data)
    looks = [Impression(np.eye(6, dtype=np.float32)[n], n / 10) for n in range(6)]
    monkeypatch.setattr(learning, "_impressions", lambda plan, pool: looks)
    plan = Plan(data, tmp_path)
    assert [case.id for case in pick(plan, "uncertainty", cases, 3, 0)] == [case.id for case in cases[:2:-1]]
    by_chance = [[case.id for case in pick(plan, "random", cases, 4, seed)] for seed in (0, 0, 1)]
    assert by_chance[0] == by_chance[1] != by_chance[2]
    assert len(set(by_chance[0])) == 4


def test_effort_is_what_has_to_be_changed(data):
    case = hippocampi(data)[0]
    wanted = np.zeros((8, 8, 8), bool)
    wanted[2:6, 2:6, 2:6] = True
    found = wanted.copy()
    found[2:6, 2:6, 2] = False
    found[0, 0, 5] = True

    class Engine:
        def ask(self, volume, prompt, scope, plane):
            region = Region(1, NAME, "M10_0", (0, 0), 1.0, 1.0, (0, 7), (1, 1, 1), mask=found)
            return Answer("", (region,))

    counted = learning._compare(Engine(), case)
    assert counted["voxels"] == 17
    assert counted["slices"] == 2
    assert counted["drawn_voxels"] == 64
    assert counted["drawn_slices"] == 4
    assert counted["dice"] == pytest.approx(2 * 48 / (49 + 64))


def test_the_table_and_the_plot(tmp_path):
    plan = Plan(Path("data"), tmp_path, sizes=(5, 10), strategies=("random", "hybrid"), seeds=(0, 1))
    rows = [
        row("start", 0, [0.0, 0.2]), row("random", 5, [0.4, 0.6]), row("random", 5, [0.6, 0.8], 1, 0.69),
        row("random", 10, [0.7, 0.9]), row("hybrid", 5, [0.5, 0.7]), row("hybrid", 10, [0.8, 0.8]),
    ]  # fmt: skip
    text = report(rows, plan)
    assert "reaches a Dice of 0.100 on the held-out cases and 0.700 on the reference set." in text
    left = "the sizes 20, 40; the strategies uncertainty, diversity; the seeds 2."
    assert f"**Not run**, for want of time: {left}" in text
    assert "| 5 | random | 2 | 0.600 (0.500 to 0.700) | -0.005 (-0.010 to +0.000) | 0.500 | 2.0 | 4.0 | 1000 |" in text
    assert "| 10 | hybrid | 1 | 0.800 (0.800 to 0.800) |" in text
    assert "nothing takes 400 voxels on 8.0 slices." in text
    assert "| 10 | random | 80 | 0.20 | 4.0 |" in text
    plot(rows, plan, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 5000
