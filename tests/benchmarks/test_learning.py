"""The learning benchmark: who is chosen, what is counted, and what is written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from benchmarks import learning
from benchmarks.learning import NAME, Plan, hippocampi, pick
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


def test_the_order_of_cases_is_always_the_same(data):
    first, again = hippocampi(data), hippocampi(data)
    assert first == again
    assert [case.id for case in first] != sorted(case.id for case in first)
    assert first[0].segments == (NAME, NAME)


def test_too_few_images_are_told(data, tmp_path):
    (tmp_path / "work" / "sets").mkdir(parents=True)
    with pytest.raises(InputError, match=r"' has 6 images: 55 are needed\.$"):
        learning.run(Plan(data, tmp_path / "work", tmp_path, sizes=(5,)))


def test_figures_of_other_settings_are_not_mixed(data, tmp_path):
    plan = Plan(data, tmp_path, tmp_path)
    (tmp_path / "random-0-5.json").write_text(json.dumps({"settings": {**learning._settings(plan), "steps": 7}}))
    with pytest.raises(InputError, match=r"random-0-5.json' was measured with .*'steps': 7.*: give other --results\.$"):
        learning._once(plan, "random", 0, 5, [], [])


def test_the_doubtful_come_first_and_chance_follows_the_seed(data, tmp_path, monkeypatch):
    cases = hippocampi(data)
    looks = [Impression(np.eye(6, dtype=np.float32)[n], n / 10) for n in range(6)]
    monkeypatch.setattr(learning, "_impressions", lambda plan, pool: looks)
    plan = Plan(data, tmp_path, tmp_path)
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

    counted = learning._compare(Engine(), case, [wanted])
    assert counted["voxels"] == 17
    assert counted["slices"] == 2
    assert counted["drawn_voxels"] == 64
    assert counted["drawn_slices"] == 4
    assert counted["dice"] == counted["blind"] == pytest.approx(2 * 48 / (49 + 64), abs=1e-4)
    assert "blind" not in learning._compare(Engine(), case, [])
