"""The convolutional tower: its shapes, what it refuses, that it knows left from right, and that models hold it."""

from __future__ import annotations

import pytest
import torch
from tiny_model import tiny_model

from medsight_core.errors import ModelError
from medsight_core.model.config import ConvolutionalTowerConfig, MedSightConfig
from medsight_core.model.convolutional import ConvolutionalTower
from medsight_core.model.costs import costs_of
from medsight_core.model.medsight import MedSightModel

SIZES = {"hidden_size": 16, "image_size": 32, "widths": (8, 16, 24), "patch_size": 4, "blocks": 1}
TOWER = {"model_type": "medsight_convolutional_tower", **SIZES}


@pytest.fixture
def tower() -> ConvolutionalTower:
    torch.manual_seed(0)
    return ConvolutionalTower(ConvolutionalTowerConfig(**SIZES)).eval()


@torch.inference_mode()
def test_patches_come_row_by_row_after_their_mean(tower):
    tokens = tower(torch.rand(2, 3, 32, 32), output_hidden_states=True).hidden_states[-1]
    assert tokens.shape == (2, 1 + 8 * 8, 16)
    assert torch.allclose(tokens[:, 0], tokens[:, 1:].mean(1))


@torch.inference_mode()
def test_what_changes_in_a_corner_changes_that_corner_most(tower):
    images = torch.zeros(2, 3, 32, 32)
    images[1, :, 24:, 2:6] = 1.0  # bottom left
    plain, marked = tower(images).last_hidden_state[:, 1:].unflatten(1, (8, 8))
    change = (marked - plain).norm(dim=-1)
    assert change.argmax().item() in {row * 8 + column for row in (6, 7) for column in (0, 1)}


@torch.inference_mode()
def test_the_same_on_both_sides_is_not_the_same(tower):
    image = torch.rand(1, 3, 32, 32)
    image = (image + image.flip(-1)) / 2
    patches = tower(image).last_hidden_state[0, 1:].unflatten(0, (8, 8))
    assert (patches - patches.flip(1)).norm() > 0.1 * patches.norm()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"patch_size": 6}, r"patch_size 6 and image_size 32: use a patch_size of 2, 4, 8, and an image_size that 8"),
        ({"patch_size": 16}, r"patch_size 16 and"),
        ({"image_size": 36}, r"image_size 36: use"),
        ({"widths": (8, 12)}, r"widths 8, 12: make each a multiple of 8"),
    ],
)
def test_sizes_that_do_not_fit_are_told(wrong, sentence):
    with pytest.raises(ModelError, match=sentence):
        MedSightConfig(vision_config={**TOWER, **wrong})


def test_a_model_holds_it_and_comes_back_from_its_folder(tmp_path):
    model, _ = tiny_model(vision_config=TOWER)
    assert (model.config.grid, model.config.mask_size) == (8, 64)
    model.save_pretrained(tmp_path)
    again = MedSightModel.from_pretrained(tmp_path).eval()
    assert isinstance(again.config.vision_config, ConvolutionalTowerConfig)
    image = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        for one, other in zip(model.see(image), again.see(image)):
            assert torch.equal(one, other)


def test_its_arithmetic_is_counted():
    model, _ = tiny_model(vision_config=TOWER)
    first = 2 * 16 * 16 * 8 * (3 + 2) * 9  # FLOP of the first convolution alone
    assert costs_of(model.config).see > first
