"""A starting model from pretrained parts: their weights arrive, the vocabulary grows by the codes."""

from __future__ import annotations

import pytest
import torch
from official_checkpoints import save_clip, vision_state
from tiny_model import tiny_config, tiny_model, tiny_tokenizer
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from medsight_core.cli.app import app
from medsight_core.errors import InputError, ModelError
from medsight_core.model.loading import load_model
from medsight_core.training.pretrained import pretrained_model


@pytest.fixture
def parts(tmp_path):
    """A tiny pretrained language model without codes, and a tiny tower as UniMed-CLIP is published."""
    config = tiny_config()
    text = config.text_config
    text.vocab_size = 258
    torch.manual_seed(5)
    spoken = AutoModelForCausalLM.from_config(text)
    spoken.save_pretrained(tmp_path / "language")
    tiny_tokenizer([]).save_pretrained(tmp_path / "language")
    source, _ = tiny_model(seed=6, vision_config={
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 1,
        "image_size": 336, "patch_size": 14, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5,
    })  # fmt: skip
    save_clip(tmp_path / "clip.pt", vision_state(source.state_dict()))
    return tmp_path / "language", tmp_path / "clip.pt", spoken, source


def test_pretrained_weights_arrive_and_the_codes_follow_the_words(parts):
    language, tower, spoken, source = parts
    model, processor = pretrained_model(language, tower)
    assert processor.config.first_code_token == 258
    assert len(processor.tokenizer) == model.config.text_config.vocab_size == 258 + 576
    table = model.get_input_embeddings().weight
    torch.testing.assert_close(table[:258], spoken.get_input_embeddings().weight)
    mean = spoken.get_input_embeddings().weight.mean(0)
    assert (table[258:] - mean).abs().mean() < 0.1 * spoken.get_input_embeddings().weight.std()
    for name, value in source.vision.state_dict().items():
        torch.testing.assert_close(model.vision.state_dict()[name], value)


def test_the_command_writes_a_folder_that_loads(parts, tmp_path):
    language, tower, *_ = parts
    words = ["train", "start", "--language", str(language), "--tower", str(tower), "--out", str(tmp_path / "start")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    model, _ = load_model(tmp_path / "start")
    assert model.config.perceiver_config.num_classes == 17
    again = CliRunner().invoke(app, words)
    assert again.exit_code == 2
    assert "is there already: give another folder." in " ".join(again.output.split())


def test_a_tied_head_is_untied(parts, tmp_path):
    language, tower, spoken, _ = parts
    spoken.config.tie_word_embeddings = True
    spoken.tie_weights()
    spoken.save_pretrained(language)
    model, processor = pretrained_model(language, tower)
    table, head = model.get_input_embeddings().weight, model.language.get_output_embeddings().weight
    assert table is not head
    torch.testing.assert_close(table, head)
    model.save_pretrained(tmp_path / "saved")
    processor.save_pretrained(tmp_path / "saved")
    assert load_model(tmp_path / "saved")[0].config.tie_word_embeddings is False


def test_what_is_no_language_model_is_told(parts, tmp_path):
    with pytest.raises(InputError, match=r"holds no language model: give a transformers folder with safetensors and a"):
        pretrained_model(tmp_path, parts[1])


def test_what_is_no_tower_is_told(parts, tmp_path):
    torch.save({"state_dict": {"other": torch.zeros(2)}}, tmp_path / "other.pt")
    with pytest.raises((InputError, ModelError), match=r"visual\."):
        pretrained_model(parts[0], tmp_path / "other.pt")
