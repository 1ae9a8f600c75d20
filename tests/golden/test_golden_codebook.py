"""The codebook against the reference (model-spec section 10, test 4)."""

import pytest
import torch
from reference.codebook import decode, quantise, route, unit
from reference.official_names import codebook_names
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
