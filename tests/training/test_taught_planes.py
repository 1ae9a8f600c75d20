"""Planes of cases: named as the model names them there, with left on the right of the picture."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from tiny_model import tiny_model

from medsight_core.data.corrected_cases import Case
from medsight_core.training.taught_planes import taught_planes

NAMES = {"MR": ["left thalamus", "right thalamus", "thalamus", "brainstem"]}


@pytest.fixture(scope="module")
def processor():
    return tiny_model(modality_names=NAMES)[1]


@pytest.fixture(scope="module")
def case(tmp_path_factory) -> Case:
    """A grey cube with a thing on the patient's left."""
    folder: Path = tmp_path_factory.mktemp("planes")
    voxels, label = np.zeros((24, 24, 24), np.int16), np.zeros((24, 24, 24), np.uint8)
    voxels[1:23, 1:23, 1:23] = 60
    voxels[15:20, 8:16, 8:16], label[15:20, 8:16, 8:16] = 100, 1
    to_ras = np.diag([-1.0, -1.0, 1.0, 1.0])  # i runs to the left
    for name, values in (("image", voxels), ("label", label)):
        nibabel.save(nibabel.Nifti1Image(values, to_ras), str(folder / f"{name}.nii.gz"))
    return Case(
        "case", folder / "image.nii.gz", folder / "label.nii.gz", ("left thalamus",), ("right thalamus", "brainstem"),
        modality="MR",
    )  # fmt: skip


def test_most_planes_show_something_and_left_is_on_the_right(case, processor):
    planes = [plane for plane in taught_planes(case, processor, 20, 0) if plane.view == "axial MR"]
    shown = [plane for plane in planes if plane.masks]
    assert len(shown) == 8, "all there are"
    for plane in shown:
        assert list(plane.masks) == ["left thalamus"]
        columns = np.flatnonzero(plane.masks["left thalamus"].any(0))
        assert columns.min() > 16, "the picture's right half"
        assert set(plane.absent) == {"right thalamus", "brainstem"}
    blank = [plane for plane in planes if not plane.masks]
    assert len(blank) == 3, "a quarter of the twelve that are axial"
    assert all("left thalamus" in plane.absent for plane in blank if plane.picture.any())


def test_on_sagittal_planes_nothing_has_a_side(case, processor):
    planes = [plane for plane in taught_planes(case, processor, 20, 0) if plane.view == "sagittal MR"]
    assert {name for plane in planes for name in plane.masks} == {"thalamus"}
    assert all("right thalamus" not in plane.absent for plane in planes)
    assert all(set(plane.absent) <= {"thalamus", "brainstem"} for plane in planes)


def test_without_a_label_any_plane_will_do(case, processor):
    planes = taught_planes(Case("case", case.image, None, modality="MR"), processor, 10, 0)
    assert len(planes) == 10
    assert not any(plane.masks or plane.absent for plane in planes)
