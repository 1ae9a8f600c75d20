"""Label maps: left is left in every storage order, every number has a place, and wrong maps are refused."""

from __future__ import annotations

import numpy as np
import pytest
from head_builders import REAL_DIRECTIONS, save_map, tiny_head

from medsight_core.errors import NotFoundError, VolumeError
from medsight_core.terminology import NAMES
from sample_data.generate.brain_labels import LEGEND, MIRRORED, PARTS, label_maps, labels_where, read_head


def centre(labels: np.ndarray, name: str) -> np.ndarray:
    return np.argwhere(np.isin(labels, LEGEND[name])).mean(axis=0)


def test_names_are_those_of_the_terminology_with_both_sides():
    assert set(LEGEND) <= set(NAMES)
    sided = [name for name in LEGEND if name.startswith("left ")]
    assert len(sided) == 13
    assert {name.replace("left", "right") for name in sided} <= set(LEGEND)
    assert len(LEGEND) == 30  # with lesion and tumour as many as a table has codes


def test_every_storage_order_gives_the_same_head(tmp_path, head):
    for number, affine in enumerate(
        (np.diag([1.0, 1, 1, 1]), np.diag([-1.0, 1, -1, 1]), REAL_DIRECTIONS[:, [1, 0, 2, 3]])
    ):
        stored = read_head(save_map(tmp_path / f"{number}.nii.gz", tiny_head(0), affine))
        np.testing.assert_array_equal(stored.labels, head.labels)
    assert head.subject == "head_00"
    for name in LEGEND:
        if name.startswith("left "):
            assert centre(head.labels, name)[0] > centre(head.labels, name.replace("left", "right"))[0] + 5
    assert centre(head.labels, "fourth ventricle")[1] > centre(head.labels, "third ventricle")[1]  # further back
    assert centre(head.labels, "brainstem")[2] < centre(head.labels, "third ventricle")[2]  # and below


def test_a_map_whose_names_are_on_the_wrong_side_is_refused(tmp_path):
    path = save_map(tmp_path / "mirrored.nii.gz", tiny_head()[::-1])
    with pytest.raises(
        VolumeError, match=r"In 'mirrored.nii.gz' the left cerebral white matter lies on the patient's right"
    ):
        read_head(path)


def test_other_maps_are_refused(tmp_path):
    with pytest.raises(VolumeError, match=r"'ones.nii.gz' is not a label map with FreeSurfer's numbers"):
        read_head(save_map(tmp_path / "ones.nii.gz", np.ones((8, 8, 8))))
    coarse = REAL_DIRECTIONS @ np.diag([2.0, 2, 2, 1])
    with pytest.raises(
        VolumeError, match=r"'coarse.nii.gz' has voxels of \[2. 2. 2.\] mm: resample the label map to 1 mm"
    ):
        read_head(save_map(tmp_path / "coarse.nii.gz", tiny_head(), coarse))
    with pytest.raises(NotFoundError, match=r"There are no label maps in '.*empty': give a folder with .nii.gz files"):
        label_maps(tmp_path / "empty")


def test_mirroring_exchanges_sides_and_nothing_else():
    np.testing.assert_array_equal(MIRRORED[MIRRORED], np.arange(256))
    for name, values in LEGEND.items():
        other = name.replace("left", "RIGHT").replace("right", "left").replace("RIGHT", "right")
        assert sorted(MIRRORED[list(values)]) == sorted(LEGEND[other])


def test_specks_in_the_air_are_dropped_and_the_scalp_is_fat(tmp_path, head):
    dirty = tiny_head(0)
    dirty[1:3, 1:3, 40] = 24
    np.testing.assert_array_equal(read_head(save_map(tmp_path / "dirty.nii.gz", dirty)).labels, head.labels)
    (fat,) = labels_where(lambda part: part.tissue == "fat")
    (muscle,) = labels_where(lambda part: part.tissue == "muscle")
    middle = np.array(head.labels.shape) / 2

    def distance(label: int) -> float:
        return np.linalg.norm(np.argwhere(head.labels == label) - middle, axis=1).mean()

    assert distance(fat) > distance(muscle) + 1


def test_the_brain_is_the_union_of_its_parts():
    assert set(LEGEND["brain"]) == set(labels_where(lambda part: part.in_brain))
    assert PARTS[LEGEND["left thalamus"][0] - 1].ids == (10,)
    for name, values in LEGEND.items():
        assert set(values) <= set(LEGEND["brain"]), name
