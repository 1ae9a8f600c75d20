"""``medsight data generate``: folders written, sources left out told, mistakes told."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from medsight_core.cli import failures
from medsight_core.cli.data import app
from medsight_core.data.biomedparse import BiomedParse


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setattr(failures.errors, "width", 10_000)


def run(*options: object):
    return CliRunner().invoke(app, ["generate", "--planes", "4", "--side", "48", *map(str, options)])


def test_images_are_written_and_counted(tmp_path):
    result = run("--out", tmp_path / "out", "--sources", "abdomen,fetal-", "--held-out", 2)
    assert result.exit_code == 2
    assert "There is no source 'fetal-'" in result.stderr
    result = run("--out", tmp_path / "out", "--sources", "abdomen", "--held-out", 2)
    assert result.exit_code == 0, result.output
    assert len(BiomedParse(tmp_path / "out" / "train" / "meta.json")) == 4
    assert len(BiomedParse(tmp_path / "out" / "held-out" / "meta.json")) == 2
    assert "train" in result.stdout
    assert "held-out" in result.stdout


def test_sources_without_material_are_left_out_unless_named_in_full(tmp_path):
    cranium = ("--cranium", tmp_path / "none.inv3", "--studies", tmp_path / "studies")
    result = run("--out", tmp_path / "out", "--sources", "head-ct,abdomen", *cranium)
    assert result.exit_code == 0, result.output
    assert "head-ct-maps is left out. Brain label maps are needed: give their folder with --labels." in result.stdout
    assert "apt-get install invesalius-examples" in result.stdout
    result = run("--out", tmp_path / "other", "--sources", "head-ct-maps", *cranium)
    assert result.exit_code == 2
    assert "Brain label maps are needed" in result.stderr
    result = run("--out", tmp_path / "other", "--sources", "head-ct", *cranium)
    assert result.exit_code == 2
    assert not (tmp_path / "other").exists()


def test_a_used_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    result = run("--out", tmp_path, "--sources", "abdomen")
    assert result.exit_code == 2
    assert "is not empty: give a new folder." in result.stderr
