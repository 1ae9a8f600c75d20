from __future__ import annotations

import re
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from PIL import Image
from volume_builders import affine_of, linear_volume

from medsight_core.errors import InputError, NotFoundError, TooLargeError, VolumeError
from medsight_core.imaging import volume as volume_module
from medsight_core.imaging.volume import Volume, announced_bytes, read_volume

TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
VOXELS = np.random.default_rng(0).integers(-900, 900, (5, 6, 7)).astype(np.int16)
OBLIQUE = affine_of((0.7, 0.8, 2.5), degrees=(10, -20, 30), origin=(-40, 25, 310))
SHEARED = affine_of((0.7, 0.8, 2.5), origin=(-40, 25, 310), tilt=0.4)


def nrrd_header(affine: np.ndarray) -> dict:
    return {
        "space": "left-posterior-superior",
        "space directions": affine[:3, :3].T,
        "space origin": affine[:3, 3],
        "kinds": ["domain"] * 3,
    }


@pytest.mark.parametrize("affine", [OBLIQUE, SHEARED], ids=["oblique", "sheared"])
@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz", "v.nrrd", "v.mha"])
def test_every_format_keeps_voxels_and_place(tmp_path: Path, affine: np.ndarray, name: str):
    path = tmp_path / name
    if ".nii" in name:
        nibabel.save(nibabel.Nifti1Image(VOXELS, TO_RAS @ affine), path)
    elif name == "v.nrrd":
        nrrd.write(str(path), VOXELS, nrrd_header(affine))
    else:
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        image = sitk.GetImageFromArray(VOXELS.T)
        image.SetSpacing(spacing.tolist())
        image.SetOrigin(affine[:3, 3].tolist())
        image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
        sitk.WriteImage(image, str(path))
    volume = read_volume(path)
    assert volume.voxels.dtype == np.int16
    np.testing.assert_array_equal(volume.voxels, VOXELS)
    np.testing.assert_allclose(volume.affine, affine, atol=2e-5)
    assert volume.modality == "CT"


def test_geometry_of_a_volume():
    volume = Volume(VOXELS, SHEARED, "CT")
    assert volume.shape == (5, 6, 7)
    np.testing.assert_allclose(volume.spacing, [0.7, 0.8, np.hypot(2.5, 0.4 * 0.8)])
    assert volume.voxel_ml == pytest.approx(0.7 * 0.8 * 2.5 / 1000)  # shearing keeps the volume of a voxel
    assert volume.background == VOXELS.min()
    assert Volume(VOXELS * 3, SHEARED, "CT").background == -1024


def test_nifti_scaling_is_applied_and_whole_numbers_stay_whole(tmp_path: Path):
    image = nibabel.Nifti1Image(VOXELS, np.eye(4))
    image.header.set_slope_inter(2, -1024)
    nibabel.save(image, tmp_path / "a.nii")
    stored = nibabel.load(tmp_path / "a.nii")
    expected = stored.get_fdata()
    volume = read_volume(tmp_path / "a.nii")
    np.testing.assert_allclose(volume.voxels, expected, atol=1e-3)

    raw = bytearray((tmp_path / "a.nii").read_bytes())
    raw[112:120] = np.array([1, -1024], "<f4").tobytes()  # scl_slope, scl_inter: nibabel itself writes no whole ones
    (tmp_path / "b.nii").write_bytes(raw)
    whole = read_volume(tmp_path / "b.nii")
    assert whole.voxels.dtype == np.int16
    np.testing.assert_array_equal(whole.voxels, nibabel.load(tmp_path / "b.nii").get_fdata())


def test_nifti_in_metres_and_with_one_time_point(tmp_path: Path):
    image = nibabel.Nifti1Image(VOXELS[..., None], TO_RAS @ np.diag([0.001, 0.002, 0.003, 1]))
    image.header.set_xyzt_units("meter")
    nibabel.save(image, tmp_path / "m.nii")
    volume = read_volume(tmp_path / "m.nii")
    np.testing.assert_array_equal(volume.voxels, VOXELS)
    np.testing.assert_allclose(volume.spacing, [1, 2, 3], rtol=1e-6)


@pytest.mark.parametrize(
    ("stored", "read"),
    [(np.uint8, np.uint8), (np.uint16, np.int16), (np.int32, np.int16), (np.float64, np.float32)],
)
def test_voxels_take_the_smallest_usual_type(tmp_path: Path, stored: type, read: type):
    voxels = np.abs(VOXELS) % 200
    nibabel.save(nibabel.Nifti1Image(voxels.astype(stored), np.eye(4)), tmp_path / "v.nii")
    volume = read_volume(tmp_path / "v.nii")
    assert volume.voxels.dtype == read
    np.testing.assert_array_equal(volume.voxels, voxels)


def test_modality_is_guessed_from_values_and_the_callers_word_wins(tmp_path: Path):
    nibabel.save(nibabel.Nifti1Image(VOXELS, np.eye(4)), tmp_path / "ct.nii")
    nibabel.save(nibabel.Nifti1Image(np.abs(VOXELS), np.eye(4)), tmp_path / "mr.nii")
    assert read_volume(tmp_path / "ct.nii").modality == "CT"
    assert read_volume(tmp_path / "mr.nii").modality == "MR"
    assert read_volume(tmp_path / "ct.nii", modality="mr").modality == "MR"
    with pytest.raises(InputError, match="Unknown modality 'PET': use one of CT, MR, US, XR, OT"):
        read_volume(tmp_path / "ct.nii", modality="PET")


def test_fingerprint_follows_pixels_geometry_and_modality_not_memory_layout():
    volume = Volume(VOXELS, OBLIQUE, "CT")
    changed = VOXELS.copy()
    changed[1, 2, 3] += 1
    assert volume.fingerprint() == Volume(np.asfortranarray(VOXELS), OBLIQUE.copy(), "ct").fingerprint()
    others = [Volume(changed, OBLIQUE, "CT"), Volume(VOXELS, SHEARED, "CT"), Volume(VOXELS, OBLIQUE, "MR")]
    assert len({volume.fingerprint(), *(other.fingerprint() for other in others)}) == 4


def test_voxels_of_a_volume_cannot_be_changed():
    voxels = VOXELS.copy()
    volume = Volume(voxels, OBLIQUE, "CT")
    with pytest.raises(ValueError, match="read-only"):
        volume.voxels[0, 0, 0] = 1
    voxels[0, 0, 0] = 1  # the caller's own array stays his


@pytest.mark.parametrize(
    ("voxels", "affine", "sentence"),
    [
        (np.zeros((4, 4)), np.eye(4), "The image has 2 dimensions (4 x 4): give a three-dimensional volume."),
        (np.zeros((4, 4, 3, 2)), np.eye(4), "The image has 4 dimensions (4 x 4 x 3 x 2): give"),
        (np.zeros((4, 4, 1)), np.eye(4), "The image is only one voxel thick (4 x 4 x 1): give a volume with at least"),
        (np.zeros((2, 2, 2), complex), np.eye(4), "Voxels of type complex128 cannot be used: store them as int16"),
        (np.full((2, 2, 2), np.nan), np.eye(4), "The image has 8 voxels that are NaN or infinite: replace them"),
        (np.zeros((2, 2, 2)), np.diag([1, 1, 0, 1]), "The image's axes do not span three dimensions: repair"),
        (np.zeros((2, 2, 2)), np.full((4, 4), np.nan), "The image's position in the patient is not a finite 4 x 4"),
    ],
)
def test_what_is_no_volume_is_refused(voxels: np.ndarray, affine: np.ndarray, sentence: str):
    with pytest.raises(VolumeError, match=re.escape(sentence)):
        Volume(voxels, affine, "MR")


def test_too_many_voxels_are_refused_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(volume_module, "MAX_VOXELS", 100)
    nibabel.save(nibabel.Nifti1Image(VOXELS, np.eye(4)), tmp_path / "v.nii")
    (tmp_path / "v.nii").write_bytes((tmp_path / "v.nii").read_bytes()[:400])  # reading it would fail otherwise
    with pytest.raises(TooLargeError, match=r"The image has 5 x 6 x 7 voxels and the limit is 100: crop or downsample"):
        read_volume(tmp_path / "v.nii")


def test_files_that_hold_no_volume_are_refused_in_one_sentence(tmp_path: Path):
    def refused(name: str) -> str:
        with pytest.raises(VolumeError) as error:
            read_volume(tmp_path / name)
        assert "\n" not in str(error.value)
        return str(error.value)

    with pytest.raises(NotFoundError, match=r"There is no image at '.*missing.nii': check the path"):
        read_volume(tmp_path / "missing.nii")
    for name in ("a.nii", "a.nii.gz", "a.nrrd", "a.mha"):
        (tmp_path / name).write_bytes(b"nothing that an image starts with" * 20)
        assert refused(name) == f"'{name}' cannot be read: the file is damaged or not what its extension says."
        (tmp_path / name).write_bytes(b"")
        assert "cannot be read" in refused(name)
    nibabel.save(nibabel.Nifti1Image(VOXELS, np.eye(4)), tmp_path / "cut.nii.gz")
    (tmp_path / "cut.nii.gz").write_bytes((tmp_path / "cut.nii.gz").read_bytes()[:-60])
    assert "cannot be read" in refused("cut.nii.gz")
    nibabel.save(nibabel.Nifti1Image(VOXELS[:, :, 0], np.eye(4)), tmp_path / "flat.nii")
    assert "2 dimensions (5 x 6)" in refused("flat.nii")
    nibabel.save(nibabel.Nifti1Image(np.stack([VOXELS] * 2, -1), np.eye(4)), tmp_path / "time.nii")
    assert "4 dimensions (5 x 6 x 7 x 2)" in refused("time.nii")
    nibabel.save(nibabel.Nifti1Image(VOXELS.astype(np.complex64), np.eye(4)), tmp_path / "complex.nii")
    assert "has colours or complex numbers" in refused("complex.nii")
    sitk.WriteImage(sitk.GetImageFromArray(VOXELS[0]), str(tmp_path / "flat.nrrd"))
    assert "2 dimensions" in refused("flat.nrrd")
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5, 6, 3), np.uint8), isVector=True), str(tmp_path / "rgb.mha"))
    assert refused("rgb.mha").startswith("'rgb.mha' has 3 values per voxel (colour, vectors or time): give a volume")
    nrrd.write(str(tmp_path / "thin.nrrd"), VOXELS[:, :, :1], nrrd_header(np.eye(4)))
    assert "only one voxel thick (5 x 6 x 1)" in refused("thin.nrrd")
    nan = VOXELS.astype(np.float32)
    nan[0, 0, 0] = np.nan
    nrrd.write(str(tmp_path / "nan.nrrd"), nan, nrrd_header(np.eye(4)))
    assert "has 1 voxels that are NaN" in refused("nan.nrrd")
    Image.new("L", (8, 8)).save(tmp_path / "photo.png")
    assert refused("photo.png").startswith("'photo.png' is not a volume that can be read: give .nii, .nii.gz, .nrrd")


NRRD_HEADER = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 2\nencoding: raw\ndata file: {}\n\n"
META_HEADER = "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementDataFile = {}\n"


@pytest.mark.parametrize(("name", "header"), [("v.nhdr", NRRD_HEADER), ("v.mhd", META_HEADER)])
def test_a_detached_header_reaches_the_file_beside_it_and_no_other(tmp_path: Path, name: str, header: str):
    (tmp_path / "v.raw").write_bytes(bytes(range(8)))
    (tmp_path / name).write_text(header.format("v.raw"))
    assert read_volume(tmp_path / name).voxels[1, 1, 1] == 7
    for target in ("/etc/hostname", "../v.raw", "LIST", "slice%03d.raw 1 9 1", str(tmp_path / "v.raw")):
        (tmp_path / name).write_text(header.format(target))
        with pytest.raises(VolumeError, match=r"keeps its voxels in another place: store header and voxels in one"):
            read_volume(tmp_path / name)


@pytest.mark.parametrize(("name", "header"), [("v.nrrd", NRRD_HEADER), ("v.mha", META_HEADER)])
def test_a_whole_file_reaches_no_other(tmp_path: Path, name: str, header: str):
    (tmp_path / "v.raw").write_bytes(bytes(range(8)))
    (tmp_path / name).write_text(header.format("v.raw"))
    with pytest.raises(VolumeError, match="another place"):
        read_volume(tmp_path / name)
    start, end = header.format("v.raw").split("\n", 1)
    filler = "# long\n" if name == "v.nrrd" else "Comment = long\n"
    (tmp_path / name).write_text(start + "\n" + filler * 20000 + end)
    with pytest.raises(VolumeError, match="cannot be read"):
        read_volume(tmp_path / name)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("extension", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_a_header_tells_how_much_memory_the_voxels_will_take(tmp_path: Path, kind: type, extension: str):
    path, voxels = tmp_path / f"image{extension}", (np.arange(6 * 5 * 4).reshape(6, 5, 4) % 100).astype(kind)
    if ".nii" in extension:
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), path)
    else:
        sitk.WriteImage(sitk.GetImageFromArray(voxels.T), str(path))
    told, taken = announced_bytes(path), read_volume(path).voxels.nbytes
    assert told == {np.uint8: 120, np.int16: 240}.get(kind, 480)
    assert taken <= told


def test_scaled_values_take_more_than_stored_ones(tmp_path: Path):
    image = nibabel.Nifti1Image(np.ones((6, 5, 4), np.int16), np.eye(4))
    image.header.set_slope_inter(0.5, 1.0)
    nibabel.save(image, tmp_path / "image.nii")
    assert announced_bytes(tmp_path / "image.nii") == read_volume(tmp_path / "image.nii").voxels.nbytes == 480


def test_what_cannot_be_read_announces_nothing(tmp_path: Path):
    (tmp_path / "v.raw").write_bytes(bytes(range(8)))
    (tmp_path / "v.nrrd").write_text(NRRD_HEADER.format("v.raw"))
    for name in ("a.nii.gz", "a.nrrd", "a.mha", "a.txt"):
        (tmp_path / name).write_bytes(b"nothing")
        assert announced_bytes(tmp_path / name) == 0
    assert announced_bytes(tmp_path / "v.nrrd") == announced_bytes(tmp_path / "missing.nii") == 0


def test_linear_volume_is_what_the_other_tests_take_it_for():
    volume = linear_volume((3, 4, 5), OBLIQUE)
    point = OBLIQUE @ (1, 2, 3, 1)
    assert volume.voxels[1, 2, 3] == pytest.approx(2 * point[0] - 3 * point[1] + 0.5 * point[2] + 7)
