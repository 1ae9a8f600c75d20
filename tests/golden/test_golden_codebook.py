"""The codebook against the reference (model-spec section 10, test 4)."""

import pytest
import torch
from reference.codebook import decode, quantise, route, unit
from reference.official_names import codebook_names
from reference.ops import exact
from reference.perceiver import seg_head
from reference.seeding import seed_every_parameter

from medsight_core.model.codebook import Codebook
from medsight_core.model.config import CodebookConfig

WIDTH, CONFIG = 24, CodebookConfig(num_modalities=5, num_codes=16, code_dim=8)
TOLERANCE = {"atol": 1e-6, "rtol": 0.0}


@pytest.fixture(scope="module")
def codebook() -> Codebook:
    book = Codebook(CONFIG, WIDTH, num_classes=4).eval()
    seed_every_parameter(book, seed=20)
    return book


def draw(*shape: int, seed: int = 21) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def assert_equal(ours, reference):
    assert ours.codes.tolist() == reference.indices.tolist()
    torch.testing.assert_close(ours.vectors, reference.codes, **TOLERANCE)
    torch.testing.assert_close(ours.vectors.norm(dim=-1), torch.ones(ours.codes.shape), **TOLERANCE)
    torch.testing.assert_close(ours.regions, reference.rebuilt, atol=1e-5, rtol=0.0)
    torch.testing.assert_close(ours.vq_loss, reference.vq_loss, **TOLERANCE)
    torch.testing.assert_close(ours.commit_loss, reference.commit_loss, **TOLERANCE)
    torch.testing.assert_close(ours.reconstruction_loss, reference.recon_loss, **TOLERANCE)


@torch.no_grad()
def test_the_label_chooses_the_table(codebook):
    regions, tables = draw(4, 6, WIDTH), [3, 0, 4, 3]
    ours = codebook(regions, draw(4, WIDTH, seed=22), torch.tensor(tables))
    assert len(set(ours.codes.flatten().tolist())) > 4, "the seed must spread the codes"
    assert ours.modalities.tolist() == tables
    assert_equal(ours, quantise(codebook_names(codebook.state_dict()), regions, tables))


@torch.no_grad()
def test_the_classifier_chooses_the_table_without_a_label(codebook):
    regions, class_token = draw(6, 5, WIDTH), draw(6, WIDTH, seed=23)
    params = codebook_names(codebook.state_dict())
    tables = route(params, class_token)
    assert len(set(tables)) > 1, "the seed must use several tables"
    ours = codebook(regions, class_token)
    assert ours.modalities.tolist() == tables
    assert_equal(ours, quantise(params, regions, tables))


def test_gradients_go_only_where_the_document_sends_them(codebook):
    regions = draw(2, 6, WIDTH)
    tables, encoder = codebook.tables, codebook.encode[3].weight

    def gradients(loss):
        return torch.autograd.grad(loss, [tables, encoder], allow_unused=True)

    def quantised():
        return codebook(regions, draw(2, WIDTH), torch.tensor([1, 2]))

    table_part, encoder_part = gradients(quantised().vq_loss)
    assert table_part.abs().sum() > 0
    assert encoder_part is None
    table_part, encoder_part = gradients(quantised().commit_loss)
    assert table_part is None
    assert encoder_part.abs().sum() > 0
    table_part, encoder_part = gradients(quantised().reconstruction_loss)
    assert table_part.abs().sum() > 0
    assert encoder_part is None  # no straight-through


@pytest.mark.parametrize("label", [-1, CONFIG.num_modalities, 99])
@torch.no_grad()
def test_a_label_without_a_table_takes_the_first_and_leaves_the_others_alone(codebook, label):
    regions = draw(3, 6, WIDTH)
    ours = codebook(regions, draw(3, WIDTH, seed=22), torch.tensor([2, label, 4]))
    assert ours.modalities.tolist() == [2, 0, 4]
    assert_equal(ours, quantise(codebook_names(codebook.state_dict()), regions, [2, 0, 4]))


@pytest.mark.parametrize("scale", [1.0, 0.03], ids=["plain", "faint"])
@torch.no_grad()
def test_the_official_size_in_exact_arithmetic(scale):
    book = Codebook(CodebookConfig(), dim=1024, num_classes=17).eval()
    seed_every_parameter(book, seed=24, scale=scale)
    regions, tables = draw(3, 20, 1024, seed=25), [17, 0, 9]
    reference = quantise(exact(codebook_names(book.state_dict())), regions.double(), tables)
    ours = book(regions, draw(3, 1024), torch.tensor(tables))
    assert ours.codes.shape == (3, 20)
    assert ours.codes.max() > 16, "the seed must use the upper half of the codes"
    assert ours.codes.tolist() == reference.indices.tolist()
    for value, wanted in [
        (ours.vectors, reference.codes),
        (ours.vq_loss, reference.vq_loss),
        (ours.commit_loss, reference.commit_loss),
        (ours.reconstruction_loss, reference.recon_loss),
    ]:
        torch.testing.assert_close(value.double(), wanted, **TOLERANCE)


def test_training_mode_has_no_warm_up(codebook):
    """The official soft mixture doubles the codes at first (section 9.1, 4); ours are the codes from the first call."""
    regions, tables = draw(2, 6, WIDTH), [3, 1]
    codebook.train()
    try:
        ours = codebook(regions, draw(2, WIDTH), torch.tensor(tables))
    finally:
        codebook.eval()
    with torch.no_grad():
        assert_equal(ours, quantise(codebook_names(codebook.state_dict()), regions, tables))


def test_gradients_are_those_of_the_document(codebook):
    """The distance of code and vector is one formula; stopping a side leaves its gradient to the other side alone."""
    regions, tables = draw(3, 6, WIDTH), [3, 0, 3]
    state = codebook_names(codebook.state_dict())
    params = {name: value.detach().double().requires_grad_() for name, value in state.items()}
    reference = quantise(params, regions.double(), tables)
    ours = codebook(regions, draw(3, WIDTH), torch.tensor(tables))

    entries = [params[f"quantizer.codebooks.{table}.embedding.weight"] for table in range(CONFIG.num_modalities)]
    encoder = [params[f"region_perceiver.to_code.{layer}.weight"] for layer in (0, 2, 3, 5)]
    decoder = [params[f"region_perceiver.code_decoder.from_code.{layer}.bias"] for layer in (0, 2, 3, 5)]
    our_encoder = [codebook.encode[layer].weight for layer in (0, 2, 3, 5)]
    our_decoder = [codebook.decode[layer].bias for layer in (0, 2, 3, 5)]

    def gradients(loss, leaves):
        return torch.autograd.grad(loss, leaves, retain_graph=True, allow_unused=True)

    def of_tables(loss):
        parts = gradients(loss, entries)
        return torch.stack([torch.zeros_like(leaf) if g is None else g for leaf, g in zip(entries, parts, strict=True)])

    for loss, wanted in [(ours.vq_loss, reference.vq_loss), (ours.reconstruction_loss, reference.recon_loss)]:
        table_part = gradients(loss, [codebook.tables])[0].double()
        assert not table_part[[1, 2, 4]].any(), "tables that no image used"
        torch.testing.assert_close(table_part, of_tables(wanted), atol=1e-6, rtol=1e-5)
    for loss, wanted, leaves, wanted_leaves in [
        (ours.commit_loss, reference.commit_loss, our_encoder, encoder),
        (ours.reconstruction_loss, reference.recon_loss, our_decoder, decoder),
    ]:
        for part, wanted_part in zip(gradients(loss, leaves), gradients(wanted, wanted_leaves), strict=True):
            assert wanted_part.abs().max() > 1e-4
            torch.testing.assert_close(part.double(), wanted_part, atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_the_quantised_head_reads_the_rebuilt_queries(codebook):
    params, codes, image = codebook_names(codebook.state_dict()), unit(draw(1, 3, 8)), draw(1, 4, 4, WIDTH)
    name = "region_perceiver.code_decoder.segmentation_cls_head_quant"
    masks, classes = seg_head(params, name, decode(params, codes), image)
    ours = codebook.head(codebook.decode(codes), image.permute(0, 3, 1, 2))
    torch.testing.assert_close(ours[0], masks, atol=1e-5, rtol=0.0)
    torch.testing.assert_close(ours[1], classes, atol=1e-5, rtol=0.0)


@torch.no_grad()
def test_token_vectors_are_modality_major(codebook):
    params = codebook_names(codebook.state_dict())
    tables = [unit(params[f"quantizer.codebooks.{k}.embedding.weight"]) for k in range(CONFIG.num_modalities)]
    torch.testing.assert_close(codebook.token_vectors(), decode(params, torch.cat(tables)), atol=1e-5, rtol=0.0)
