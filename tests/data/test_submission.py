"""What becomes of a label that is handed in: refused with a sentence, or kept with who made what."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from volume_builders import affine_of

from medsight_core.answer import Answer, Region
from medsight_core.data.correction import Claim, Correction
from medsight_core.data.correction_store import CorrectionStore
from medsight_core.data.submission import canonical_name, found_label, notices, read_submission
from medsight_core.errors import InputError, VolumeError
from medsight_core.files import file_hash
from medsight_core.imaging.segmentation_file import write_segmentation
from medsight_core.imaging.volume import Volume

SHAPE = (12, 10, 8)
AFFINE = affine_of((1.0, 1.0, 3.0), degrees=(10, -20, 35), origin=(-30, 20, 5), tilt=0.2)
CODES = {"right lung": "M5_0", "left lung": "M5_1", "wobble": "M9_9"}
BOTH = Claim({1: "right lung", 2: "left lung"})
RIGHT, LEFT = np.s_[1:5, 2:8, 2:6], np.s_[7:11, 2:8, 2:6]


def write(path: Path, values: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine), path)
    return path


def lungs(right=1, left=2) -> np.ndarray:
    values = np.zeros(SHAPE, np.uint8)
    values[RIGHT], values[LEFT] = right, left
    return values


class Case:
    """One image, and what is handed in and kept for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = CorrectionStore(folder / "corrections")
        self.image = folder / "image.nii.gz"
        self.new_image(0)

    def new_image(self, seed: int, shape=SHAPE) -> None:
        write(self.image, np.random.default_rng(seed).integers(-1000, 400, shape).astype(np.int16))

    def read(self, label: Path, claim: Claim) -> Correction:
        return read_submission("chest", self.image, label, "final", claim, CODES, self.store)

    def submit(self, values: np.ndarray, claim: Claim = BOTH) -> Correction:
        label = write(self.folder / "label.nii.gz", values)
        return self.store.keep(label, ".nii.gz", self.read(label, claim))


@pytest.fixture
def case(tmp_path):
    return Case(tmp_path)


def test_a_labelmap_with_names_becomes_a_correction(case):
    claim = Claim({1: "Right Lung", 2: "left lung"}, prompt="Where?", answer="There.", model_version="1", annotator="a")
    kept = case.submit(lungs(), claim)
    right, left = kept.segments
    assert (right.name, right.given, right.code, right.voxels) == ("right lung", "Right Lung", "M5_0", 96)
    assert right.known
    assert right.terminology["type"]["value"] == "39607008"
    assert (left.label, left.name, left.made_by) == (2, "left lung", "drawn")
    assert (kept.prompt, kept.answer, kept.model_version, kept.annotator) == ("Where?", "There.", "1", "a")
    assert (kept.image_hash, kept.version, kept.tag) == (file_hash(case.image), 1, "final")
    assert kept.submitted.endswith("+00:00")


def test_a_segmentation_names_its_own_segments(case):
    volume = Volume(np.zeros(SHAPE, np.int16), AFFINE, "CT")
    mask, inside = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    mask[RIGHT] = inside[2, 3, 3] = True
    regions = (Region(1, "right lung", "", (0, 1), 1.0, mask=mask), Region(2, "nodule", "", (0, 1), 1.0, mask=inside))
    path = case.folder / "a.seg.nrrd"
    write_segmentation(path, volume, Answer("", regions))
    claim = Claim({1: "something else"}, makers={"nodule": "model"}, codes={"nodule": "M3_3"})
    right, nodule = case.read(path, claim).segments
    assert (right.name, right.voxels, nodule.voxels) == ("right lung", 96, 1)
    assert (nodule.code, nodule.made_by) == ("M3_3", "model")


def test_who_made_a_segment_is_seen_when_nobody_says(case):
    claim = Claim({1: "right lung", 2: "left lung"}, makers={"right lung": "model", "left lung": "model"})
    case.submit(lungs(), claim)
    values = lungs()
    values[1, 2, 2] = 0  # one voxel less of the right lung
    values[0, 0, 0] = 3
    kept = case.submit(values, Claim({1: "right lung", 2: "Left Lung", 3: "nodule"}))
    assert {segment.name: segment.made_by for segment in kept.segments} == {
        "right lung": "edited",
        "left lung": "model",
        "nodule": "drawn",
    }


def test_who_made_it_is_judged_by_the_version_that_it_began_from(case):
    case.submit(lungs(), Claim({1: "right lung", 2: "left lung"}, makers={"right lung": "model", "left lung": "model"}))
    case.submit(lungs(left=0), Claim({1: "right lung", 2: "left lung"}, base_version=1))
    kept = case.submit(lungs(), Claim({1: "right lung", 2: "left lung"}, base_version=1))
    assert [segment.made_by for segment in kept.segments] == ["model", "model"]
    begun_anew = case.submit(lungs(), Claim({1: "right lung", 2: "left lung"}, base_version=0))
    assert [segment.made_by for segment in begun_anew.segments] == ["drawn", "drawn"]


def test_a_former_version_that_cannot_be_read_is_no_reason_to_refuse(case):
    case.submit(lungs(), Claim(BOTH.names, makers={"right lung": "model"}))
    case.store.file("chest", 1).write_bytes(b"damaged since")
    assert [segment.made_by for segment in case.submit(lungs()).segments] == ["edited", "edited"]
    case.store.file("chest", 2).unlink()
    assert case.submit(lungs()).version == 3


def test_a_named_segment_without_a_voxel_says_that_it_is_not_there(case):
    case.submit(lungs())
    right, left = case.submit(lungs(left=0)).segments
    assert (right.name, right.voxels, right.made_by) == ("right lung", 96, "drawn")
    assert (left.name, left.label, left.voxels, left.made_by) == ("left lung", 2, 0, "edited")


@pytest.mark.parametrize(
    ("values", "claim", "text"),
    [
        (
            lungs(0, 0),
            Claim({1: "right lung"}),
            "The segmentation is empty: outline something, or hand it in with nothing_there if that is what you mean.",
        ),
        (
            lungs(),
            Claim({1: "right lung"}),
            "Nobody says what label 2 is: send its name in the params' label_info, as in "
            '[{"name": "right lung", "idx": 2}].',
        ),
        (lungs(), Claim(), "Nobody says what label 1, 2 is"),
    ],
)
def test_an_empty_or_nameless_label_is_refused(case, values, claim, text):
    with pytest.raises(InputError) as caught:
        case.submit(values, claim)
    assert text in str(caught.value)
    assert case.store.versions("chest") == []


def test_nothing_there_may_be_meant(case):
    kept = case.submit(lungs(0, 0), Claim({1: "right lung"}, nothing_there=True))
    assert [(segment.name, segment.voxels) for segment in kept.segments] == [("right lung", 0)]
    assert case.submit(lungs(0, 0), Claim(nothing_there=True)).segments == ()


def test_a_label_of_another_geometry_is_refused(case):
    path = write(case.folder / "a.nii.gz", lungs(), AFFINE @ np.diag([1.0, 1.0, 2.0, 1.0]))
    with pytest.raises(VolumeError, match="does not lie on the image's voxels: its spacing is"):
        case.read(path, Claim({1: "right lung", 2: "left lung"}))


REPLACED = (
    "The image was replaced since this segmentation was begun: load it again, check every outline on it, and "
    "hand in what is right."
)


def test_an_image_replaced_meanwhile_is_noticed_by_its_content(case):
    seen = file_hash(case.image)
    claim = Claim({1: "right lung", 2: "left lung"}, image_hash=seen)
    assert case.submit(lungs(), claim).image_hash == seen
    case.new_image(1)
    with pytest.raises(VolumeError) as caught:
        case.submit(lungs(), claim)
    assert str(caught.value) == REPLACED


def test_it_is_noticed_by_the_version_that_was_begun_from_too(case):
    case.submit(lungs())
    case.new_image(1)
    with pytest.raises(VolumeError, match="The image was replaced since"):
        case.submit(lungs(), Claim({1: "right lung", 2: "left lung"}, base_version=1))
    assert case.submit(lungs()).version == 2, "who says nothing is told instead"


def test_another_annotators_version_is_told(case):
    first = case.submit(lungs(), Claim({1: "right lung", 2: "left lung"}, annotator="anna", base_version=0))
    assert notices(first, []) == []
    second = case.submit(lungs(), Claim({1: "right lung", 2: "left lung"}, annotator="ben", base_version=0))
    assert notices(second, [first]) == [
        "Version 1 was handed in by somebody else, or since you began: both are kept, and yours, version 2, is the "
        "current one; compare the two."
    ]
    third = case.submit(lungs(), Claim({1: "right lung", 2: "left lung"}, annotator="anna", base_version=2))
    assert notices(third, [first, second]) == []


def test_labels_under_other_tags_are_no_rivals(case):
    first = case.submit(lungs(), Claim(BOTH.names, annotator="anna"))
    second = case.submit(lungs(), Claim(BOTH.names, annotator="ben"))
    assert notices(replace(second, tag="version_1"), [first]) == []
    third = case.submit(lungs(), Claim(BOTH.names, annotator="ben"))
    assert "Version 1 was handed in by somebody else" in notices(third, [first, replace(second, tag="version_1")])[0]


def test_stock_clients_are_told_by_who_they_are(case):
    first = case.submit(lungs(), Claim({1: "right lung", 2: "left lung"}, annotator="anna"))
    again = case.submit(lungs(), Claim({1: "right lung", 2: "left lung"}, annotator="anna"))
    assert notices(again, [first]) == []
    other = case.submit(lungs(), Claim({1: "right lung", 2: "left lung"}, annotator="ben"))
    assert "Version 2 was handed in by somebody else" in notices(other, [first, again])[0]


def test_a_replaced_image_is_told_where_it_is_not_refused(case):
    first = case.submit(lungs())
    case.new_image(1)
    assert notices(case.submit(lungs()), [first]) == [
        "The image was replaced after version 1: that one outlines the former image, yours is taken for one of the "
        "image that is here now."
    ]


def test_an_unknown_name_is_kept_and_told(case):
    kept = case.submit(lungs(), Claim({1: "right lung", 2: "Segment_1"}))
    unknown = kept.segments[1]
    assert (unknown.name, unknown.code, unknown.known, dict(unknown.terminology)) == ("Segment_1", "", False, {})
    assert notices(kept, []) == [
        "MedSIGHT does not know 'Segment_1': the outline is kept, but nothing can be learned from it until it has a "
        "known name, such as 'right lung'."
    ]


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("right lung", "right lung"),
        ("Lung, right", "right lung"),
        ("livr", "liver"),
        ("wobble", "wobble"),
        ("lungs", ""),
        ("my thing", ""),
        ("", ""),
    ],
)
def test_a_name_is_known_when_exactly_one_is_meant(given, canonical):
    assert canonical_name(given, {"right lung", "left lung", "liver", "wobble"}) == canonical


def test_a_label_that_lay_there_says_so(case):
    label = write(case.folder / "old.nii.gz", lungs())
    found = found_label("chest", case.image, label, "final")
    assert found.found
    assert (found.segments, found.annotator, found.label_hash) == ((), "", file_hash(label))
