"""The sets for adapting at a site: labels lie where the image shows the thing, and the two sets share nothing."""

from __future__ import annotations

import numpy as np
import pytest

from medsight_core.errors import InputError, NotFoundError
from medsight_core.training.taught_planes import case_masks, case_volume
from sample_data import site_sets


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    site_sets.write_sets(folder / "sets", folder / "studies", {"abdomen": 1}, {"abdomen": 1})
    return folder / "sets"


def test_those_to_remember_have_no_labels_and_the_others_have(sets):
    replay, reference = site_sets.read_sets(sets)
    assert [case.id for case in replay] == ["replay-abdomen-0"]
    assert {"reference-abdomen-0", "reference-ct-chest", "reference-mr-brain"} <= {case.id for case in reference}
    assert all(case.label is None and not case.names for case in replay)
    assert all(case.names for case in reference)
    assert replay[0].image.read_bytes() != reference[0].image.read_bytes()


def test_a_phantom_s_label_lies_on_its_image(sets):
    case = site_sets.read_sets(sets)[1][0]
    volume = case_volume(case)
    masks = case_masks(case, volume)
    liver = volume.voxels[masks["liver"]]
    assert abs(np.median(liver) - liver.mean()) < 20, "one tissue"
    assert liver.std() < volume.voxels.std() / 4


def test_the_real_heads_are_those_of_the_samples(sets):
    case = next(case for case in site_sets.read_sets(sets)[1] if case.id == "reference-ct-chest")
    volume = case_volume(case)
    masks = case_masks(case, volume)
    assert volume.voxels[masks["left lung"]].mean() < -600
    assert "soft tissue" in masks
    assert case.absent == ("nodule", "pleural effusion")


def test_an_existing_folder_is_refused_and_a_missing_one_told(sets, tmp_path):
    with pytest.raises(InputError, match=r" is there already: give a new folder\.$"):
        site_sets.write_sets(sets, tmp_path)
    with pytest.raises(NotFoundError, match=r"^There are no sets in '.*': make them with python -m sample_data\."):
        site_sets.read_sets(tmp_path)
