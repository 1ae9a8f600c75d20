"""A model folder's identity: another after training under the same name, the same when copied or read again."""

import json
import os

import torch
from safetensors.torch import save_file

from medsight_core.model.identity import model_identity, sight_identity


def test_it_changes_with_configuration_and_weights_only(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"1")
    first = model_identity(tmp_path)
    (tmp_path / "README.md").write_text("a card")
    os.utime(tmp_path / "model.safetensors", ns=(1, 1))
    assert model_identity(tmp_path) == first
    assert len(first) == 16
    (tmp_path / "model.safetensors").write_bytes(b"2")
    trained = model_identity(tmp_path)
    assert trained != first
    (tmp_path / "config.json").write_text('{"version": "2"}')
    assert model_identity(tmp_path) not in (first, trained)


def test_of_large_weights_samples_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("medsight_core.model.identity._WHOLE", 1000)
    monkeypatch.setattr("medsight_core.model.identity._SAMPLE", 10)
    (tmp_path / "config.json").write_text("{}")
    seen = set()
    for position in (0, 5000, 9999):
        content = bytearray(10_000)
        content[position] = 1
        (tmp_path / "model.safetensors").write_bytes(content)
        seen.add(model_identity(tmp_path))
    assert len(seen) >= 2, "the first and the last bytes at least"


def test_what_a_model_sees_does_not_depend_on_its_words(tmp_path):
    def saved(version: str = "1", frame: str = "body", **weights: float) -> str:
        (tmp_path / "config.json").write_text(json.dumps({"version": version, "frame": frame}))
        names = {"vision": 1.0, "perceiver": 2.0, "language": 3.0, **weights}
        tensors = {f"{name}.weight": torch.full((4,), value).bfloat16() for name, value in names.items()}
        save_file(tensors, tmp_path / "model.safetensors")
        return sight_identity(tmp_path)

    first = saved()
    assert saved(version="2", language=4.0) == first
    assert len({first, saved(frame="volume"), saved(vision=5.0), saved(perceiver=5.0)}) == 4
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    assert sight_identity(tmp_path) != first
