"""A label that leaves out what is unchanged is kept whole; what cannot be made whole is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
from volume_builders import affine_of

from medsight_core.answer import Answer, Region
from medsight_core.data.correction import Claim
from medsight_core.data.correction_store import CorrectionStore
from medsight_core.data.submission import read_submission
from medsight_core.errors import InputError
from medsight_core.imaging.label_file import read_label_file
from medsight_core.imaging.segmentation_file import read_segmentation, write_segmentation
from medsight_core.terminology import coding

SHAPE = (10, 9, 8)
AFFINE = affine_of((1.0, 1.0, 3.0), degrees=(10, -20, 35), origin=(-30, 20, 5), tilt=0.2)
RIGHT, LEFT, HEART = (np.zeros(SHAPE, bool) for _ in range(3))
RIGHT[1:5, 2:8, 2:6] = LEFT[4:9, 2:8, 2:6] = HEART[3:6, 3:5, 3:5] = True  # they overlap


@pytest.fixture
def case(tmp_path):
    """An image, and version 1 of its label: two overlapping lungs and a liver that is not there."""
    values = np.random.default_rng(0).integers(-1000, 400, SHAPE).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-1.0, -1.0, 1.0, 1.0]) @ AFFINE), tmp_path / "image.nii.gz")
    case = SimpleNamespace(folder=tmp_path, store=CorrectionStore(tmp_path / "kept"))
    makers = {"Lung, right": "model", "left lung": "edited", "liver": "drawn"}
    submit(case, {"Lung, right": RIGHT, "left lung": LEFT, "liver": RIGHT & False}, Claim(makers=makers))
    return case


def write(case, masks: dict[str, np.ndarray], name="label.nrrd") -> Path:
    regions = [
        Region(label, name, "", (0, 1), 1.0, color=(0.0, 0.5, 1.0), mask=mask, terminology=coding(name))
        for label, (name, mask) in enumerate(masks.items(), 1)
    ]
    path = case.folder / name
    write_segmentation(path, SimpleNamespace(shape=SHAPE, affine=AFFINE), Answer("", tuple(regions)))
    return path


def submit(case, masks: dict[str, np.ndarray], claim: Claim, path: Path | None = None):
    path = path or write(case, masks)
    correction = read_submission("one", case.folder / "image.nii.gz", path, "final", claim, {}, case.store)
    return case.store.keep(path, ".nrrd", correction)


def masks_of(case, version: int) -> list[np.ndarray]:
    return [segment.mask for segment in read_label_file(case.store.file("one", version)).segments]


def test_the_rest_is_taken_from_the_base_version(case):
    claim = Claim(base_version=1, unchanged=("Lung, right", "liver"), makers={"heart": "drawn"})
    kept = submit(case, {"heart": HEART}, claim)
    assert [(s.name, s.made_by, s.voxels) for s in kept.segments] == [
        ("right lung", "model", RIGHT.sum()), ("liver", "drawn", 0), ("heart", "drawn", HEART.sum()),
    ]  # fmt: skip
    right, liver, heart = masks_of(case, 2)
    assert np.array_equal(right, RIGHT)
    assert not liver.any()
    assert np.array_equal(heart, HEART)
    stored = read_segmentation(case.store.file("one", 2)).segments[2]
    assert stored.color == pytest.approx((0.0, 0.5, 1.0))
    assert "TerminologyEntry" in stored.tags
    again = submit(case, {"heart": RIGHT}, Claim(base_version=2, unchanged=("right lung",)))
    assert [(s.name, s.made_by) for s in again.segments] == [("right lung", "model"), ("heart", "edited")]
    assert np.array_equal(masks_of(case, 3)[0], RIGHT)


def test_segments_stay_in_their_places(case):
    masks = {"heart": HEART, "right lung": HEART}
    kept = submit(case, masks, Claim(base_version=1, unchanged=("left lung",)))
    assert [segment.name for segment in kept.segments] == ["right lung", "left lung", "heart"]
    assert [mask.sum() for mask in masks_of(case, 2)] == [HEART.sum(), LEFT.sum(), HEART.sum()]


def test_the_version_that_somebody_began_from_counts_not_the_latest(case):
    submit(case, {"right lung": HEART}, Claim(base_version=1))
    kept = submit(case, {"heart": HEART}, Claim(base_version=1, unchanged=("right lung",)))
    assert kept.version == 3
    assert np.array_equal(masks_of(case, 3)[0], RIGHT)


def test_names_that_a_header_cannot_hold_stay(case):
    names = {"心臓": HEART}
    path = write(case, {"x": HEART})
    claim = Claim({1: "心臓"}, base_version=1, unchanged=("left lung",))
    text = path.read_bytes().replace(b"Segment0_Name:=x", b"Segment0_Name:=")
    path.write_bytes(text)
    kept = submit(case, names, claim, path)
    assert [segment.given for segment in kept.segments] == ["left lung", "心臓"]
    assert np.array_equal(masks_of(case, 2)[1], HEART)
    kept = submit(case, {"heart": HEART}, Claim(base_version=2, unchanged=("心臓",)))
    assert [segment.given for segment in kept.segments] == ["心臓", "heart"]


def test_only_something_removed(case):
    path = case.folder / "label.nrrd"
    write_segmentation(path, SimpleNamespace(shape=SHAPE, affine=AFFINE), Answer(""))
    kept = submit(case, {}, Claim(base_version=1, unchanged=("left lung",)), path)
    assert [(segment.name, segment.voxels) for segment in kept.segments] == [("left lung", LEFT.sum())]


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        (Claim(base_version=7, unchanged=("left lung",)), "There is no version 7 to take the rest from: hand in all"),
        (Claim(base_version=1, unchanged=("spleen",)), "Version 1 has no segment 'spleen' that could be unchanged"),
    ],
)
def test_what_cannot_be_made_whole(case, claim, text):
    with pytest.raises(InputError, match=text):
        submit(case, {"heart": HEART}, claim)
    assert len(case.store.versions("one")) == 1


def test_a_file_that_has_no_names_cannot_be_made_whole(case):
    values = HEART.astype(np.uint8)
    path = case.folder / "label.nii.gz"
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-1.0, -1.0, 1.0, 1.0]) @ AFFINE), path)
    claim = Claim({1: "heart"}, base_version=1, unchanged=("left lung",))
    with pytest.raises(InputError, match=r"Only a \.seg\.nrrd or \.nrrd file can leave out what is unchanged"):
        submit(case, {}, claim, path)


@pytest.mark.parametrize("own", [{"unchanged": ["x"]}, {"unchanged": ["x"], "base_version": 0}, {"unchanged": [1]}])
def test_unchanged_needs_names_and_a_version(own):
    with pytest.raises(InputError, match="What is unchanged must be names of segments, and the base_version"):
        Claim.of({"medsight": own})
    assert Claim.of({"medsight": {"unchanged": ["x"], "base_version": 2}}) == replace(
        Claim(), unchanged=("x",), base_version=2
    )
