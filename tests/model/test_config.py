"""Sizes of the official model, and switches that refuse values nobody knows."""

from __future__ import annotations

import pytest

from medsight_core.errors import ModelError
from medsight_core.model.config import MedSightConfig


def test_the_default_is_the_official_model():
    config = MedSightConfig()
    assert (config.grid, config.mask_size, config.num_image_tokens, config.num_code_tokens) == (24, 192, 596, 576)


@pytest.mark.parametrize(
    ("switch", "choices"),
    [("code_state", "own, previous"), ("presence", "class, mask, detected"), ("frame", "volume, body")],
)
def test_an_unknown_switch_value_is_named_with_the_choices(switch: str, choices: str):
    with pytest.raises(ModelError, match=rf"^config.json has {switch} 'odd': use one of {choices}\.$"):
        MedSightConfig(**{switch: "odd"})


def test_pooled_patches_take_fewer_places_in_the_prompt():
    assert MedSightConfig(pool_patches=4).num_image_tokens == 6 * 6 + 20


@pytest.mark.parametrize("pool", [0, 5])
def test_patches_are_pooled_in_whole_squares_only(pool: int):
    sentence = rf"^config.json has pool_patches {pool} and 24 patches a side: use a whole divisor\.$"
    with pytest.raises(ModelError, match=sentence):
        MedSightConfig(pool_patches=pool)
