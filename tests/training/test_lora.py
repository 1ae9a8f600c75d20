"""Adapters change nothing at first, learn, and are part of the weights at the end."""

from __future__ import annotations

import pytest
import torch
from tiny_model import tiny_model

from medsight_core.model.adapter import LANGUAGE
from medsight_core.training.lora import TOWER, attach_lora, fold_lora

CONVOLUTIONAL = {
    "model_type": "medsight_convolutional_tower", "hidden_size": 32, "image_size": 64, "widths": (16, 16, 16),
    "patch_size": 4,
}  # fmt: skip


@pytest.mark.parametrize("vision", [None, CONVOLUTIONAL])
@torch.no_grad()
def test_what_adapters_learned_stays_when_they_are_folded(vision):
    model, _ = tiny_model(**({"vision_config": vision} if vision else {}))
    pixels = torch.randn(1, 3, *[model.config.vision_config.image_size] * 2)
    words = torch.randn(1, 5, model.config.text_config.hidden_size)
    keys = set(model.state_dict())

    def outputs() -> list[torch.Tensor]:
        return [*model.see(pixels), model(words)[0]]

    plain = outputs()
    names = [*attach_lora(model, TOWER, 2), *attach_lora(model, LANGUAGE, 2)]
    assert all(torch.equal(a, b) for a, b in zip(plain, outputs())), "a fresh adapter changes nothing"
    assert {name.partition(".")[0] + "." for name in names} == {TOWER, LANGUAGE}
    for name, parameter in model.named_parameters():
        if name in names:
            parameter.normal_(std=0.3)
    learned = outputs()
    assert not any(torch.allclose(a, b) for a, b in zip(plain, learned))
    fold_lora(model)
    assert set(model.state_dict()) == keys
    assert all(torch.allclose(a, b, atol=1e-4, rtol=1e-3) for a, b in zip(learned, outputs()))
