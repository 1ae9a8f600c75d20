"""A language model in 8 and 4 bits: what becomes small and by how much, how near it stays, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_model import save_tiny_model, tiny_model
from torch import nn

from medsight_core.engine.description import describe
from medsight_core.engine.engine import Engine
from medsight_core.errors import ModelError
from medsight_core.evaluation.predict import Options, fingerprint
from medsight_core.imaging.volume import Volume
from medsight_core.model.loading import load_model
from medsight_core.model.medsight import IMAGE_SENTINEL, MedSightModel
from medsight_core.model.quantize import GROUP, SmallLinear, quantize, small_bytes, small_layers

pytest.importorskip("torchao")

NEAR = {
    8: (0.002, 0.02),
    4: (0.03, 0.15),
}  # least and greatest relative error of a layer: fewer bits must cost something
PROMPT = [5, 6, 7, IMAGE_SENTINEL, 8, 9, 300, 301, 10]  # 300 and 301 are codes


def far(found: torch.Tensor, truth: torch.Tensor) -> float:
    """Relative error."""
    return float((found.float() - truth).norm() / truth.norm())


def noise() -> Volume:
    voxels = np.random.default_rng(0).integers(-1000, 1000, (12, 12, 6)).astype(np.int16)
    return Volume(voxels, np.diag([-2.0, -2.0, 3.0, 1.0]), "CT")


def language_bytes(model: MedSightModel) -> int:
    return sum(tensor.nbytes for tensor in (*model.language.parameters(), *model.language.buffers()))


@pytest.fixture(params=[8, 4])
def bits(request) -> int:
    return request.param


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(5, 96), (2, 3, 96)])
def test_a_layer_says_nearly_the_same(bits, bias, shape):
    torch.manual_seed(0)
    layer, inputs = nn.Linear(96, 48, bias=bias).requires_grad_(False), torch.randn(shape)
    small = SmallLinear(layer, bits)
    found = small(inputs.bfloat16())
    assert found.dtype == torch.bfloat16
    assert found.shape == (*shape[:-1], 48)
    least, most = NEAR[bits]
    assert least < far(found, layer(inputs)) < most


def test_a_layer_takes_the_bytes_that_are_claimed(bits):
    small = SmallLinear(nn.Linear(128, 64, bias=False).requires_grad_(False), bits)
    rows = 2 * 64 if bits == 8 else 0
    assert small.numbers.nbytes + small.scales.nbytes == small_bytes(128 * 64, bits) + rows
    assert small.scales.numel() == (64 if bits == 8 else 2 * 64 * 128 // GROUP)


def test_all_layers_of_the_decoder_become_small_and_nothing_else(bits):
    model, _ = tiny_model()
    names, head = list(small_layers(model.language)), model.language.get_output_embeddings()
    assert len(names) == 2 * 7
    assert not any("lm_head" in name for name in names)
    quantize(model, bits)
    assert all(isinstance(model.language.get_submodule(name), SmallLinear) for name in names)
    assert model.bits == bits
    assert model.language.get_output_embeddings() is head
    assert {parameter.dtype for parameter in model.language.parameters()} == {torch.bfloat16}
    assert model.language.model.rotary_emb.inv_freq.dtype == torch.float32
    others = (part for part in model.children() if part is not model.language)
    assert {parameter.dtype for part in others for parameter in part.parameters()} == {torch.float32}


def test_layers_of_sizes_that_no_kernel_takes_stay(bits):
    model, _ = tiny_model(
        text_config={
            "model_type": "qwen3", "vocab_size": 834, "hidden_size": 32, "intermediate_size": 40,
            "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16,
        }
    )  # fmt: skip
    quantize(model, bits)
    mlp = model.language.model.layers[0].mlp
    assert [type(layer) for layer in (mlp.gate_proj, mlp.up_proj, mlp.down_proj)] == [nn.Linear] * 3
    assert isinstance(model.language.model.layers[0].self_attn.q_proj, SmallLinear)
    with torch.inference_mode():
        assert model(torch.randn(1, 3, 32).bfloat16())[0].isfinite().all()


@torch.inference_mode()
def test_logits_code_states_and_masks_stay_near(bits):
    whole, _ = tiny_model()
    features = whole.encode(torch.randn(1, 3, 56, 56))

    def read(model: MedSightModel) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        logits, states = model(model.splice(PROMPT, model.image_tokens(features))[None])
        codes = states[:, -3:-1]  # of 300 and 301
        return logits, codes, model.decode(features.patches, codes).masks

    truths = read(whole)
    quantize(whole, bits)
    founds = read(whole)
    for what, found, truth in zip(("logits", "states", "masks"), founds, truths):
        assert 1e-4 < far(found, truth) < {8: 0.03, 4: 0.3}[bits], what


def test_the_language_model_takes_as_little_as_it_should(bits, tmp_path):
    folder = save_tiny_model(tmp_path)
    whole, small = load_model(folder)[0], load_model(folder, bits=bits)[0]
    layers = small_layers(whole.language).values()
    made_small = sum(layer.weight.nbytes for layer in layers)
    scales = 2 * sum(layer.out_features for layer in layers) if bits == 8 else 0
    positions = sum(buffer.nbytes for buffer in whole.language.buffers())  # float32 in both
    rest = (language_bytes(whole) - made_small - positions) // 2 + positions
    assert language_bytes(small) == rest + small_bytes(made_small // 4, bits) + scales


def test_what_has_few_bits_says_so(bits, tiny_model_dir, tmp_path):
    engine = Engine.load(tiny_model_dir, bits=bits)
    answer = engine.ask(noise(), "Outline the right lung.")
    assert answer.text
    assert answer.model.version == f"tiny ({bits}-bit)"
    assert engine.describe()["model"]["version"] == describe(engine.config, bits)["model"]["version"]
    assert Engine.load(tiny_model_dir).describe()["model"]["version"] == "tiny"
    prints = {fingerprint(tiny_model_dir, load_model(tiny_model_dir, bits=b)[0], Options()) for b in (None, 8, 4)}
    assert len(prints) == 3
    with pytest.raises(
        ModelError, match=rf"^A model in {bits} bits cannot be saved: load it without bits to save it\.$"
    ):
        engine.model.save_pretrained(tmp_path)


def test_a_question_is_the_same_with_and_without_what_was_read_before(bits, tiny_model_dir):
    engine, volume = Engine.load(tiny_model_dir, bits=bits), noise()
    engine.ask(volume, "Is there a right lung?")
    again = engine.ask(volume, "Outline the right lung.")
    assert again.text == Engine.load(tiny_model_dir, bits=bits).ask(volume, "Outline the right lung.").text
