"""The comparison of towers and optimisers, for two steps."""

from __future__ import annotations

import math

from benchmarks import towers
from tests.training_sets import write_labelled


def test_every_arm_learns_from_the_same_images_and_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(towers, "ARMS", (("transformer", "adamw", 1e-3), ("convolutions", "muon", 4e-3)))
    data = write_labelled(tmp_path, count=3)
    rows = towers.compare(data, 2, {"batch": 1, "held_out": 0.3})
    assert [(row["tower"], row["optimizer"]) for row in rows] == [("transformer", "adamw"), ("convolutions", "muon")]
    assert all(math.isfinite(row["loss"]) and row["loss"] > 0 and 0 <= row["dice"] <= 1 for row in rows)
    text = towers.table(rows, 2)
    assert "Stage 0 for 2 steps from random weights" in text
    assert "| convolutions | muon | 0.004 |" in text


def test_data_that_are_not_there_are_told(tmp_path, capsys):
    assert towers.main(["--data", str(tmp_path / "none.json"), "--steps", "1"]) == 2
    assert "none.json" in capsys.readouterr().err
