from __future__ import annotations

import re
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import slicerio
from volume_builders import affine_of

from medsight_core.answer import NOTICE, Answer, Region
from medsight_core.errors import InputError, NotFoundError, VolumeError
from medsight_core.imaging.segmentation_file import read_segmentation, write_labelmap, write_segmentation
from medsight_core.imaging.volume import Volume
from medsight_core.terminology import coding, color

AFFINE = affine_of((0.7, 0.9, 2.5), degrees=(5, -10, 15), origin=(-40, 25, 310), tilt=0.3)
VOLUME = Volume(np.zeros((9, 8, 7), np.int16), AFFINE, "CT")


def region(label: int, name: str, place: tuple[slice, ...]) -> Region:
    mask = np.zeros(VOLUME.shape, bool)
    mask[place] = True
    return Region(label, name, f"M5_{label}", (0, 1), 0.875, color=color(name), terminology=coding(name), mask=mask)


LEFT = region(3, "left lung", np.s_[5:, 1:7, 1:6])
RIGHT = region(1, "right lung", np.s_[:4, 1:7, 1:6])
NODULE = region(2, "odd | thing~of^mine", np.s_[1:3, 2:4, 2:4])  # inside the right lung


def test_segments_carry_everything_and_keep_their_place(tmp_path: Path):
    path = tmp_path / "a.seg.nrrd"
    write_segmentation(path, VOLUME, Answer("Both lungs.", (LEFT, RIGHT)))
    stored = slicerio.read_segmentation(str(path))
    np.testing.assert_allclose(stored["ijkToLPS"], AFFINE, atol=1e-12)
    assert stored["voxels"].shape == VOLUME.shape
    assert stored["voxels"].dtype == np.uint8
    np.testing.assert_array_equal(stored["voxels"], 3 * LEFT.mask + RIGHT.mask)
    first = stored["segments"][0]
    assert (first["name"], first["labelValue"], first["layer"]) == ("left lung", 3, 0)
    assert first["color"] == pytest.approx(color("left lung"))
    assert first["extent"] == [0, 8, 0, 7, 0, 6]
    assert first["terminology"]["type"] == ["SCT", "39607008", "Lung"]
    assert first["terminology"]["typeModifier"] == ["SCT", "7771000", "Left"]
    assert first["tags"] == {"MedSIGHT.Code": "M5_3", "MedSIGHT.Confidence": "0.8750", "MedSIGHT.Notice": NOTICE}
    assert stored["MedSIGHT.Notice"] == NOTICE

    back = read_segmentation(path)
    np.testing.assert_allclose(back.affine, AFFINE, atol=1e-12)
    assert [(s.label, s.name) for s in back.segments] == [(3, "left lung"), (1, "right lung")]
    for segment, asked in zip(back.segments, (LEFT, RIGHT)):
        np.testing.assert_array_equal(segment.mask, asked.mask)
    assert back.segments[1].tags["TerminologyEntry"] == (
        "Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^Anatomical Structure"
        "~SCT^39607008^Lung~SCT^24028007^Right~Anatomic codes - DICOM master list~^^~^^"
    )
    assert back.notice == NOTICE


def test_overlapping_regions_take_layers_and_lose_nothing(tmp_path: Path):
    write_segmentation(tmp_path / "a.seg.nrrd", VOLUME, Answer("…", (RIGHT, NODULE, LEFT)))
    voxels, header = nrrd.read(str(tmp_path / "a.seg.nrrd"))
    assert voxels.shape == (2, *VOLUME.shape)
    assert header["kinds"] == ["list", "domain", "domain", "domain"]
    back = read_segmentation(tmp_path / "a.seg.nrrd")
    np.testing.assert_allclose(back.affine, AFFINE, atol=1e-12)
    for segment, asked in zip(back.segments, (RIGHT, NODULE, LEFT)):
        assert segment.label == asked.label
        np.testing.assert_array_equal(segment.mask, asked.mask)
    assert back.segments[1].name == "odd thing of mine"  # those characters separate the fields of Slicer's tags
    assert "TerminologyEntry" not in back.segments[1].tags


def test_names_in_other_scripts_do_not_stop_the_file(tmp_path: Path):
    path = tmp_path / "a.seg.nrrd"
    write_segmentation(path, VOLUME, Answer("肝臓", (region(1, "肝臓 x", np.s_[:4, 1:7, 1:6]),)))
    assert [segment.name for segment in read_segmentation(path).segments] == ["?? x"]


def test_an_answer_without_regions_is_a_valid_empty_file(tmp_path: Path):
    write_segmentation(tmp_path / "a.seg.nrrd", VOLUME, Answer("Nothing.", absent=("liver",)))
    back = read_segmentation(tmp_path / "a.seg.nrrd")
    assert back.segments == ()
    assert back.notice == NOTICE
    assert not slicerio.read_segmentation(str(tmp_path / "a.seg.nrrd"))["voxels"].any()


def test_many_labels_need_wider_voxels(tmp_path: Path):
    write_segmentation(tmp_path / "a.seg.nrrd", VOLUME, Answer("…", (region(300, "cyst", np.s_[:2, :2, :2]),)))
    assert read_segmentation(tmp_path / "a.seg.nrrd").segments[0].mask.sum() == 8


def test_files_of_slicer_itself_are_read():
    folder = Path(slicerio.__file__).parent / "data"
    for name in ("Segmentation.seg.nrrd", "SegmentationOverlapping.seg.nrrd"):
        stored = read_segmentation(folder / name)
        assert [s.name for s in stored.segments][:2] == ["ribs", "cervical vertebral column"]
        assert all(s.mask.shape == (128, 128, 34) and s.mask.any() for s in stored.segments)
        assert stored.segments[0].tags["Segmentation.Status"] == "inprogress"


@pytest.mark.parametrize("name", ["a.nrrd", "a.nii.gz"])
def test_labelmaps_hold_label_values_and_later_regions_win(tmp_path: Path, name: str):
    write_labelmap(tmp_path / name, VOLUME, Answer("…", (RIGHT, NODULE, LEFT)))
    expected = np.where(NODULE.mask, 2, RIGHT.mask + 3 * LEFT.mask)
    if name.endswith(".nrrd"):
        image = sitk.ReadImage(str(tmp_path / name))
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image).T, expected)
        np.testing.assert_allclose(
            image.TransformContinuousIndexToPhysicalPoint((1.0, 2.0, 3.0)), (AFFINE @ (1, 2, 3, 1))[:3]
        )
    else:
        image = nibabel.load(tmp_path / name)
        np.testing.assert_array_equal(np.asanyarray(image.dataobj), expected)
        np.testing.assert_allclose(np.diag([-1, -1, 1, 1]) @ image.affine, AFFINE, atol=1e-4)


def test_what_cannot_be_written_or_read_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match=re.escape("cannot be written as 'a.png': name it .nrrd or .nii.gz.")):
        write_labelmap(tmp_path / "a.png", VOLUME, Answer("…"))
    for write in (write_segmentation, write_labelmap):
        with pytest.raises(ValueError, match="region 3 has no mask on the volume's grid"):
            write(tmp_path / "a.nrrd", VOLUME, Answer("…", (LEFT,)).without_masks())
    with pytest.raises(NotFoundError, match=r"There is no segmentation at '.*none.seg.nrrd': check the path"):
        read_segmentation(tmp_path / "none.seg.nrrd")
    (tmp_path / "bad.seg.nrrd").write_bytes(b"NRRD0004\nbroken")
    with pytest.raises(VolumeError, match=r"'bad.seg.nrrd' is not a segmentation that can be read: give a .seg.nrrd"):
        read_segmentation(tmp_path / "bad.seg.nrrd")
