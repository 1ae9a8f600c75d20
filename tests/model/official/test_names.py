"""The names against the reference, which was written from the document in the other direction."""

import re

import pytest
import torch
from official_checkpoints import part, perceiver_state, projectors, vision_state
from reference.official_names import codebook_names
from reference.seeding import seed_every_parameter
from tiny_model import tiny_model

from medsight_core.model.official import names


@pytest.fixture(scope="module")
def state():
    model, _ = tiny_model()
    seed_every_parameter(model, seed=1)
    return model.state_dict()


def assert_inverse(origins, official, ours, drops=()):
    """``origins`` make exactly the tensors ``ours`` of exactly the ``official`` ones."""
    assert origins.keys() == ours.keys()
    used = {source for origin in origins.values() for source in origin.sources}
    left = official.keys() - used
    assert used <= official.keys()
    assert all(any(re.fullmatch(pattern, key) for pattern in drops) for key in left)
    for name, origin in origins.items():
        shape = tuple(ours[name].shape)
        found = tuple(tuple(official[source].shape) for source in origin.sources)
        assert origin.needs(shape, found) == found, name
        assert torch.equal(origin.make(official.__getitem__, shape, torch.float32), ours[name]), name


def ours(state, *prefixes):
    return {name: tensor for name, tensor in state.items() if name.startswith(prefixes)}


def test_perceiver(state):
    official = perceiver_state(state)
    assert_inverse(names.perceiver_origins(3), official, ours(state, "perceiver."), names.PERCEIVER_DROPS)


def test_tower(state):
    assert_inverse(names.tower_origins(2), vision_state(state), ours(state, "vision."), names.TOWER_DROPS)


def test_codebook(state):
    official = codebook_names(part(state, "codebook."))
    assert_inverse(names.codebook_origins(18), official, ours(state, "codebook."))


def test_language_model_and_projectors(state):
    official = {**part(state, "language."), **projectors(state)}
    origins = names.language_origins(ours(state, "language."))
    assert_inverse(origins, official, ours(state, "language.", "image_to_text.", "text_to_image."))


def test_the_paper_time_prefixes(state):
    origins = {
        **names.tower_origins(2, names.PAPER_TIME_TOWER),
        **names.perceiver_origins(3, names.PAPER_TIME_PERCEIVER),
    }
    sources = {source for origin in origins.values() for source in origin.sources}
    assert "model.vision_tower.vision_tower.image_encoder.transformer.resblocks.1.attn.in_proj_bias" in sources
    assert "model.vision_tower.vision_tower.region_perceiver.bi_blocks.2.ff_image.3.weight" in sources
    assert all(source.startswith(names.PAPER_TIME) for source in sources)


@pytest.mark.parametrize(
    ("drops", "key", "dropped"),
    [
        (names.TOWER_DROPS, "text_encoder.encoder.layer.0.output.dense.weight", True),
        (names.TOWER_DROPS, "visual.proj", True),
        (names.TOWER_DROPS, "visual.projection", False),
        (names.TOWER_DROPS, "visual.ln_post.weight", False),
        (names.CODEBOOK_DROPS, "region_perceiver.quantizer.codebooks.3.embedding.weight", True),
        (names.CODEBOOK_DROPS, "quantizer.codebooks.3.ema_usage", True),
        (names.CODEBOOK_DROPS, "quantizer.codebooks.3.embedding.bias", False),
        (names.PERCEIVER_DROPS, "region_perceiver.region_position_embed.bias", False),
    ],
)
def test_only_what_is_declared_is_dropped(drops, key, dropped):
    assert any(re.fullmatch(pattern, key) for pattern in drops) == dropped
