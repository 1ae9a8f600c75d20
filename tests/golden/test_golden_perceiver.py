"""The Region Perceiver against the reference (model-spec section 10, tests 1 to 3)."""

import pytest
import torch
from reference.official_names import perceiver_names
from reference.ops import exact
from reference.perceiver import attention, perceive, seg_head, sine_map
from reference.seeding import seed_every_parameter

from medsight_core.model.config import PerceiverConfig
from medsight_core.model.perceiver import CrossAttention, RegionPerceiver, sine_position

CONFIG = PerceiverConfig(num_queries=5, num_stages=3, num_heads=2, head_dim=8, ffn_ratio=2, num_classes=4)
WIDTH = 32
TOLERANCE = {"atol": 1e-5, "rtol": 0.0}


def seeded(scale: float = 1.0) -> RegionPerceiver:
    perceiver = RegionPerceiver(CONFIG, WIDTH).eval()
    seed_every_parameter(perceiver, seed=10, scale=scale)
    return perceiver


def draw(*shape: int, seed: int = 11) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def expected(perceiver: RegionPerceiver, patches, queries=None):
    params = exact(perceiver_names(perceiver.state_dict()))
    queries = None if queries is None else queries.double()
    return perceive(params, patches.double(), CONFIG.num_heads, CONFIG.num_stages, queries)


def assert_close(ours: torch.Tensor, exact_value: torch.Tensor, atol: float = 1e-5):
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours.double(), exact_value, atol=atol, rtol=0.0)


@torch.no_grad()
def assert_equal(output, reference, atol: float = 1e-5):
    assert_close(output.queries, reference.queries, atol)
    for image, wanted in zip(output.pyramid, reference.pyramid, strict=True):
        assert_close(image.permute(0, 2, 3, 1), wanted, atol)
    for masks, wanted in zip(output.scale_masks, reference.masks, strict=True):
        assert_close(masks, wanted, atol)
    assert_close(output.classes, reference.classes, atol)


@pytest.mark.parametrize(("scale", "atol"), [(1.0, 1e-5), (0.03, 1e-6)], ids=["plain", "faint"])
@pytest.mark.parametrize("grid", [(4, 4), (3, 4)], ids=["square", "oblong"])
@torch.no_grad()
def test_encoding_pass(grid, scale, atol):
    perceiver, patches = seeded(scale), draw(2, *grid, WIDTH)
    reference = expected(perceiver, patches)
    coarse = torch.cat([mask.flatten() for mask in reference.masks[:-1]])
    assert 0.1 < (coarse < 0).float().mean() < 0.9, "the masks must hide something and leave something"
    assert_equal(perceiver(patches), reference, atol)
    assert_close(perceiver.regions(patches), reference.queries, atol)


@pytest.mark.parametrize("number", [1, 7])
@torch.no_grad()
def test_decoding_pass_with_another_number_of_queries(number):
    perceiver, patches, queries = seeded(), draw(2, 4, 4, WIDTH), draw(2, number, WIDTH, seed=12)
    assert_equal(perceiver(patches, queries), expected(perceiver, patches, queries))


@torch.no_grad()
def test_a_logit_of_exactly_zero_hides_nothing():
    perceiver, patches = seeded(), draw(1, 4, 4, WIDTH)
    perceiver.head.mask_embed.weight.zero_()
    perceiver.head.mask_embed.bias.zero_()
    assert_equal(perceiver(patches), expected(perceiver, patches))


@torch.no_grad()
def test_a_query_hidden_from_everything_averages_all_values_evenly():
    attn = CrossAttention(WIDTH, CONFIG.num_heads, CONFIG.head_dim).eval()
    seed_every_parameter(attn, seed=13)
    pixels, queries = draw(2, 12, WIDTH), draw(2, 3, WIDTH, seed=14)
    hidden = draw(2, 3, 12, seed=15) < 0
    hidden[:, 1] = True
    official = {"norm_kv": "norm_media", "norm_q": "norm_latents", "q": "to_q", "kv": "to_kv", "out": "to_out"}
    params = {
        f"attn.{official[key.split('.')[0]]}.{key.split('.')[1]}": value for key, value in attn.state_dict().items()
    }
    ours = attn(pixels, queries, hidden)
    torch.testing.assert_close(ours, attention(params, "attn", pixels, queries, CONFIG.num_heads, hidden), **TOLERANCE)
    # The average of the values is the attention of a query whose scores are all zero.
    blind = {**params, "attn.to_q.weight": torch.zeros_like(params["attn.to_q.weight"])}
    average = attention(blind, "attn", pixels, queries, CONFIG.num_heads)
    torch.testing.assert_close(ours[:, 1], average[:, 1], **TOLERANCE)
    assert (ours[:, 0] - average[:, 0]).abs().max() > 1e-2


@pytest.mark.parametrize(("rows", "columns"), [(4, 4), (24, 24), (5, 7), (3, 8), (1, 1)])
def test_sine_map(rows, columns):
    ours = sine_position(rows, columns, WIDTH).permute(1, 2, 0)
    assert_close(ours, sine_map(rows, columns, WIDTH))


@torch.no_grad()
def test_the_head_neither_scales_nor_normalises():
    perceiver = seeded()
    queries, image = 3.0 * draw(1, 6, WIDTH), 5.0 * draw(1, 3, 5, WIDTH, seed=16)
    params = perceiver_names(perceiver.state_dict())
    masks, classes = seg_head(params, "region_perceiver.segmentation_cls_head", queries, image)
    ours = perceiver.head(queries, image.permute(0, 3, 1, 2))
    torch.testing.assert_close(ours[0], masks, atol=1e-4, rtol=1e-5)  # logits of several hundred
    torch.testing.assert_close(ours[1], classes, **TOLERANCE)
    assert classes.shape[-1] == CONFIG.num_classes + 1


def test_the_official_size_has_the_tensors_that_the_document_lists():
    with torch.device("meta"):
        state = perceiver_names(RegionPerceiver(PerceiverConfig(), dim=1024).state_dict())
    assert len(state) == 117 - 1  # region_position_embed is unused and not built
    shapes = {name.removeprefix("region_perceiver."): tuple(value.shape) for name, value in state.items()}
    assert shapes["region_queries"] == (1, 20, 1024)
    assert shapes["init_cross_attn.to_q.weight"] == (512, 1024)
    assert shapes["init_cross_attn.to_kv.weight"] == (1024, 1024)
    assert shapes["bi_blocks.2.image_to_region.to_out.weight"] == (1024, 512)
    assert shapes["bi_blocks.0.ff_image.1.weight"] == (4096, 1024)
    assert shapes["init_ff.3.weight"] == (1024, 4096)
    assert shapes["conv_adapters.1.conv.weight"] == (1024, 1024, 3, 3)
    assert shapes["segmentation_cls_head.class_embed.bias"] == (18,)
