"""The authors' files: read lazily, and never in a way that runs what is in them."""

import argparse
import json
import os

import pytest
import torch
from official_checkpoints import save_shards
from safetensors.torch import save_file

from medsight_core.errors import InputError, ModelError
from medsight_core.model.official.checkpoints import PROJECTED_CODEBOOK, open_folder, open_torch_file, read_json

INDEX = "model.safetensors.index.json"


def refusal(kind, act, *arguments):
    with pytest.raises(kind) as caught:
        act(*arguments)
    return str(caught.value)


@pytest.mark.parametrize("entry", ["model", "state_dict", None])
def test_a_torch_file(tmp_path, entry):
    state = {"module.a.weight": torch.randn(3, 2), "module.b": torch.tensor(1.5)}
    args = argparse.Namespace(lr=1e-4, steps=None, betas=(0.9, 0.99), flags={"x": [True]})
    torch.save({entry: state, "steps": 12, "args": args} if entry else state, tmp_path / "x.pt")
    checkpoint = open_torch_file(tmp_path / "x.pt")
    assert checkpoint.shapes == {"a.weight": (3, 2), "b": ()}
    assert torch.equal(checkpoint.read("a.weight"), state["module.a.weight"])
    assert checkpoint.steps == (12 if entry else None)
    assert checkpoint.below("a.") == {"weight": (3, 2)}


def test_a_file_of_torchs_old_format(tmp_path):
    torch.save({"a": torch.ones(2)}, tmp_path / "x.pt", _use_new_zipfile_serialization=False)
    assert open_torch_file(tmp_path / "x.pt").read("a").tolist() == [1, 1]


def test_a_bare_tensor_gets_a_name(tmp_path):
    torch.save(torch.zeros(4, 2), tmp_path / "x.pt")
    assert open_torch_file(tmp_path / "x.pt").shapes == {PROJECTED_CODEBOOK: (4, 2)}


class Foreign:
    """Unpickling it would create a file."""

    def __init__(self, act, *arguments):
        self.act, self.arguments = act, arguments

    def __reduce__(self):
        return self.act, self.arguments


@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.parametrize("act", [os.mkdir, eval])
def test_code_in_a_file_is_never_run(tmp_path, act, new_format):
    trap = tmp_path / "trap"
    argument = f"open({str(trap)!r}, 'w')" if act is eval else str(trap)
    state = {"a": torch.ones(2)}
    content = {"model": state, "args": argparse.Namespace(lr=1, hook=Foreign(act, argument))}
    torch.save(content, tmp_path / "x.pt", _use_new_zipfile_serialization=new_format)
    sentence = refusal(ModelError, open_torch_file, tmp_path / "x.pt")
    assert not trap.exists()
    assert sentence.startswith(f"{tmp_path / 'x.pt'} holds the Python object ")
    assert sentence.endswith(
        f"{act.__name__}; only tensors and argparse.Namespace are loaded, because others can run foreign code: get the "
        "file from its authors."
    )
    torch.load(tmp_path / "x.pt", weights_only=False)
    assert trap.exists(), "the trap must work on those who load unsafely"


@pytest.mark.parametrize("content", [b"", b"hello world", b"PK\x03\x04" + bytes(60)])
def test_a_damaged_torch_file(tmp_path, content):
    (tmp_path / "x.pt").write_bytes(content)
    sentence = refusal(ModelError, open_torch_file, tmp_path / "x.pt")
    assert sentence == f"{tmp_path / 'x.pt'} is no PyTorch checkpoint, or a damaged one: download it again."


def test_a_torch_file_of_something_else(tmp_path):
    path = tmp_path / "x.pt"
    torch.save([1, 2], path)
    assert refusal(ModelError, open_torch_file, path) == f"{path} holds a list, not tensors by name: give another file."
    torch.save({"model": {"a": torch.ones(1), "b": 3}}, path)
    assert refusal(ModelError, open_torch_file, path) == f"{path} has 'b' as a int, not a tensor: give another file."
    missing = tmp_path / "none.pt"
    assert refusal(InputError, open_torch_file, missing) == f"There is no file {missing}: check the path."


def test_a_folder_of_shards(tmp_path):
    tensors = {f"t{index}": torch.randn(index + 1, 2).bfloat16() for index in range(5)}
    save_shards(tmp_path, tensors, count=3)
    checkpoint = open_folder(tmp_path)
    assert checkpoint.shapes == {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    assert {path.name for path in checkpoint.files.values()} == {
        f"model-{n:05}-of-00003.safetensors" for n in (1, 2, 3)
    }
    assert all(torch.equal(checkpoint.read(name), tensor) for name, tensor in tensors.items())


def test_a_folder_with_one_file(tmp_path):
    save_file({"a": torch.ones(3)}, tmp_path / "model.safetensors")
    assert open_folder(tmp_path).shapes == {"a": (3,)}


def test_folders_that_cannot_be_used(tmp_path):
    missing = tmp_path / "none"
    assert refusal(InputError, open_folder, missing) == f"There is no folder {missing}: check the path."
    assert refusal(InputError, open_folder, tmp_path) == (
        f"{tmp_path} has neither {INDEX} nor model.safetensors: give the folder of the language model."
    )
    save_shards(tmp_path, {"a": torch.ones(3), "b": torch.ones(3)})
    shard = tmp_path / "model-00002-of-00002.safetensors"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    assert refusal(ModelError, open_folder, tmp_path) == f"{shard} cannot be read as safetensors: download it again."
    shard.unlink()
    assert refusal(ModelError, open_folder, tmp_path) == (
        f"{tmp_path / INDEX} lists {shard.name}, which is not there: download it again."
    )


@pytest.mark.parametrize(
    ("index", "sentence"),
    [
        ("{", "{index} is not valid JSON: download or write it again."),
        ("[]", "{index} holds a list, not a JSON object: download or write it again."),
        ("{}", "{index} has no weight_map: download it again."),
        (
            json.dumps({"weight_map": {"a": "../x.safetensors"}}),
            "{index} points at '../x.safetensors', outside its folder: download it again.",
        ),
    ],
)
def test_an_index_that_cannot_be_used(tmp_path, index, sentence):
    (tmp_path / INDEX).write_text(index)
    assert refusal(ModelError, open_folder, tmp_path) == sentence.replace("{index}", str(tmp_path / INDEX))


def test_a_json_file_that_is_not_there(tmp_path):
    path = tmp_path / "sizes.json"
    assert refusal(InputError, read_json, path) == f"There is no file {path}: check the path."
