from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from volume_builders import affine_of, write_dicom_series

from medsight_core.errors import VolumeError
from medsight_core.imaging.volume import read_volume

VOXELS = np.random.default_rng(0).integers(-1000, 1500, (6, 5, 4)).astype(np.int16)
AFFINE = affine_of((0.7, 0.9, 2.5), degrees=(5, -10, 15), origin=(-40, 25, 310))


@pytest.mark.parametrize(
    "affine",
    [AFFINE, affine_of((0.7, 0.7, 3), origin=(1, 2, 3), tilt=0.5), affine_of((1, 1, 2)) @ np.diag([-1, -1, 1, 1])],
    ids=["oblique", "tilted gantry", "turned by 180 degrees"],
)
def test_a_series_keeps_voxels_place_and_hounsfield_units(tmp_path: Path, affine: np.ndarray):
    write_dicom_series(tmp_path / "deep" / "folder", VOXELS, affine)
    (tmp_path / "notes.txt").write_text("not an image")
    volume = read_volume(tmp_path)
    assert (volume.modality, volume.voxels.dtype) == ("CT", np.int16)
    np.testing.assert_array_equal(volume.voxels, VOXELS)
    np.testing.assert_allclose(volume.affine, affine, atol=1e-5)


def test_slices_stored_head_first_are_put_in_order(tmp_path: Path):
    downwards = AFFINE.copy()
    downwards[:3, 2] *= -1
    write_dicom_series(tmp_path, VOXELS, downwards)
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.voxels, VOXELS[:, :, ::-1])
    np.testing.assert_allclose(volume.affine[:3, 3], downwards[:3, 2] * 3 + downwards[:3, 3], atol=1e-5)


def test_the_largest_series_is_read_and_of_equal_ones_the_first(tmp_path: Path):
    write_dicom_series(tmp_path / "many", VOXELS[:, :, :2], AFFINE, number=1, name="scout")
    write_dicom_series(tmp_path / "many", VOXELS, AFFINE, number=5, name="late")
    write_dicom_series(tmp_path / "many", VOXELS[::-1], AFFINE, number=3, name="early", Modality="MR")
    volume = read_volume(tmp_path / "many")
    np.testing.assert_array_equal(volume.voxels, VOXELS[::-1])
    assert volume.modality == "MR"
    assert read_volume(tmp_path / "many", modality="ot").modality == "OT"


@pytest.mark.parametrize(("tag", "modality"), [("CR", "XR"), ("US", "US"), ("PT", "OT")])
def test_dicom_modalities_are_translated(tmp_path: Path, tag: str, modality: str):
    write_dicom_series(tmp_path, VOXELS, AFFINE, Modality=tag)
    assert read_volume(tmp_path).modality == modality


def edit(path: Path, **tags: object) -> None:
    slice_ = pydicom.dcmread(path)
    for key, value in tags.items():
        setattr(slice_, key, value)
    slice_.save_as(path)


def refused(path: Path) -> str:
    with pytest.raises(VolumeError) as error:
        read_volume(path)
    assert "\n" not in str(error.value)
    assert "Test" not in str(error.value)  # the patient
    return str(error.value)


def test_series_that_make_no_volume_are_refused(tmp_path: Path):
    def series(name: str) -> list[Path]:
        return write_dicom_series(tmp_path / name, VOXELS, AFFINE)

    (tmp_path / "empty").mkdir()
    assert refused(tmp_path / "empty") == "The folder 'empty' holds no DICOM images: give the folder with the slices."
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.txt").write_text("hello")
    assert "holds no DICOM images" in refused(tmp_path / "other")

    first, *_ = series("single")
    assert refused(first).startswith("A single DICOM slice is only one voxel thick: give the folder with all slices")
    for path in (tmp_path / "single").iterdir():
        if path != first:
            path.unlink()
    assert "only one voxel thick" in refused(tmp_path / "single")
    edit(first, NumberOfFrames=4)
    assert "multi-frame DICOM file, which is not supported yet: export it as single-frame slices" in refused(first)
    assert "multi-frame" in refused(tmp_path / "single")

    series("gap")[1].unlink()
    assert "unevenly spaced (2.50 to 5.00 mm): add the missing slices" in refused(tmp_path / "gap")
    paths = series("twice")
    edit(paths[1], ImagePositionPatient=pydicom.dcmread(paths[0]).ImagePositionPatient)
    assert "Two slices of the DICOM series lie at the same position" in refused(tmp_path / "twice")
    edit(series("nowhere")[2], ImagePositionPatient=None)
    assert "do not say where they lie in the patient: give a series with position" in refused(tmp_path / "nowhere")
    edit(series("turned")[2], ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    assert "differ in size, spacing or orientation: give a series of parallel slices" in refused(tmp_path / "turned")
    for path in series("colour"):
        edit(path, SamplesPerPixel=3)
    assert "The DICOM series is in colour: give a series with one value" in refused(tmp_path / "colour")


def test_slices_that_cannot_be_decoded_are_refused(tmp_path: Path):
    voxels = np.zeros((64, 64, 3), np.int16)
    cut = write_dicom_series(tmp_path / "cut", voxels, AFFINE)[1]
    cut.write_bytes(cut.read_bytes()[:-2000])
    assert "A slice of the DICOM series is cut off: copy or export" in refused(tmp_path / "cut")
    odd = write_dicom_series(tmp_path / "odd", voxels, AFFINE)[1]
    slice_ = pydicom.dcmread(odd)
    slice_.PixelData = pydicom.encaps.encapsulate([b"no JPEG stream"])
    slice_.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless
    slice_["PixelData"].is_undefined_length = True
    slice_.save_as(odd)
    assert "A slice of the DICOM series cannot be decoded: export the series again" in refused(tmp_path / "odd")


def test_uneven_spacing_beyond_one_per_cent_is_refused_and_rounding_is_not(tmp_path: Path):
    affine = affine_of((1, 1, 2.0))
    for name, shift, fine in (("rounded", 0.009, True), ("uneven", 0.05, False)):
        paths = write_dicom_series(tmp_path / name, VOXELS, affine)
        edit(paths[2], ImagePositionPatient=[0, 0, 4 + shift])
        if fine:
            assert read_volume(tmp_path / name).spacing[2] == pytest.approx(2.0)
        else:
            assert "unevenly spaced" in refused(tmp_path / name)
