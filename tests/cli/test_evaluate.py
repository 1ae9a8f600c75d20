"""``medsight evaluate``: what it prints and leaves, what it refuses, and every line of its manual."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from evaluation import fixtures
from evaluation.fixtures import BUILDERS
from typer.testing import CliRunner

from medsight_core.cli import failures
from medsight_core.cli.evaluate import evaluate

MANUAL = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^ *```console\n(.*?)^ *```", MANUAL, re.MULTILINE | re.DOTALL)
COMMANDS = [line.strip().removeprefix("$ ") for block in BLOCKS for line in block.splitlines()]

app = typer.Typer()
app.command()(evaluate)
app.callback()(lambda: None)


@pytest.fixture
def medsight(monkeypatch):
    monkeypatch.setattr(failures.errors, "width", 10_000)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("vqa-rad", ["paper closed questions, accuracy 79.9", "paper all questions 61.4", "ours closed questions"]),
        ("biomedparse", ["authors Dice, mean over masks", "ours Dice of the union"]),
    ],
)
def test_it_prints_the_numbers_and_where_the_reports_are(medsight, tiny_model_dir, tmp_path, name, lines):
    data, out = BUILDERS[name](tmp_path / "data"), tmp_path / "deep" / "out"
    result = medsight("evaluate", name, "--data", data, "--model", tiny_model_dir, "--out", out)
    assert (result.exit_code, result.stderr) == (0, "")
    printed = [" ".join(line.split()) for line in result.stdout.splitlines()]
    for line in lines:
        assert any(each.startswith(line) for each in printed), result.stdout
    for file in ("results.json", "results.md", "scores.jsonl", "report.html"):
        assert str(out / file) in printed
        assert (out / file).stat().st_size > 0
    first = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    assert medsight("evaluate", name, "--data", data, "--model", tiny_model_dir, "-o", out).exit_code == 0
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == first


def test_options_reach_the_run(medsight, tiny_model_dir, tmp_path):
    data, out = fixtures.biomedparse(tmp_path / "data"), tmp_path / "out"
    options = ["--limit", 2, "--batch-size", 1, "--tolerance", 0, "--repetition-penalty", 1.2, "--max-new-tokens", 3]
    options += ["--seed", 7, "--device", "cpu"]
    result = medsight("evaluate", "biomedparse", "--data", data, "--model", tiny_model_dir, "-o", out, *options)
    assert result.exit_code == 0, result.stderr
    results = json.loads((out / "results.json").read_text())
    assert results["options"] == {
        "repetition_penalty": 1.2, "max_new_tokens": 3, "limit": 2, "tolerance_pixels": 0.0,
    }  # fmt: skip
    assert (results["seed"], results["cases"]) == (7, 2)


def test_a_bad_record_ends_it_with_one_sentence_or_is_counted(medsight, tiny_model_dir, tmp_path):
    data, out = fixtures.slake(tmp_path / "data"), tmp_path / "out"
    listed = json.loads((data / "test.json").read_text())
    listed[0]["img_name"] = "none.jpg"
    (data / "test.json").write_text(json.dumps(listed))
    command = ["evaluate", "slake", "--data", data, "--model", tiny_model_dir, "-o", out]
    result = medsight(*command)
    assert (result.exit_code, result.stderr) == (
        2,
        f"Record 0 of '{data}/test.json' (id 11): its file '{data}/imgs/none.jpg' is missing; repair it, or leave such "
        "records out with --skip-bad.\n",
    )
    result = medsight(*command, "--skip-bad")
    assert result.exit_code == 0, result.stderr
    assert f"1 records were left out: see {out}/results.md" in result.stdout


def test_an_unknown_benchmark(medsight, tmp_path):
    result = medsight("evaluate", "chess", "--data", tmp_path, "--model", tmp_path, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stderr.startswith("Unknown benchmark 'chess': use one of diagseg, mecovqa-g, ")
    assert not (tmp_path / "out").exists()


def test_the_command_is_light_until_it_runs():
    code = (
        "import sys, medsight_core.cli.evaluate; print(sorted({'torch', 'PIL', 'scipy', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# The manual


@pytest.fixture(scope="module")
def desk(tiny_model_dir, tmp_path_factory):
    """The folder that the manual tells people to make."""
    root = tmp_path_factory.mktemp("desk")
    shutil.copytree(tiny_model_dir, root / "model")
    folders = {"mecovqa-g": "mecovqa", "mmmu-med": "mmmu"}
    for name, build in BUILDERS.items():
        build(root / "data" / folders.get(name, name))
    (root / "data" / "diagseg" / "filtered.txt").write_text("q1\nq2\n")
    return root


def test_the_manual_has_a_command_for_every_benchmark():
    assert all(line.lstrip().startswith("$ medsight evaluate ") for block in BLOCKS for line in block.splitlines())
    assert {shlex.split(command)[2] for command in COMMANDS} == set(BUILDERS)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_manuals_commands_run(medsight, desk, monkeypatch, command):
    monkeypatch.chdir(desk)
    arguments = shlex.split(command)[1:]
    result = medsight(*arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    assert (desk / arguments[arguments.index("--out") + 1] / "report.html").stat().st_size > 0


def test_the_manuals_records_are_what_the_fixtures_hold(desk):
    """Fields shown in the manual are those that the readers are tested with."""
    shown = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", MANUAL, re.DOTALL)]
    files = ("pathvqa/test.jsonl", "mmmu/validation.json", "diagseg/diagseg.json")
    for record, file in zip(shown, files, strict=True):
        text = (desk / "data" / file).read_text()
        tested = json.loads(text.splitlines()[0] if file.endswith("l") else text)
        assert set(record) <= set(tested[0] if isinstance(tested, list) else tested)
