"""Which corrections count: the approved, of the image that is there, with names that the model has."""

from __future__ import annotations

from dataclasses import replace

import pytest

from medsight_core.data.corrected_cases import Case, corrected_cases, data_hash
from medsight_core.data.correction import CorrectedSegment, Correction
from medsight_core.data.correction_store import CorrectionStore
from medsight_core.files import file_hash

KNOWN = {"right lung", "left lung"}


def segment(name: str, label: int = 1, voxels: int = 10) -> CorrectedSegment:
    return CorrectedSegment(label, name, name, "", "drawn", voxels, True)


class Site:
    """Images, and what was handed in for them, with what a reviewer said of each version."""

    def __init__(self, folder) -> None:
        self.folder, self.store = folder, CorrectionStore(folder / "corrections")
        self.images, self.said = {}, {}

    def hand_in(self, image_id: str, *segments: CorrectedSegment, status: str = "approved", tag: str = "final"):
        path = self.images.setdefault(image_id, self.folder / f"{image_id}.nii.gz")
        if not path.exists():
            path.write_bytes(image_id.encode())
        label = self.folder / "label.nii.gz"
        label.write_bytes(b"label of " + image_id.encode())
        made = Correction(image_id, file_hash(path), tag, "2026-01-01T00:00:00+00:00", file_hash(label), segments)
        kept = self.store.keep(label, ".nii.gz", made)
        self.said[image_id, kept.version] = status

    def cases(self, **options):
        def status(correction: Correction) -> str:
            return self.said[correction.image_id, correction.version]

        return corrected_cases(self.store, self.images, status, KNOWN, **options)


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_approved_labels_are_cases(site):
    site.hand_in("chest", segment("right lung"), segment("left lung", 2, 0))
    (case,), told = site.cases()
    assert (case.id, case.segments, case.absent, case.version) == ("chest", ("right lung", ""), ("left lung",), 1)
    assert case.label.read_bytes() == b"label of chest"
    assert case.names == ("right lung",)
    assert told == []


def test_what_is_not_approved_waits_unless_the_site_says_otherwise(site):
    site.hand_in("one", segment("right lung"), status="submitted")
    site.hand_in("two", segment("right lung"), status="flagged")
    assert site.cases() == ([], ["2 corrected images left out: not approved."])
    (case,), told = site.cases(submitted_too=True)
    assert case.id == "one"
    assert told == ["1 corrected image left out: not approved or submitted."]


def test_only_the_latest_version_of_a_tag_counts(site):
    site.hand_in("chest", segment("right lung"))
    site.hand_in("chest", segment("left lung"), status="flagged")
    assert site.cases()[0] == [], "an approved version that was followed by a doubtful one is history"
    site.hand_in("chest", segment("left lung"), tag="second")
    assert site.cases()[0][0].names == ("left lung",)


def test_an_image_that_was_replaced_is_left_out_and_told(site):
    site.hand_in("chest", segment("right lung"))
    site.images["chest"].write_bytes(b"another")
    assert site.cases() == (
        [],
        ["Image 'chest', version 1: left out, the image was replaced since it was outlined; hand it in again."],
    )


def test_unknown_names_are_left_out_and_told(site):
    site.hand_in("chest", segment("wobble"), segment("left lung", 2))
    site.hand_in("other", segment("wobble"))
    (case,), told = site.cases()
    assert case.segments == ("", "left lung")
    assert told == [
        "Image 'chest', version 1: the model does not know 'wobble', left out.",
        "Image 'other', version 1: the model does not know 'wobble', left out.",
        "Image 'other', version 1: left out, it outlines nothing that the model knows.",
    ]


def test_the_hash_is_of_images_labels_and_names_and_of_no_order(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode())
    a = Case("a", tmp_path / "a", tmp_path / "b", ("right lung",))
    b = Case("b", tmp_path / "b", None)
    assert data_hash([a, b]) == data_hash([b, a])
    assert data_hash([a]) == data_hash([replace(a, id="other")]), "ids name patients and are not in it"
    assert len({data_hash(each) for each in ([a], [b], [a, b], [replace(a, segments=("left lung",))])}) == 4
