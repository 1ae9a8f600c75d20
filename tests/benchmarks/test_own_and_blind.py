"""Outlines that change places, and what tells them from those that belong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813

from benchmarks.own_and_blind import own_and_blind, swapped
from medsight_core.data.corrected_cases import Case
from medsight_core.training.taught_planes import case_masks, case_volume


def case(folder: Path, name: str, size: int, first: int) -> Case:
    image, label = folder / f"{name}.nii.gz", folder / f"{name}-label.nii.gz"
    values = np.zeros((size, 8, 8), np.uint8)  # K, J, I
    values[first : first + size // 4] = 1
    for path in (image, label):
        sitk.WriteImage(sitk.GetImageFromArray(values), str(path))
    return Case(image.name, image, label, ("left hippocampus",), modality="MR")


def test_each_case_gets_the_outline_of_the_next_stretched_over_its_own_voxels(tmp_path):
    cases = [case(tmp_path, "one", 8, 0), case(tmp_path, "two", 16, 8), case(tmp_path, "three", 8, 4)]
    found = [case_masks(each, case_volume(each))["left hippocampus"] for each in swapped(cases, tmp_path / "swapped")]
    rows = [np.flatnonzero(mask.all(axis=(0, 1))).tolist() for mask in found]
    assert rows == [[4, 5], [8, 9, 10, 11], [0, 1]]
    assert [mask.shape[2] for mask in found] == [8, 16, 8]


def row(strategy: str, own: list[float], blind: list[float]) -> dict:
    return {"strategy": strategy, "seed": 0, "size": 10, "dice": own, "blind": blind}


def test_the_difference_is_told_for_each_training_and_how_often_a_margin_is_wrong():
    belong, strange = row("random", [0.8, 0.6], [0.5, 0.57]), row("poisoned", [0.4, 0.4], [0.4, 0.33])
    lines = own_and_blind([{"strategy": "start", "dice": [0.0]}, belong, strange], "poisoned")
    assert "| random | 0 | 10 | 0.700 | 0.535 | +0.165 (+0.030 to +0.300) |" in lines
    assert "| poisoned | 0 | 10 | 0.400 | 0.365 | +0.035 (+0.000 to +0.070) |" in lines
    assert not [line for line in lines if line.startswith("| start")]
    one = next(line for line in lines if line.startswith("| 1 |")).strip("| ").split(" | ")
    assert one[1] == "0%", "0.02: both belong"
    assert 45 < float(one[2].rstrip("%")) < 55, "one of two passes"
    assert 45 < float(one[3].rstrip("%")) < 55, "0.05: one of two is refused"


def test_without_poison_no_margin_is_judged():
    assert own_and_blind([row("random", [0.8, 0.6], [0.5, 0.57])], "poisoned")[-1].startswith("| random")
