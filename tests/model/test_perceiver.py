"""The Region Perceiver against closed forms and its own invariants (golden comparison: the training issue)."""

import math

import pytest
import torch
from tiny_model import tiny_model

from medsight_core.model import perceiver as module
from medsight_core.model.config import PerceiverConfig
from medsight_core.model.perceiver import CrossAttention, RegionPerceiver, double, double_and_filter, sine_position


@pytest.fixture
def perceiver():
    torch.manual_seed(1)
    config = PerceiverConfig(num_queries=5, num_stages=3, num_heads=2, head_dim=8, ffn_ratio=2, num_classes=4)
    return RegionPerceiver(config, dim=32).eval()


@pytest.mark.parametrize(("height", "width"), [(4, 4), (3, 5), (7, 2)])
def test_positions_follow_the_closed_form(height, width):
    dim = 16
    positions = sine_position(height, width, dim)
    for channel in range(dim):
        half, length, row_wise = dim // 2, height if channel < dim // 2 else width, channel < dim // 2
        i = channel % half
        for index in range(length):
            angle = (index + 1) / (length + 1e-6) * 2 * math.pi / 10000 ** (2 * (i // 2) / half)
            expected = math.sin(angle) if i % 2 == 0 else math.cos(angle)
            line = positions[channel, index, :] if row_wise else positions[channel, :, index]
            assert torch.allclose(line, torch.full_like(line, expected), atol=1e-5)


def test_a_query_that_may_look_nowhere_averages_everything():
    torch.manual_seed(2)
    attention = CrossAttention(dim=16, num_heads=2, head_dim=4)
    pixels, queries = torch.randn(1, 9, 16), torch.randn(1, 3, 16)
    blocked = torch.zeros(1, 3, 9, dtype=torch.bool)
    blocked[0, 1] = True
    mixed = attention(pixels, queries, blocked)
    values = attention.kv(attention.norm_kv(pixels)).chunk(2, dim=-1)[1]
    assert torch.allclose(mixed[0, 1], attention.out(values.mean(dim=1))[0], atol=1e-5)
    assert not torch.allclose(mixed[0, 0], mixed[0, 1], atol=1e-3)


def test_blocking_nothing_equals_no_mask():
    torch.manual_seed(3)
    attention = CrossAttention(dim=16, num_heads=2, head_dim=4)
    pixels, queries = torch.randn(2, 9, 16), torch.randn(2, 3, 16)
    nothing = torch.zeros(2, 3, 9, dtype=torch.bool)
    assert torch.allclose(attention(pixels, queries, nothing), attention(pixels, queries), atol=1e-5)


def test_a_pass_returns_every_scale(perceiver):
    output = perceiver(torch.randn(2, 4, 4, 32))
    assert [tuple(image.shape) for image in output.pyramid] == [(2, 32, n, n) for n in (4, 8, 16, 32)]
    assert output.masks.shape == (2, 5, 32, 32)
    assert output.classes.shape == (2, 5, 5)  # four classes and "no object"


def test_region_vectors_alone_equal_those_of_the_full_pass(perceiver):
    patches = torch.randn(2, 4, 4, 32)
    assert torch.equal(perceiver.regions(patches), perceiver(patches).queries)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 5), (6, 2)])
def test_filtering_before_enlarging_equals_filtering_after(height, width):
    torch.manual_seed(4)
    conv = torch.nn.Conv2d(6, 6, 3, padding=1)
    image = torch.randn(2, 6, height, width, requires_grad=True)
    after, before = conv(double(image)), double_and_filter(image, conv)
    torch.testing.assert_close(before, after, atol=1e-5, rtol=0)
    wanted = torch.autograd.grad(after.square().sum(), [image, conv.weight, conv.bias])
    found = torch.autograd.grad(before.square().sum(), [image, conv.weight, conv.bias])
    for gradient, expected in zip(found, wanted):
        torch.testing.assert_close(gradient, expected, atol=1e-4, rtol=1e-5)


def test_half_precision_filters_what_was_enlarged(perceiver, monkeypatch):
    monkeypatch.setattr(module, "double_and_filter", None)
    perceiver.bfloat16()(torch.randn(1, 4, 4, 32, dtype=torch.bfloat16))
    with torch.autocast("cpu", torch.bfloat16):
        perceiver.float()(torch.randn(1, 4, 4, 32))
    with pytest.raises(TypeError):
        perceiver(torch.randn(1, 4, 4, 32))


def test_pixels_may_be_updated_in_pieces(perceiver, monkeypatch):
    patches = torch.randn(2, 4, 4, 32)
    whole = perceiver(patches)
    monkeypatch.setattr(module, "AT_ONCE", 100)
    torch.testing.assert_close(perceiver(patches).masks, whole.masks, atol=1e-5, rtol=0)


def test_foreign_queries_of_any_number_can_be_decoded(perceiver):
    for number in (1, 7):
        assert perceiver(torch.randn(2, 4, 4, 32), torch.randn(2, number, 32)).masks.shape == (2, number, 32, 32)


def test_decoding_equals_the_learned_pass_when_given_the_learned_queries(perceiver):
    patches = torch.randn(1, 4, 4, 32)
    assert torch.equal(perceiver(patches, perceiver.queries).masks, perceiver(patches).masks)


def test_the_official_size_has_the_published_number_of_parameters():
    with torch.device("meta"):
        perceiver = RegionPerceiver(PerceiverConfig(), dim=1024)
    # model-spec 7.1 counts 102 895 634 with the unused 20 x 1024 position table, which we do not have.
    assert sum(p.numel() for p in perceiver.parameters()) == 102_895_634 - 20 * 1024


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_decodes_too(dtype):
    model, _ = tiny_model()
    masks = model.to(dtype).decode(torch.randn(1, 4, 4, 32, dtype=dtype), torch.randn(1, 3, 32, dtype=dtype)).masks
    assert masks.dtype == dtype
    assert masks.isfinite().all()


def test_images_of_a_batch_do_not_touch_each_other():
    model, _ = tiny_model()
    patches, states = torch.randn(2, 4, 4, 32), torch.randn(2, 3, 32)
    together = model.decode(patches, states).masks
    alone = model.decode(patches[1:], states[1:]).masks
    assert torch.allclose(together[1], alone[0], atol=1e-4)


def test_padding_queries_change_nothing_for_the_others():
    model, _ = tiny_model()
    patches = torch.randn(2, 4, 4, 32)
    queries = torch.randn(2, 3, 32)
    padding = torch.tensor([[False, False, True], [False, True, True]])
    with torch.no_grad():
        padded = model.perceiver(patches, queries, padding=padding)
        for row, count in enumerate((2, 1)):
            alone = model.perceiver(patches[row : row + 1], queries[row : row + 1, :count])
            torch.testing.assert_close(padded.masks[row, :count], alone.masks[0], atol=1e-4, rtol=0)
            torch.testing.assert_close(padded.classes[row, :count], alone.classes[0], atol=1e-5, rtol=0)
