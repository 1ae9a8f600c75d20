"""Labelled planes: repeatable one by one, only with names of their source, without sides where sides cannot be seen."""

from __future__ import annotations

import numpy as np
import pytest

from sample_data.generate.sources import Material, sources
from sample_data.generate.study import LabelledPlane, labelled_planes, planes_of_scan, without_sides


def planes(name: str, material: Material, count: int, **options) -> list[LabelledPlane]:
    (source,) = sources([name])
    return list(labelled_planes(source, material, count, side=64, **{"seed": 0, **options}))


@pytest.fixture(scope="module")
def brains(maps) -> list[LabelledPlane]:
    return planes("brain-maps", Material(labels=maps), 24)


def test_planes_are_labelled_with_names_of_their_source(brains):
    (source,) = sources(["brain-maps"])
    assert len(brains) == 24
    assert {plane.orientation for plane in brains} == {"axial", "coronal", "sagittal"}
    for plane in brains:
        assert (plane.modality, plane.source) == ("MR", "brain-maps")
        assert plane.subject in ("head_00", "head_01")
        assert plane.image.dtype == np.uint8
        assert plane.image.shape == (64, 64)
        assert set(plane.masks) <= set(plane.names)
        assert set(plane.unclear) <= set(plane.names) - set(plane.masks)
        if plane.orientation != "sagittal":
            assert plane.names == source.names
    assert sum(not plane.masks for plane in brains) <= 4


def test_sagittal_planes_have_no_sides(brains):
    for plane in brains:
        sided = [name for name in (*plane.names, *plane.masks, *plane.unclear) if name.startswith(("left ", "right "))]
        assert bool(sided) == (plane.orientation != "sagittal")
    shown = {name for plane in brains if plane.orientation == "sagittal" for name in plane.masks}
    assert {"brain", "cerebral white matter"} <= shown


def test_left_is_on_the_right_of_axial_and_coronal_planes(brains):
    compared = 0
    for plane in brains:
        for name, mask in plane.masks.items():
            other = plane.masks.get(name.replace("left ", "right "))
            if name.startswith("left ") and other is not None:
                assert np.nonzero(mask)[1].mean() > np.nonzero(other)[1].mean(), (plane.orientation, name)
                compared += 1
    assert compared > 20


def test_both_sides_of_a_sagittal_plane_are_one_thing():
    left, right = np.zeros((2, 4, 4), bool)
    left[0], right[2] = True, True
    names, masks, unclear = without_sides(
        ("left lung", "right lung", "ribs", "left kidney"), {"left lung": left, "right lung": right}, ("left kidney",)
    )
    assert names == ("lung", "ribs", "kidney")
    np.testing.assert_array_equal(masks["lung"], left | right)
    assert unclear == ("kidney",)
    # A tip of one side beside the whole of the other is no question.
    assert without_sides(("left lung", "right lung"), {"left lung": left}, ("right lung",))[2] == ()


def test_a_scan_is_the_same_whichever_are_made_before_it():
    (source,) = sources(["abdomen"])
    together = planes("abdomen", Material(), 20)
    alone = planes_of_scan(source, Material(), 1, 0, 64, held_out=False)
    for one, other in zip(together[8:16], alone):
        np.testing.assert_array_equal(one.image, other.image)
        assert one.subject == other.subject
        assert set(one.masks) == set(other.masks)
    assert len(together) == 20
    others = planes("abdomen", Material(), 8, seed=1)
    assert others[0].subject != together[0].subject
    assert not np.array_equal(others[0].image, together[0].image)


def test_held_out_planes_are_of_other_subjects(maps):
    held_out = planes("brain-maps", Material(labels=maps), 3, held_out=True)
    assert {plane.subject for plane in held_out} == {"head_02"}
