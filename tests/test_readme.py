"""What the README tells people to type is typed here, word for word."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medsight_core.cli import app
from medsight_core.server.running import running_server
from medsight_core.server.settings import Settings
from sample_data.fetch import fetch

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\.venv/bin/(medsight ask .*)$", README, re.MULTILINE)
BATCH = re.findall(r"^\.venv/bin/medsight (batch .*)$", README, re.MULTILINE)
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

pytestmark = pytest.mark.slow


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with ``chest.nrrd``, as the README assumes."""
    paths = fetch(tmp_path / "studies", ["ct-chest"])
    shutil.copy(paths["ct-chest"], tmp_path / "chest.nrrd")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_is_something_to_type():
    assert len(COMMANDS) == 2
    assert len(BATCH) == 1
    assert len(PYTHON) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_answer(desk, commands, command):
    done = commands.run("-m", "medsight_core", *shlex.split(command)[1:])
    assert done.returncode == 0, done.stderr
    assert "Research use only" in done.stdout
    assert (desk / "answer" / "answer.json").stat().st_size > 0
    assert (desk / "answer" / "overlay.png").stat().st_size > 0


def test_the_batch_answers(desk):
    result = CliRunner().invoke(app, shlex.split(BATCH[0]))
    assert result.exit_code == 0, result.stderr
    assert (desk / "answers" / "ct-chest.nrrd" / "segmentation.seg.nrrd").stat().st_size > 0
    assert "ct-chest.nrrd,answered," in (desk / "answers" / "summary.csv").read_text("utf-8")


def test_the_python_lines_answer(desk, capsys):
    with running_server(
        Settings(studies=desk / "studies", model=ROOT / "sample_data" / "demo_model", port=0)
    ) as server:
        code = PYTHON[0].replace("http://127.0.0.1:8000", server.address).replace('"..."', repr(server.token))
        exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.strip().startswith("The right lung [1] is outlined.")
