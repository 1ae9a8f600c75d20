"""What differs between two model folders."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file
from versions import retrained

from medsight_core.errors import ModelError
from medsight_core.model.difference import config_difference, weight_difference


def test_a_model_does_not_differ_from_itself(tiny_model_dir):
    assert config_difference(tiny_model_dir, tiny_model_dir) == {}
    assert all(part.changed == 0 and part.distance == 0 for part in weight_difference(tiny_model_dir, tiny_model_dir))


def test_parts_that_were_trained_are_told_from_the_others(tiny_model_dir, tmp_path):
    parts = weight_difference(tiny_model_dir, retrained(tiny_model_dir, tmp_path / "new"))
    changed = {part.part for part in parts if part.changed}
    assert changed == {"language", "perceiver"}
    assert {"vision", "codebook", "image_to_text", "text_to_image"} <= {part.part for part in parts}
    language = next(part for part in parts if part.part == "language")
    assert 0.9 < language.changed / language.parameters <= 1
    assert language.distance > 0


def test_settings_and_tensors_that_only_one_has_are_named(tmp_path):
    for name, config, tensors in (
        ("one", {"version": "1", "same": 2}, {"a.x": torch.ones(4), "a.y": torch.ones(2, 2)}),
        ("two", {"version": "1+v1", "same": 2, "new": 1}, {"a.x": torch.tensor([1.0, 1, 1, 3]), "b.z": torch.ones(3)}),
    ):  # fmt: skip
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config))
        save_file(tensors, tmp_path / name / "model.safetensors")
    one, two = tmp_path / "one", tmp_path / "two"
    assert config_difference(one, two) == {"version": ("1", "1+v1"), "new": (None, 1)}
    first, second = weight_difference(one, two)
    assert (first.part, first.tensors, first.parameters, first.changed) == ("a", 2, 8, 1 + 4)
    assert first.distance == pytest.approx(((4 + 4) / 8) ** 0.5)
    assert (second.part, second.changed) == ("b", 3)


def test_unreadable_folders_are_told(tmp_path, tiny_model_dir):
    (tmp_path / "model.safetensors").write_bytes(b"half")
    with pytest.raises(ModelError, match=r"The config\.json in .* cannot be read"):
        config_difference(tiny_model_dir, tmp_path)
    with pytest.raises(ModelError, match=r"The weights in .* cannot be read: bring them back from a copy"):
        weight_difference(tiny_model_dir, tmp_path)
