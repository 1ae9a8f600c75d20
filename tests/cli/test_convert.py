"""``medsight convert`` as a person types it, and the document that tells people what to type."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
import typer
from official_checkpoints import LIKE_THE_OFFICIAL, OVERRIDES, write_official
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from medsight_core.cli import app as whole_app
from medsight_core.cli import convert as module
from medsight_core.cli import failures
from medsight_core.client import MedSightClient
from medsight_core.model.loading import load_model
from medsight_core.server.running import running_server
from medsight_core.server.settings import Settings

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "official-weights.md").read_text(encoding="utf-8")
COMMANDS = [
    line[2:] for block in re.findall(r"```console\n(.*?)```", DOCUMENT, re.DOTALL) for line in block.splitlines()
]

app = typer.Typer()
app.command()(module.convert)


@pytest.fixture
def convert(monkeypatch):
    """Run the command in this process; lines stay whole, so that a test can compare them."""
    monkeypatch.setattr(failures.errors, "width", 10_000)
    monkeypatch.setattr(module.console, "width", 400)

    def run(*arguments: object):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run


@pytest.fixture
def official(tmp_path):
    return write_official(tmp_path)


@pytest.fixture
def sizes(tmp_path):
    path = tmp_path / "sizes.json"
    path.write_text(json.dumps(OVERRIDES))
    return ["--size-overrides", path]


def rows(result):
    """The table's cells."""
    return [re.split(r"\s{2,}", line.strip()) for line in result.stdout.splitlines()]


def test_convert(convert, official, sizes, tmp_path):
    result = convert(*official.options(), *sizes, "--out", tmp_path / "out", "--dtype", "float32", "--vision-layer", -2)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "220 tensors mapped, 4 dropped; the model has 196,532 parameters.",
        "Vision layer -2, code state own, licence not stated by the authors.",
        f"The model is in {tmp_path / 'out'}/",
    ]
    model, _ = load_model(tmp_path / "out")
    assert model.config.vision_layer == -2
    expected = official.model.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in model.state_dict().items())


def test_bfloat16_is_the_default_and_the_note_about_the_codebook_is_shown(convert, official, sizes, tmp_path):
    result = convert(*official.options(codebook=None), *sizes, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("180 tensors mapped, 4 dropped; ")
    assert "No stage-2 checkpoint was given, so the codebook holds initial values" in result.stdout
    assert {t.dtype for t in load_file(tmp_path / "out" / "model.safetensors").values()} == {torch.bfloat16}


def test_a_dry_run_shows_every_tensor_and_writes_nothing(convert, official, sizes, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    result = convert(*official.options(), *sizes, "--out", tmp_path / "out", "--dry-run")
    assert result.exit_code == 0, result.output
    assert sorted(tmp_path.rglob("*")) == before
    table = rows(result)
    parts = " ".join(f"vision.encoder.layers.*.self_attn.{part}_proj" for part in "qkv")
    assert ["mapped", "visual.transformer.resblocks.*.attn.in_proj", parts, "4"] in table
    assert ["mapped", "quantizer.codebooks.*.embedding", "codebook.tables", "18"] in table
    assert ["dropped", "region_perceiver.region_position_embed", "the authors' code never uses it", "1"] in table
    for source in (official.llm, official.perceiver, official.vision, official.codebook):
        assert [source.name] in table
    counts = {kind: sum(int(row[-1]) for row in table if row[0] == kind) for kind in ("mapped", "dropped")}
    assert counts == {"mapped": 220, "dropped": 4}
    assert table[-2] == ["220 tensors mapped, 4 dropped; the model has 196,532 parameters."]


def test_a_dry_run_reads_no_numbers(convert, official, sizes, monkeypatch):
    shard = next(official.llm.glob("model-*.safetensors"))
    content = shard.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    shard.write_bytes(content[:start] + b"\xff" * (len(content) - start))  # not a number, all of them

    def refuse(*_):
        raise AssertionError("it asked for a tensor")

    monkeypatch.setattr("medsight_core.model.official.conversion.Conversion.make", refuse)
    assert convert(*official.options(), *sizes, "--dry-run").exit_code == 0


@pytest.mark.parametrize("dry_run", [True, False])
def test_one_lost_tensor_is_refused_by_its_name(convert, official, sizes, tmp_path, dry_run):
    content = torch.load(official.vision, weights_only=True)
    del content["state_dict"]["module.visual.transformer.resblocks.1.ln_2.bias"]
    content["state_dict"]["module.visual.extra"] = torch.ones(2)
    torch.save(content, official.vision)
    result = convert(*official.options(), *sizes, "--out", tmp_path / "out", *(["--dry-run"] if dry_run else []))
    assert result.exit_code == 1
    assert result.stderr == (
        f"{official.vision} lacks 'visual.transformer.resblocks.1.ln_2.bias' (the nearest name is 'visual.extra'): use "
        "the authors' complete file. (2 tensors are wrong; --dry-run lists them all.)\n"
    )
    assert not (tmp_path / "out").exists()
    if dry_run:
        file = official.vision.name
        assert ["missing", "visual.transformer.resblocks.1.ln_2.bias", "it is needed", file] in rows(result)
        assert ["unexpected", "visual.extra", "MedSIGHT does not know it", file] in rows(result)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "There is no --out: give the folder to write, or --dry-run to check only."),
        (["--dry-run", "--dtype", "int8"], "The precision 'int8' does not exist: use bfloat16 or float32."),
        (["--dry-run", "--code-state", "next"], "The code state 'next' does not exist: use own or previous."),
        (
            ["--dry-run", "--tokenizer", "none"],
            "There is no tokenizer_config.json in none: give the tokenizer's folder with --tokenizer.",
        ),
        (["--dry-run", "--codebook", "none.pt"], "There is no file none.pt: check the path."),
        (["--dry-run", "--size-overrides", "none.json"], "There is no file none.json: check the path."),
    ],
)
def test_options_that_do_not_fit(convert, official, sizes, options, sentence):
    result = convert(*official.options(), *sizes, *options)
    assert (result.exit_code, result.stderr) == (2, f"{sentence}\n")


# docs/official-weights.md


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with the files that the document names."""
    root = tmp_path_factory.mktemp("desk")
    write_official(root, talks=True, **LIKE_THE_OFFICIAL)
    write_official(root / "old", "paper-time", **LIKE_THE_OFFICIAL).llm.rename(root / "paper_time")
    voxels = np.random.default_rng(0).integers(-1000, 400, (40, 36, 30)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([-2.0, -2.0, 3.0, 1.0])), root / "abdomen.nii.gz")
    (root / "studies").mkdir()
    picture = np.random.default_rng(1).integers(0, 255, (60, 80), dtype=np.uint8)
    Image.fromarray(picture).save(root / "slice.png")
    Image.fromarray((picture > 100).astype(np.uint8) * 255).save(root / "liver.png")
    return root


def test_the_document_has_commands():
    assert [shlex.split(command)[:2] for command in COMMANDS] == [
        ["medsight", "convert"], ["medsight", "convert"], ["medsight", "convert"], ["medsight", "ask"],
        ["medsight", "serve"], ["pip", "install"], ["medsight", "ask"], ["medsight", "serve"],
        ["python", "-m"], ["medsight", "convert"],
    ]  # fmt: skip


def assert_serves(options):
    """The command's own work, at a free port; the licence reaches whoever connects."""
    bits = int(options["--bits"]) if "--bits" in options else None
    settings = Settings(studies=Path(options["--studies"]), model=Path(options["--model"]), bits=bits, port=0)
    with running_server(settings) as server, MedSightClient(server.address, server.token) as client:
        model = client.info().model
    version = "medsight_full_instruct" if bits is None else f"medsight_full_instruct ({bits}-bit)"
    assert (model.version, model.licence) == (version, "not stated by the authors")


@pytest.mark.slow
def test_the_documented_commands_work(convert, desk, monkeypatch):
    monkeypatch.chdir(desk)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for command in COMMANDS:
        program, *arguments = shlex.split(command)
        if arguments[0] == "serve":
            assert_serves(dict(zip(arguments[1::2], arguments[2::2])))
        elif program == "pip":
            assert arguments == ["install", "medsight[quant]"]
            assert "\nquant = [" in (ROOT / "pyproject.toml").read_text("utf-8")
        elif program == "python":
            done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            lines = done.stdout.splitlines()
            assert [line.split()[0] for line in lines] == ["layer", *["-1"] * 3, *["-2"] * 3]
            assert sum(line.rstrip().endswith("[M0_16]") for line in lines) == 4
        elif arguments[0] == "convert":
            result = convert(*arguments[1:])
            assert result.exit_code == 0, result.output
        else:
            result = CliRunner().invoke(whole_app, arguments)
            assert result.exit_code == 0, result.output
            assert (desk / "answer" / "answer.json").stat().st_size > 0
    switches = {name: load_model(desk / name)[0].config for name in ("medsight-8b", "medsight-8b-as-shipped")}
    assert [(config.vision_layer, config.code_state) for config in switches.values()] == [
        (-2, "own"),
        (-1, "previous"),
    ]
    assert load_model(desk / "medsight-paper")[0].config.vision_layer == -1
