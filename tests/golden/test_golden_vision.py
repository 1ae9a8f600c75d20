"""The visual tower, the image preparation and the box of a mask against the reference (section 10, test 6)."""

import numpy as np
import pytest
import torch
from PIL import Image
from reference.clip import block_outputs, split
from reference.official_names import vision_names
from reference.ops import exact
from reference.preprocessing import cell_centre, pixel_values, visible_box
from reference.seeding import seed_every_parameter
from tiny_model import tiny_model

from medsight_core.imaging.visible_box import VisibleBox

SIDE = 336
VISION = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 2,
    "image_size": 56, "patch_size": 14, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5,
}  # fmt: skip
SIZES = [(600, 400), (400, 600), (336, 336), (501, 333), (200, 150)]  # width, height


def picture(width: int, height: int, mode: str) -> Image.Image:
    """Smooth stripes with noise and hard edges: overshoot, clipping and rounding all take part."""
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(width).normal(0, 20, (height, width, 3))
    stripes = np.stack([np.sin(x / 9), np.cos(y / 7), np.sign(np.sin((x + y) / 23))], axis=-1)
    values = np.clip(128 + 150 * stripes + noise, 0, 255).astype(np.uint8)
    return Image.fromarray(values if mode == "RGB" else values[..., 2])


@pytest.mark.parametrize("scale", [1.0, 0.03], ids=["plain", "faint"])
@pytest.mark.parametrize("layer", [-1, -2])
@torch.no_grad()
def test_intermediates_of_the_tower(layer, scale):
    model, _ = tiny_model(vision_config=VISION, vision_layer=layer)
    seed_every_parameter(model.vision, seed=30, scale=scale)
    pixels = torch.randn(2, 3, 56, 56, generator=torch.Generator().manual_seed(31))
    blocks = block_outputs(exact(vision_names(model.vision.state_dict())), pixels.double(), heads=2, depth=4)
    class_token, patches = split(blocks[layer])
    ours, our_class_token = model.see(pixels)
    torch.testing.assert_close(ours.double(), patches, atol=1e-5, rtol=0.0)
    torch.testing.assert_close(our_class_token.double(), class_token, atol=1e-5, rtol=0.0)
    features = model.encode(pixels)
    assert torch.equal(features.patches, ours)
    assert torch.equal(features.class_token, our_class_token)


@torch.no_grad()
def test_hidden_states_are_the_raw_block_outputs():
    model, _ = tiny_model(vision_config=VISION)
    seed_every_parameter(model.vision, seed=32)
    pixels = torch.randn(1, 3, 56, 56, generator=torch.Generator().manual_seed(33))
    hidden = model.vision(pixels, output_hidden_states=True).hidden_states
    blocks = block_outputs(exact(vision_names(model.vision.state_dict())), pixels.double(), heads=2, depth=4)
    assert len(hidden) == len(blocks) + 1  # the embeddings come first
    for ours, block in zip(hidden[1:], blocks, strict=True):
        torch.testing.assert_close(ours.double(), block, atol=1e-5, rtol=0.0)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_pixel_values(width, height, mode):
    _, processor = tiny_model(vision_config={**VISION, "image_size": SIDE, "patch_size": 56})
    image = picture(width, height, mode)
    ours = processor.pixel_values(VisibleBox.of(height, width, SIDE).apply(image))
    torch.testing.assert_close(ours, pixel_values(image, SIDE), atol=1e-6, rtol=0.0)


@pytest.mark.parametrize(("width", "height"), [*SIZES, (301, 100), (100, 301), (1024, 1024), (512, 511)])
def test_visible_box(width, height):
    assert VisibleBox.of(height, width, SIDE).box == pytest.approx(visible_box(width, height, SIDE), abs=1e-9)


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize(("row", "column"), [(2, 7), (9, 1)])
def test_a_mask_cell_is_painted_where_the_document_puts_it(width, height, row, column):
    cells = 12
    hot = np.zeros((1, cells, cells), dtype=np.float32)
    hot[0, row, column] = 1.0
    painted = VisibleBox.of(height, width, SIDE).paint(hot, fill=0.0)[0]
    y, x = np.mgrid[:height, :width] + 0.5
    centre = (painted * x).sum() / painted.sum(), (painted * y).sum() / painted.sum()
    assert centre == pytest.approx(cell_centre(width, height, SIDE, cells, row, column), abs=0.05)
