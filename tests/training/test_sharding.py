"""A sharded model: what becomes of the 8B one, and that two processes sharing a small one do what one does alone."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import torch
from safetensors.torch import load_file

from medsight_core.errors import InputError
from medsight_core.training.run import StageRun, run_stage
from medsight_core.training.sharding import join_processes
from medsight_core.training.stages import STAGES

HERE = Path(__file__).parent
TWO = (2, str(HERE / "shard_on_cpu.py"))
DECODER_LAYERS = 36
LAYER = 192_946_432  # parameters of a decoder layer of Qwen3-8B


def passed(*ended: CompletedProcess[str]) -> str:
    """The output of programs that ended well."""
    assert not any(each.returncode for each in ended), ended[0].stderr[-3000:]
    return ended[0].stdout


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", ["checkpointing", "without"])
def test_the_8b_model_is_cut_into_eight(commands, checkpointing):
    said = passed(commands.run(str(HERE / "shard_on_meta.py"), "instruct", checkpointing))
    report = json.loads(said.splitlines()[-1])
    units = report["units"]
    assert units.count("FSDPQwen3DecoderLayer") == DECODER_LAYERS
    assert units.count("FSDPConversationTask") == 1
    wrappers = DECODER_LAYERS if checkpointing == "checkpointing" else 0
    assert units.count("FSDPCheckpointWrapper") == wrappers
    assert len(units) == DECODER_LAYERS + 1 + wrappers  # and neither tower nor perceiver
    assert report["unsharded"] == []
    assert report["whole"] == 8_644_966_646
    assert report["largest_unit"] == report["whole"] - DECODER_LAYERS * LAYER  # the root's
    assert report["here"] * 4 == pytest.approx(4.32e9, rel=0.001)  # bytes, an eighth
    assert "param_dtype=torch.bfloat16, reduce_dtype=torch.float32, output_dtype=None" in report["policy"]


@pytest.fixture
def mixed(grounded) -> Path:
    """Every second conversation without an image, so that processes differ in what they run."""
    path = grounded.parent / "mixed.jsonl"
    words = [{"from": "human", "value": "What is a liver?"}, {"from": "assistant", "value": "An organ."}]
    lines = grounded.read_text().splitlines()
    texts = [json.dumps({"id": f"words-{index}", "conversations": words}) for index in range(len(lines))]
    path.write_text("\n".join(line for pair in zip(lines, texts) for line in pair))
    return path


@pytest.mark.slow
@pytest.mark.parametrize(("name", "batch"), [("align-text", "4"), ("instruct", "2")])
def test_two_processes_that_share_a_model_do_what_one_does(
    commands, name, batch, grounded, mixed, start_model, tmp_path
):
    data = mixed if name == "instruct" else grounded
    command = [
        "train", name, "--model", str(start_model), "--data", str(data), "--steps", "4", "--batch", batch,
        "--set", "precision=fp32", "--set", "log_every=1", "--set", "save_every=2", "--set", "max_length=4000",
    ]  # fmt: skip
    one, two = tmp_path / "one", tmp_path / "two"
    sharded = [*TWO, *command, "--fsdp", "--out", str(two)]
    passed(commands.run("-m", "medsight_core", *command, "--out", str(one)))
    passed(*commands.together(*sharded))
    state = two / "checkpoints" / "checkpoint-4"
    assert (state / "pytorch_model_fsdp_0").is_dir(), "the model was not sharded"
    assert losses(two) == pytest.approx(losses(one), rel=1e-4)
    alone, shared = weights(one), weights(two)
    assert alone.keys() == shared.keys()
    start = load_file(start_model / "model.safetensors")
    for key, value in alone.items():
        assert torch.equal(value, start[key]) == torch.equal(shared[key], start[key]), key
        torch.testing.assert_close(shared[key], value, atol=1e-4, rtol=1e-4, msg=key)

    shutil.rmtree(two / "model")  # killed after two of its four steps
    shutil.rmtree(state)
    passed(*commands.together(*sharded, "--resume"))
    assert all(torch.equal(value, shared[key]) for key, value in weights(two).items())


@pytest.mark.slow
def test_rounded_weights_learn_alike(commands, grounded, start_model, tmp_path):
    command = [
        *TWO, "train", "instruct", "--model", str(start_model), "--data", str(grounded),
        "--steps", "4", "--batch", "4", "--set", "log_every=1", "--set", "max_length=4000", "--lr", "0.01", "--fsdp",
    ]  # fmt: skip
    # With checkpointing too, as the paper's preset has it.
    passed(*commands.together(*command, "--out", str(tmp_path / "bf16"), "--set", "precision=bf16"))
    plain = ("--set", "precision=fp32", "--set", "checkpointing=false")
    passed(*commands.together(*command, "--out", str(tmp_path / "fp32"), *plain))
    assert losses(tmp_path / "bf16") == pytest.approx(losses(tmp_path / "fp32"), rel=0.02)
    assert losses(tmp_path / "bf16")[-1] < losses(tmp_path / "bf16")[0]


def test_a_process_alone_is_told(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(InputError, match=r"^--fsdp spreads a model over several processes and this one is alone: "):
        join_processes()


@pytest.mark.slow
def test_processes_without_gpus_are_told(commands, grounded, start_model, tmp_path):
    (done,) = commands.together(
        1, "-m", "medsight_core", "train", "instruct", "--model", str(start_model), "--data", str(grounded), "--fsdp",
        "--out", str(tmp_path / "out"),
    )  # fmt: skip
    assert "--fsdp spreads a model over GPUs and this machine has none: leave it out." in done.stderr
    assert done.returncode != 0


def test_stages_without_a_language_model_are_told(phantoms, start_model, tmp_path):
    stage = STAGES["perceiver"]
    wanted = StageRun(stage, start_model, phantoms, tmp_path, replace(stage.recipe, steps=1), fsdp=True)
    with pytest.raises(InputError, match=r"^The stage perceiver trains no language model: leave out --fsdp\.$"):
        run_stage(wanted)


def losses(folder: Path) -> list[float]:
    state = json.loads((folder / "checkpoints" / "checkpoint-4" / "trainer_state.json").read_text())
    return [entry["loss"] for entry in state["log_history"] if "loss" in entry]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model" / "model.safetensors")


def test_muon_on_a_model_that_is_spread_is_refused(start_model, grounded, tmp_path):
    stage = STAGES["instruct"]
    wanted = StageRun(stage, start_model, grounded, tmp_path, replace(stage.recipe, optimizer="muon"), fsdp=True)
    with pytest.raises(InputError, match=r"^Muon needs whole matrices and --fsdp splits them: use --set optimizer=ad"):
        run_stage(wanted)
