"""The quantiser: nearest code by cosine, of the image's own modality."""

import pytest
import torch
import torch.nn.functional as F

from medsight_core.model.codebook import Codebook
from medsight_core.model.config import CodebookConfig


@pytest.fixture
def codebook():
    torch.manual_seed(4)
    return Codebook(CodebookConfig(num_modalities=3, num_codes=8, code_dim=6), dim=16, num_classes=4)


def test_tokens_are_zero_based_and_modality_major():
    tokens = CodebookConfig().code_tokens
    assert len(tokens) == 576
    assert (tokens[0], tokens[31], tokens[32], tokens[-1]) == ("[M0_0]", "[M0_31]", "[M1_0]", "[M17_31]")


def test_each_region_gets_the_most_similar_code_of_its_modality(codebook):
    regions, modalities = torch.randn(2, 5, 16), torch.tensor([2, 0])
    result = codebook(regions, torch.randn(2, 16), modalities)
    encoded = codebook.encode(regions)
    for image in range(2):
        table = codebook.tables[modalities[image]]
        similarity = F.cosine_similarity(encoded[image][:, None], table[None], dim=-1)
        assert result.codes[image].tolist() == similarity.argmax(dim=1).tolist()
    assert torch.allclose(result.vectors.norm(dim=-1), torch.ones(2, 5), atol=1e-6)


def test_the_classifier_chooses_the_table_when_no_modality_is_given(codebook):
    class_token = torch.randn(4, 16)
    result = codebook(torch.randn(4, 5, 16), class_token)
    assert result.modalities.tolist() == codebook.modality(class_token).argmax(dim=1).tolist()


def test_a_label_without_a_table_means_the_first(codebook):
    regions, class_token = torch.randn(2, 5, 16), torch.randn(2, 16)
    assert codebook(regions, class_token, torch.tensor([-1, 99])).modalities.tolist() == [0, 0]


def test_losses_follow_the_document(codebook):
    regions = torch.randn(1, 5, 16)
    result = codebook(regions, torch.randn(1, 16), torch.tensor([1]))
    encoded = codebook.encode(regions)
    distance = ((result.vectors - encoded) ** 2).mean()
    assert result.vq_loss.item() == pytest.approx(distance.item(), abs=1e-6)
    assert result.commit_loss.item() == pytest.approx(0.25 * distance.item(), abs=1e-6)
    assert result.reconstruction_loss.item() == pytest.approx(((result.regions - regions) ** 2).mean().item(), abs=1e-6)


def test_token_vectors_are_the_decoded_unit_codes(codebook):
    vectors = codebook.token_vectors()
    assert vectors.shape == (24, 16)
    expected = codebook.decode(F.normalize(codebook.tables[1, 3], dim=0))
    assert torch.allclose(vectors[1 * 8 + 3], expected, atol=1e-6)
