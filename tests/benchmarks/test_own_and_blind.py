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


def test_the_difference_is_told_for_each_training_and_for_pairs():
    row = {"strategy": "random", "seed": 0, "size": 10, "dice": [0.8, 0.6], "blind": [0.5, 0.5]}
    lines = own_and_blind([row])
    assert lines[-1] == "| random | 0 | 10 | 0.700 | 0.500 | +0.200 | +0.100 | +0.300 |"
    assert not [line for line in own_and_blind([{"strategy": "start", "dice": [0.0]}]) if "start" in line]
