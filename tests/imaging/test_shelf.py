"""Volumes from memory: only the file as it is now, and no more than fits."""

from __future__ import annotations

import os

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from medsight_core.errors import NotFoundError
from medsight_core.imaging.shelf import VolumeShelf
from medsight_core.imaging.volume import Volume, once_a_volume


def write(path, value: int) -> str:
    sitk.WriteImage(sitk.GetImageFromArray(np.full((4, 8, 8), value, np.int16)), str(path))
    return str(path)


def test_an_unchanged_file_is_read_once(tmp_path):
    shelf, path = VolumeShelf(), write(tmp_path / "a.nrrd", 1)
    assert shelf.read(path) is shelf.read(path)
    assert shelf.read(path, "CT").modality == "CT" != shelf.read(path).modality


def test_a_file_that_changed_is_read_again(tmp_path):
    shelf, path = VolumeShelf(), write(tmp_path / "a.nrrd", 1)
    shelf.read(path)
    os.replace(write(tmp_path / "b.nrrd", 2), path)  # of the same size
    assert shelf.read(path).voxels.max() == 2
    write(path, 3)
    assert shelf.read(path).voxels.max() == 3
    os.unlink(path)
    with pytest.raises(NotFoundError):
        shelf.read(path)


def test_only_so_many_bytes_are_kept_those_used_last(tmp_path):
    shelf = VolumeShelf(capacity=2 * 4 * 8 * 8 * 2)
    first, second, third = (write(tmp_path / f"{name}.nrrd", 1) for name in "abc")
    kept = shelf.read(first)
    other = shelf.read(second)
    assert shelf.read(first) is kept
    shelf.read(third)
    assert shelf.read(first) is kept
    assert shelf.read(second) is not other


def test_what_is_found_out_about_a_volume_is_found_out_once():
    asked = []

    @once_a_volume
    def darkest(volume: Volume) -> float:
        asked.append(volume)
        return float(volume.voxels.min())

    one, other = (Volume(np.full((2, 2, 2), value), np.eye(4), "MR") for value in (1, 2))
    assert [darkest(one), darkest(other), darkest(one)] == [1, 2, 1]
    assert len(asked) == 2
