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
