"""``medsight batch --replicas`` on a real Ray: the same files as without, a failed study alone, and what is refused."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from medsight_core.cli import app, failures
from medsight_core.server import replicas as module

PROMPT = "Outline the right lung."


@pytest.fixture
def studies(tmp_path):
    folder = tmp_path / "studies"
    folder.mkdir()
    for seed, name in enumerate("ace"):
        voxels = np.random.default_rng(seed).integers(-1000, 400, (16, 14, 4)).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(voxels, np.diag([-2.0, -2.0, 3.0, 1.0])), folder / f"{name}.nii.gz")
    (folder / "broken.nii.gz").write_bytes(b"not an image")
    return folder


@pytest.fixture
def medsight(monkeypatch, tiny_model_dir):
    monkeypatch.setattr(failures.errors, "width", 10_000)

    def run(folder, out, *options: object):
        arguments = ["batch", folder, PROMPT, "--model", tiny_model_dir, "-o", out, "--summary", "jsonl", *options]
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run


def told(out) -> tuple[list[dict], dict[str, dict]]:
    """The summary and all answers, but for seconds."""
    rows = [{**json.loads(line), "seconds": 0} for line in (out / "summary.jsonl").read_text("utf-8").splitlines()]
    answers = {path.parent.name: {**json.loads(path.read_text()), "timings": 0} for path in out.glob("*/answer.json")}
    return rows, answers


@pytest.mark.slow
@pytest.mark.skipif(not module.has_ray(), reason="needs 'medsight[scale]'")
def test_several_at_once_write_what_one_writes_and_go_on_where_they_were(medsight, studies, tmp_path, monkeypatch):
    alone, together = medsight(studies, tmp_path / "alone"), medsight(studies, tmp_path / "together", "--replicas", 2)
    assert (together.exit_code, together.stderr) == (1, alone.stderr)
    assert sorted(together.stdout.splitlines()[:-1]) == sorted(alone.stdout.splitlines()[:-1])
    assert told(tmp_path / "together") == told(tmp_path / "alone")
    assert [row["outcome"] for row in told(tmp_path / "together")[0]] == ["answered", "failed", "answered", "answered"]
    assert not list((tmp_path / "together").glob(".part-*"))
    monkeypatch.setattr(module.Replicas, "call", lambda *_, **__: pytest.fail("one is asked here, without Ray"))
    assert medsight(studies, tmp_path / "together", "--replicas", 2).exit_code == 1


def test_what_cannot_be_is_refused_before_anything_is_written(medsight, studies, tmp_path, monkeypatch):
    result = medsight(studies, tmp_path / "out", "--replicas", 0)
    assert (result.exit_code, result.stderr) == (2, "0 replicas are not offered: use 1 to 64.\n")
    monkeypatch.setattr(module, "has_ray", lambda: False)
    result = medsight(studies, tmp_path / "out", "--replicas", 2)
    sentence = "2 replicas need Ray, which is not installed: pip install 'medsight[scale]'.\n"
    assert (result.exit_code, result.stderr) == (2, sentence)
    assert not (tmp_path / "out").exists()
