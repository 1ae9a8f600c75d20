"""What can be asked about an image."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
from coded_builders import coded_image

from medsight_core.data.records import Turn
from medsight_core.data.targets import Inventory, Series, sample_targets, targets_of, to_conversation


def test_masks_of_one_name_are_one_target_with_their_commonest_code(tmp_path):
    image = coded_image(tmp_path / "ct", "a", ("tumour", "spleen", "aorta"))
    first, second, third = image.masks
    image = replace(
        image,
        masks=(replace(first, code="M0_3"), replace(second, name="Tumor"), replace(third, name="tumour", code="M0_7")),
    )
    (target,) = targets_of(image)
    assert (target.name, target.code) == ("tumour", "M0_7")
    assert target.masks == tuple(mask.path for mask in image.masks)
    assert target.read_mask().sum() == 4 * 4 + 5 * 6 + 2 * 2
    assert target.read_mask().dtype == np.bool_


def test_absent_is_what_other_images_of_the_series_show(tmp_path):
    first = coded_image(tmp_path / "ct", "a", ("liver", "left kidney"))
    second = coded_image(tmp_path / "ct", "b", ("spleen", "liver"), spellings={"spleen": "Spleen"})
    third = coded_image(tmp_path / "ct", "c", ("tumour",), spellings={"tumour": "kidney"})
    elsewhere = coded_image(tmp_path / "other", "d", ("aorta",))
    mr = coded_image(tmp_path / "ct", "e", ("right kidney",), modality=1)
    inventory = Inventory([first, second, third, elsewhere, mr])
    assert inventory.names(first) == ("kidney", "left kidney", "liver", "spleen")
    assert inventory.absent(first) == ("spleen",)  # its left kidney is a kidney
    assert inventory.absent(second) == ("kidney", "left kidney")
    assert inventory.absent(third) == ("liver", "spleen")  # its kidney may be the left one
    assert inventory.absent(elsewhere) == ()
    assert inventory.absent(mr) == ()


def test_a_sample_keeps_to_the_number_of_masks(tmp_path):
    image = coded_image(tmp_path / "ct", "a", ("liver", "spleen", "aorta", "tumour"))
    image = replace(image, masks=tuple(replace(mask, name=name) for mask, name in zip(image.masks, "aaab")))
    for seed in range(10):
        rng = random.Random(seed)
        assert [target.name for target in sample_targets(targets_of(image), 2, 3, rng)] in (["a"], ["b"])
        assert {target.name for target in sample_targets(targets_of(image), 2, 4, rng)} == {"a", "b"}
        assert len(sample_targets(targets_of(image), 1, 4, rng)) == 1


def test_a_series_knows_the_commonest_code_of_a_name(tmp_path):
    images = [coded_image(tmp_path / "ct", str(n), ("liver", "aorta")[: 1 + n % 2]) for n in range(3)]
    images[0] = replace(images[0], masks=(replace(images[0].masks[0], code="M0_3"),), view="axial CT")
    other = coded_image(tmp_path / "us", "a", ("tumour",), modality=2)
    inventory = Inventory([*images, other])
    assert inventory.code(images[0], "liver") == "M0_16"
    assert inventory.code(images[0], "tumour") is None
    assert inventory.all_names() == ("aorta", "liver", "tumour")
    codes = {"aorta": "M0_1", "liver": "M0_16"}
    assert inventory.series() == (Series("", codes), Series("axial CT", codes), Series("", {"tumour": "M0_25"}))


def test_a_target_without_masks_and_a_conversation_without_an_image(tmp_path):
    image = coded_image(tmp_path / "ct", "a", ("liver",))
    elsewhere = replace(targets_of(image)[0], masks=())
    turns = (Turn("Liver?", "The liver [M0_16] is outlined."),)
    assert to_conversation("x", image, turns, [elsewhere]).masks == ((),)
    assert to_conversation("x", image, turns, [elsewhere]).images == (image.path,)
    assert to_conversation("x", None, turns, [elsewhere]).images == ()
