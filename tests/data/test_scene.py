"""What a conversation is about: the masks' things, or those of the line of detections."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from coded_builders import CODES, coded_image, coded_images

from medsight_core.data.scene import Scene, imagined, pictured, told
from medsight_core.data.targets import Inventory, Series, Target, targets_of


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    root = tmp_path_factory.mktemp("coded")
    torso = [replace(image, view="axial CT") for image in coded_images(root)]
    return [*torso, coded_image(root / "us", "a", ("tumour",), modality=2, spellings={"tumour": "placenta"})]


def shown(*names: str) -> Scene:
    return Scene(tuple(Target(name, "M0_0", ()) for name in names), ("left lung",))


def test_a_picture_without_a_line_shows_its_masks(images):
    inventory = Inventory(images)
    scene = pictured(images[0], inventory)
    assert scene == Scene(targets_of(images[0]), inventory.absent(images[0]))


def test_the_line_names_what_is_shown_in_the_order_of_the_head(images):
    inventory, image = Inventory(images), images[10]  # shows everything
    order = ("tumour", "right kidney", "left kidney")
    own = {target.name: target for target in targets_of(image)}
    missed: Counter[str] = Counter()
    for seed in range(400):
        scene = told(image, inventory, order, random.Random(seed))
        names = [target.name for target in scene.shown]
        assert scene.line == f"Seen on this axial CT: {', '.join(names) or 'nothing known'}.\n"
        places = [order.index(name) if name in order else 3 for name in names]
        assert places == sorted(places)
        assert names[-3:] != ["liver", "aorta", "spleen"]  # what has no place follows by alphabet
        assert all(own[target.name] == target for target in scene.shown)
        assert set(scene.absent) == {*CODES} - {*names}
        assert scene.elsewhere == ("placenta",)
        missed.update(scene.absent)
    assert set(missed) == set(CODES)
    assert all(0.04 < count / 400 < 0.12 for count in missed.values())


def test_half_of_the_lines_are_about_a_whole_scan(images):
    inventory, image = Inventory(images), images[12]  # shows nothing
    counts: Counter[int] = Counter()
    for seed in range(400):
        scene = told(image, inventory, (), random.Random(seed))
        assert all(target.masks == () and target.code == CODES[target.name] for target in scene.shown)
        counts[len(scene.shown)] += 1
    assert 0.4 < counts[0] / 400 < 0.6
    assert set(counts) == set(range(7))


def test_a_detector_s_own_list_is_taken_as_it_is(images):
    inventory, image = Inventory(images), replace(images[11], seen=("Tumor", "liver", "gallstone"), view="")
    scene = told(image, inventory, (), random.Random(0))
    assert [target.name for target in scene.shown] == ["liver", "tumour"]  # no code is known of gallstones
    assert scene.line == "Seen on this image: liver, tumour.\n"
    assert scene.shown[0].masks == ()  # the image shows all but the liver
    assert scene.shown[1] in targets_of(image)
    nothing = told(replace(image, seen=()), inventory, (), random.Random(0))
    assert nothing.line == "Seen on this image: nothing known.\n"


def test_a_line_without_an_image_lists_any_share():
    axial = Series("axial MR", {"left thalamus": "M1_4", "right thalamus": "M1_5", "brain": "M1_0"})
    sagittal = Series("sagittal MR", {"thalamus": "M1_7", "brain": "M1_0"})
    counts, mixed = Counter(), 0
    for seed in range(300):
        scene = imagined([axial, sagittal], (), random.Random(seed))
        own = axial if "axial" in scene.line else sagittal
        assert scene.view == own.view
        counts[len([target for target in scene.shown if target.name in own.codes])] += 1
        mixed += any(target.name not in own.codes for target in scene.shown)
        assert all(target.masks == () for target in scene.shown)
        assert not {*scene.absent, *scene.elsewhere} & {target.name for target in scene.shown}
    assert set(counts) == {0, 1, 2, 3}
    assert 10 < mixed < 60


def test_a_name_means_itself_its_sides_or_the_thing_without_a_side():
    scene = shown("left kidney", "right kidney", "thalamus", "aorta")
    names = {
        name: [target.name for target in scene.meant(name)]
        for name in ("aorta", "kidney", "left kidney", "right thalamus", "left aorta", "liver", "left lung")
    }
    assert names == {
        "aorta": ["aorta"],
        "kidney": ["left kidney", "right kidney"],
        "left kidney": ["left kidney"],
        "right thalamus": ["thalamus"],
        "left aorta": ["aorta"],
        "liver": [],
        "left lung": [],
    }
    assert [scene.lacks(name) for name in ("liver", "left lung", "kidney", "right thalamus")] == [
        True,
        True,
        False,
        False,
    ]
    assert scene.bases() == ["kidney"]  # of the lung no right side is known
