"""A starting model on a base language model: it begins as the base, and training reaches the adapter and no base."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_model import tiny_tokenizer
from transformers import AutoModelForCausalLM, LlamaConfig
from typer.testing import CliRunner

from medsight_core.cli.app import app
from medsight_core.data.records import Conversations
from medsight_core.errors import InputError
from medsight_core.model.base_language import BASES, read_language
from medsight_core.model.loading import load_model
from medsight_core.training.conversation_task import ConversationTask
from medsight_core.training.datasets import ConversationDataset, collate_conversations
from medsight_core.training.pretrained import model_on_base
from medsight_core.training.run import StageRun, run_stage, save_model
from medsight_core.training.stages import STAGES
from medsight_core.training.task import freeze_all_but

WORDS = 258
ALL = ("language.", "image_to_text.", "text_to_image.")


@pytest.fixture(scope="module")
def tiny_base(tmp_path_factory) -> Path:
    """A random two-layer Llama with a tied head and a tokenizer without codes."""
    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=WORDS, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=4096, tie_word_embeddings=True,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tiny_tokenizer([]).save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def _known(tiny_base, monkeypatch):
    monkeypatch.setitem(BASES, "tiny", lambda: tiny_base)


@pytest.fixture
def batch_for(grounded):
    def make(processor):
        data = ConversationDataset(Conversations(grounded), processor, 4000)
        with_codes = [i for i, record in enumerate(data.conversations) if len(record.codes) >= 2]
        return collate_conversations([data[i] for i in with_codes[:4]])

    return make


def test_it_begins_as_the_base_around_the_vision_side(tiny_base, start_model):
    model, processor = model_on_base("tiny", start_model)
    source, _ = load_model(start_model)
    for part in ("vision", "perceiver", "codebook"):
        for name, value in source.get_submodule(part).state_dict().items():
            assert torch.equal(model.get_submodule(part).state_dict()[name], value)
    assert len(processor.tokenizer) == model.config.text_config.vocab_size == WORDS + 576
    assert model.config.perceiver_config.num_classes == source.config.perceiver_config.num_classes
    ids = torch.tensor([[3, 77, 200]])
    with torch.no_grad():
        torch.testing.assert_close(model.language(ids).logits[..., :WORDS], read_language(tiny_base)(ids).logits)


def test_a_base_has_only_so_many_layers(start_model):
    with pytest.raises(InputError, match="tiny has 2 layers and 3 were to adapt: give a number from 1 to 2"):
        model_on_base("tiny", start_model, last_layers=3)


def test_training_reaches_adapter_rows_and_projectors_alone(start_model, batch_for, tmp_path):
    model, processor = model_on_base("tiny", start_model, rank=4)
    task = ConversationTask(model, ALL, with_masks=True)
    freeze_all_but(model, task.trainable)
    task.start()
    learned = {name for name, parameter in task.named_parameters() if parameter.requires_grad}
    kinds = {"lora_" if "lora_" in name else name.replace("model.", "").split(".")[0] for name in learned}
    assert kinds == {"lora_", "rows", "image_to_text", "text_to_image"}
    assert sum("lora_" in name for name in learned) == 28
    before = {name: value.clone() for name, value in task.state_dict().items()}
    batch = batch_for(processor)
    totals = torch.tensor(task.count(batch))
    optimiser = torch.optim.Adam([p for p in task.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(4):
        optimiser.zero_grad()
        loss = task(totals=totals, **batch)["loss"]
        loss.backward()
        optimiser.step()
        losses.append(float(loss))
    assert losses[-1] < 0.9 * losses[0]
    changed = {name for name, value in task.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == learned
    task.finish()
    save_model(model, processor, tmp_path / "model")
    merged, _ = load_model(tmp_path / "model")
    with torch.no_grad():
        trained = task(totals=totals, **batch)["loss"]
        again = ConversationTask(merged, ALL, with_masks=True)(totals=totals, **batch)["loss"]
    assert float(again) == pytest.approx(float(trained), rel=2e-3)  # the folder is in half precision


def test_gradients_below_an_adapter_on_the_last_layers_may_be_spared(start_model, batch_for):
    model, processor = model_on_base("tiny", start_model, last_layers=1)
    tracked = {}
    for index, layer in enumerate(model.language.model.layers):
        layer.register_forward_hook(lambda module, given, out, index=index: tracked.update({index: out.requires_grad}))
    batch = batch_for(processor)
    for train_inputs in (True, False):
        task = ConversationTask(model, ALL, with_masks=True, train_inputs=train_inputs)
        freeze_all_but(model, task.trainable)
        task.start()
        model.zero_grad()
        task(totals=torch.tensor(task.count(batch)), **batch)["loss"].backward()
        assert tracked == {0: train_inputs, 1: True}
        assert (model.image_to_text[0].weight.grad is not None) == train_inputs
        assert (task.rows.inputs.grad is not None) == train_inputs
        assert task.rows.outputs.grad.any()


@pytest.fixture(scope="module")
def run_of(tiny_base, grounded, start_model, tmp_path_factory):
    """A run of two steps from what the command writes."""
    folder = tmp_path_factory.mktemp("run")
    start = folder / "start"
    words = ["train", "start-small", "--base", "tiny", "--vision", str(start_model), "--rank", "4", "-o", str(start)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BASES, "tiny", lambda: tiny_base)
        result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert CliRunner().invoke(app, words).exit_code == 2
    stage = STAGES["instruct"]
    recipe = replace(
        stage.recipe, steps=2, batch=2, precision="fp32", checkpointing=False, max_length=4000, learning_rate=1e-2
    )
    return StageRun(stage, start, grounded, folder / "run", recipe, stage.ours)


def test_a_stage_keeps_the_folder_small(run_of):
    run_stage(run_of)
    before, after = (load_file(folder / "model.safetensors") for folder in (run_of.model, run_of.folder / "model"))
    assert before.keys() == after.keys()
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"language", "codes", "image_to_text", "text_to_image"}
    config = json.loads((run_of.folder / "model" / "config.json").read_text())
    assert config["base_language"] == "tiny"
    assert config["adapter_config"]["alpha"] == 8


def test_a_checkpoint_leaves_out_the_base_and_is_gone_on_from(run_of, tmp_path):
    whole, stopped = (
        replace(run_of, folder=tmp_path / name, recipe=replace(run_of.recipe, save_every=1))
        for name in ("whole", "stopped")
    )
    run_stage(whole)
    held = load_file(whole.folder / "checkpoints" / "checkpoint-1" / "model.safetensors")
    language = [key for key in held if key.startswith("model.language.")]
    assert language
    assert all("lora_" in key for key in language)

    class StopError(Exception):
        pass

    def stop(step, count, last):
        if step == 2:
            raise StopError

    with pytest.raises(StopError):
        run_stage(stopped, progress=stop)
    run_stage(stopped, resume=True)
    first, second = (load_file(run.folder / "model" / "model.safetensors") for run in (whole, stopped))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_an_adapter_needs_no_sharding(run_of, tmp_path, monkeypatch):
    monkeypatch.setattr("medsight_core.training.run.join_processes", lambda: None)
    with pytest.raises(InputError, match="trains an adapter of tiny, which fits one device: leave out --fsdp"):
        run_stage(replace(run_of, folder=tmp_path, fsdp=True))
