"""What is handed in, in every format: segments with their names where a file has them."""

from __future__ import annotations

import shutil
from pathlib import Path

import nrrd
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from volume_builders import affine_of

from medsight_core.answer import Answer, Region
from medsight_core.errors import NotFoundError, TooLargeError, VolumeError
from medsight_core.imaging import label_file
from medsight_core.imaging.label_file import read_label_file
from medsight_core.imaging.same_grid import Grid
from medsight_core.imaging.segmentation_file import write_labelmap, write_segmentation
from medsight_core.imaging.volume import Volume

AFFINE = affine_of((0.7, 0.9, 2.5), degrees=(5, -10, 15), origin=(-40, 25, 310), tilt=0.3)
VOLUME = Volume(np.zeros((9, 8, 7), np.int16), AFFINE, "CT")


def region(label: int, name: str, place) -> Region:
    mask = np.zeros(VOLUME.shape, bool)
    mask[place] = True
    return Region(label, name, "M5_0", (0, 1), 0.9, mask=mask)


LIVER, LESION = region(1, "liver", np.s_[2:6, 2:6, 2:6]), region(2, "lesion", np.s_[3:4, 3:4, 3:4])


@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd"])
def test_a_labelmap_has_values_without_names(tmp_path, extension):
    path = tmp_path / f"label{extension}"
    write_labelmap(path, VOLUME, Answer("", (LIVER, LESION)))
    file = read_label_file(path)
    assert [(segment.label, segment.name) for segment in file.segments] == [(1, ""), (2, "")]
    np.testing.assert_array_equal(file.segments[1].mask, LESION.mask)
    np.testing.assert_array_equal(file.segments[0].mask, LIVER.mask & ~LESION.mask)
    assert file.grid.shape == VOLUME.shape
    np.testing.assert_allclose(file.grid.affine, AFFINE, atol=1e-4)


def test_overlapping_segments_keep_their_names_under_any_file_name(tmp_path):
    path = tmp_path / "label.seg.nrrd"
    write_segmentation(path, VOLUME, Answer("", (LIVER, LESION)))
    stored = shutil.copy(path, tmp_path / "chest.nrrd")  # as MONAI Label keeps it
    for each in (path, stored):
        file = read_label_file(each)
        assert [segment.name for segment in file.segments] == ["liver", "lesion"]
        for segment, asked in zip(file.segments, (LIVER, LESION)):
            np.testing.assert_array_equal(segment.mask, asked.mask)
        assert file.grid.shape == VOLUME.shape
        np.testing.assert_allclose(file.grid.affine, AFFINE, atol=1e-9)


def cut(path: Path, place: tuple[slice, slice, slice], source: Path) -> Path:
    """A piece of a segmentation file, as Slicer saves it."""
    data, header = nrrd.read(str(source))
    first = np.array([axis.start for axis in place])
    header["space origin"] = AFFINE[:3, 3] + AFFINE[:3, :3] @ first
    del header["sizes"]
    nrrd.write(str(path), data[(..., *place)], header)
    return path


@pytest.mark.parametrize("regions", [(LIVER,), (LIVER, LESION)])
def test_a_cut_segmentation_is_laid_on_its_image(tmp_path, regions):
    write_segmentation(tmp_path / "whole.nrrd", VOLUME, Answer("", regions))
    file = read_label_file(cut(tmp_path / "cut.nrrd", np.s_[2:7, 1:8, 2:6], tmp_path / "whole.nrrd"))
    assert file.grid.shape == (5, 7, 4)
    whole = file.on(Grid(VOLUME.shape, AFFINE))
    assert whole.grid.shape == VOLUME.shape
    for segment, asked in zip(whole.segments, regions):
        np.testing.assert_array_equal(segment.mask, asked.mask)


def test_a_cut_labelmap_is_refused(tmp_path):
    path = tmp_path / "a.nrrd"
    write_labelmap(path, Volume(np.zeros((5, 7, 4), np.int16), AFFINE, "CT"), Answer("", ()))
    with pytest.raises(VolumeError, match="its size is 5 x 7 x 4 and the image's 9 x 8 x 7; export it again"):
        read_label_file(path).on(Grid(VOLUME.shape, AFFINE))


def test_an_image_is_no_labelmap(tmp_path):
    for values in (np.random.default_rng(0).integers(-1000, 400, (8, 8, 8)), np.full((8, 8, 8), 0.5)):
        sitk.WriteImage(sitk.GetImageFromArray(values), str(tmp_path / "a.nrrd"))
        with pytest.raises(VolumeError, match="The file is no labelmap: its voxels must be whole numbers from 0"):
            read_label_file(tmp_path / "a.nrrd")
    many = np.arange(512).reshape(8, 8, 8)
    sitk.WriteImage(sitk.GetImageFromArray(many), str(tmp_path / "a.nrrd"))
    with pytest.raises(VolumeError, match="hand in the segmentation, not the image"):
        read_label_file(tmp_path / "a.nrrd")


def test_voxels_kept_elsewhere_are_never_read(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"\1" * 8)
    header = (
        "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 2\nencoding: raw\nspace: left-posterior-superior\n"
        f"space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\ndata file: {secret}\n"
        "Segment0_ID:=a\nSegment0_Name:=liver\nSegment0_LabelValue:=1\nSegment0_Layer:=0\n"
    )
    (tmp_path / "a.nrrd").write_text(header)
    with pytest.raises(VolumeError, match="keeps its voxels in another place"):
        read_label_file(tmp_path / "a.nrrd")


def test_a_segmentation_of_too_many_voxels_is_refused_by_its_header(tmp_path, monkeypatch):
    path = tmp_path / "a.nrrd"
    write_segmentation(path, VOLUME, Answer("", (LIVER,)))
    monkeypatch.setattr(label_file, "MAX_VOXELS", 100)
    with pytest.raises(TooLargeError, match="The segmentation has 504 voxels and the limit is 100: crop it first"):
        read_label_file(path)


def test_a_damaged_file_is_one_sentence(tmp_path):
    path = tmp_path / "a.seg.nrrd"
    write_segmentation(path, VOLUME, Answer("", (LIVER,)))
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(VolumeError, match=r"'a\.seg\.nrrd' is not a segmentation that can be read: export it again"):
        read_label_file(path)
    path.write_bytes(whole.replace(b"sizes: ", b"sizes: x"))
    with pytest.raises(VolumeError, match="is not a segmentation that can be read"):
        read_label_file(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(VolumeError, match="cannot be read"):
        read_label_file(path)
    with pytest.raises(NotFoundError):
        read_label_file(tmp_path / "nobody.nrrd")


def test_a_segmentation_without_its_layers_is_refused(tmp_path):
    path = tmp_path / "a.nrrd"
    write_segmentation(path, VOLUME, Answer("", (LIVER,)))
    data, header = nrrd.read(str(path))
    header["Segment0_Layer"] = "7"
    header.pop("space origin")
    nrrd.write(str(path), data, header)
    with pytest.raises(VolumeError, match="is not a segmentation that can be read"):
        read_label_file(path)
