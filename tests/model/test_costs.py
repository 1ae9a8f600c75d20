"""What models cost, against figures from elsewhere: model-spec section 9.2, and tensors that were really made."""

from __future__ import annotations

import pytest
import torch
from tiny_model import tiny_config, tiny_model
from transformers import DynamicCache

from medsight_core.model.config import MedSightConfig
from medsight_core.model.costs import costs_of


def test_the_official_size():
    costs = costs_of(MedSightConfig())
    assert costs.parameters == 8_644_966_646
    assert costs.see == pytest.approx(0.38e12, rel=0.02)  # model-spec 9.2
    convolutions = 0.91e12
    assert costs.decode == pytest.approx(1.9e12 - 0.75 * convolutions, rel=0.03)  # which filter before they enlarge
    assert costs.regions == pytest.approx(costs.decode - 0.70e12, rel=0.02)  # without the finest image update
    # Its 10.5 TFLOP for 640 tokens count the token table and a head for each of them, and no attention.
    attention = 4 * 660**2 * 36 * 4096
    assert costs.read - attention == pytest.approx((10.5e12 - 640 * 4 * 4096 * 152245) * 660 / 640, rel=0.01)
    assert costs.step_parameters == 8_193_266_688 - 4096 * 152245


def test_memory_is_that_of_real_tensors():
    model, _ = tiny_model()
    tokens = 7
    cache = DynamicCache()
    with torch.inference_mode():
        output = model.language(
            inputs_embeds=torch.zeros(1, tokens, 32), past_key_values=cache, use_cache=True, output_hidden_states=True
        )
    costs = costs_of(model.config)
    kept = sum(layer.keys.numel() + layer.values.numel() for layer in cache.layers)
    assert costs.cache_per_token * tokens == kept
    assert costs.states_per_token * tokens == sum(state.numel() for state in output.hidden_states)
    assert costs.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert costs.mask_maps == 32 * 32 * (3 * 32 + 2 * 2 * 8)


def test_a_shared_table_is_read_at_each_token():
    text = {**tiny_config().text_config.to_dict(), "tie_word_embeddings": True}
    apart, shared = costs_of(tiny_config()), costs_of(tiny_config(text_config=text))
    assert shared.parameters == apart.parameters - 834 * 32
    assert shared.step_parameters == apart.step_parameters
    assert shared.read == apart.read
