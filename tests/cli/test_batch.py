"""``medsight batch``: what it writes, what survives which mishap, and every sentence."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import time

import nibabel
import numpy as np
import pytest
import torch
from filelock import FileLock
from rich.console import Console
from typer.testing import CliRunner
from volume_builders import write_dicom_series

from medsight_core.answer import Answer
from medsight_core.cli import app, batch_results, failures, output
from medsight_core.cli import batch as batch_module
from medsight_core.engine.engine import Engine

PROMPT = "Outline the right lung."
FILES = {"answer.json", "overlay.png", "study.json"}


def write_image(path, seed: int = 0, shape=(16, 14, 4)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = np.random.default_rng(seed).integers(-1000, 400, shape).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([-2.0, -2.0, 3.0, 1.0])), path)


@pytest.fixture
def studies(tmp_path):
    """Two files, one of them deeper, a DICOM series, and a file that is no image."""
    folder = tmp_path / "studies"
    write_image(folder / "a.nii.gz")
    write_image(folder / "deep" / "b.nii.gz", seed=1)
    (folder / "broken.nii.gz").write_bytes(b"not an image")
    voxels = np.random.default_rng(2).integers(-1000, 400, (14, 12, 4)).astype(np.int16)
    write_dicom_series(folder / "series", voxels, np.diag([2.0, 2.0, 3.0, 1.0]))
    return folder


@pytest.fixture
def pair(tmp_path):
    """Two files of different shapes."""
    write_image(tmp_path / "pair" / "a.nii.gz", shape=(16, 14, 4))
    write_image(tmp_path / "pair" / "b.nii.gz", shape=(14, 14, 6))
    return tmp_path / "pair"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "answers"


@pytest.fixture
def medsight(monkeypatch, tiny_model_dir, out):
    """Run ``medsight batch`` in this process; lines stay whole, so that a test can compare them."""
    monkeypatch.setattr(failures.errors, "width", 10_000)

    def run(folder, *options: object, prompt: str = PROMPT):
        arguments = ["batch", folder, prompt, "--model", tiny_model_dir, "-o", out, *options]
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run


@pytest.fixture
def asked(monkeypatch):
    """Shapes of the volumes that the engine was asked about."""
    shapes, ask = [], Engine.ask

    def noting(self, volume, *arguments, **options):
        shapes.append(volume.shape)
        return ask(self, volume, *arguments, **options)

    monkeypatch.setattr(Engine, "ask", noting)
    return shapes


def rows_of(out) -> dict[str, dict[str, str]]:
    return {row["study"]: row for row in csv.DictReader(io.StringIO((out / "summary.csv").read_text("utf-8")))}


def test_every_study_is_answered_and_one_that_fails_costs_no_other(medsight, studies, out):
    result = medsight(studies)
    assert result.exit_code == 1
    assert result.stderr == (
        "broken.nii.gz: 'broken.nii.gz' cannot be read: the file is damaged or not what its extension says.\n"
        "1 of 4 studies failed: the summary says why, and the same command tries them again.\n"
    )
    rows = rows_of(out)
    assert list(rows) == ["a.nii.gz", "broken.nii.gz", "deep/b.nii.gz", "series"]
    assert [row["outcome"] for row in rows.values()] == ["answered", "failed", "answered", "answered"]
    assert rows["broken.nii.gz"]["error"].startswith("'broken.nii.gz' cannot be read")
    assert rows["deep/b.nii.gz"]["folder"] == "deep__b.nii.gz"
    for row in rows.values():
        if row["outcome"] == "answered":
            folder = out / row["folder"]
            answer = Answer.from_json(json.loads((folder / "answer.json").read_text()))
            assert (answer.text, answer.scope) == (row["answer"], "volume")
            assert row["regions"] == "; ".join(region.name for region in answer.regions)
            assert f"{row['study']}: {row['answer']}" in result.stdout
            expected = FILES | ({"segmentation.seg.nrrd"} if answer.regions else set())
            assert {path.name for path in folder.iterdir()} == expected
    assert not list(out.glob(".part-*"))
    assert result.stdout.endswith(f"{out / 'summary.csv'}\n")


def test_an_answer_is_that_of_ask(medsight, pair, out, tiny_model_dir, tmp_path):
    medsight(pair, "--plane", "axial:2")
    arguments = ["ask", pair / "a.nii.gz", PROMPT, "--plane", "axial:2", "--model", tiny_model_dir]
    assert CliRunner().invoke(app, [str(a) for a in (*arguments, "-o", tmp_path / "one")]).exit_code == 0

    def told(folder) -> dict:
        return {**json.loads((folder / "answer.json").read_text()), "timings": 0}

    assert told(out / "a.nii.gz") == told(tmp_path / "one")


def test_answers_of_few_bits_are_not_taken_for_those_of_all(medsight, pair, out):
    pytest.importorskip("torchao")
    assert medsight(pair, "--plane", "axial:2", "--bits", "8").exit_code == 0
    answer = json.loads((out / "a.nii.gz" / "answer.json").read_text())
    assert answer["model"]["version"] == "tiny (8-bit)"
    assert "holds answers to another question or of another model" in medsight(pair, "--plane", "axial:2").stderr


def test_the_summary_as_json_lines(medsight, pair, out):
    result = medsight(pair, "--summary", "jsonl")
    assert result.exit_code == 0, result.stderr
    rows = [json.loads(line) for line in (out / "summary.jsonl").read_text("utf-8").splitlines()]
    assert [row["study"] for row in rows] == ["a.nii.gz", "b.nii.gz"]
    for row in rows:
        assert set(row) == {"study", "outcome", "answer", "regions", "absent", "seconds", "folder", "error"}
        assert all(set(region) == {"name", "volume_ml", "confidence"} for region in row["regions"])


def test_started_again_it_asks_only_what_failed_changed_or_came(medsight, pair, out, asked):
    (pair / "broken.nii.gz").write_bytes(b"not an image")
    medsight(pair)
    first = rows_of(out)
    del asked[:]
    write_image(pair / "broken.nii.gz", seed=3)
    write_image(pair / "b.nii.gz", seed=4)
    write_image(pair / "new.nii.gz", seed=5)
    (out / ".part-1234").mkdir()
    result = medsight(pair)
    assert result.exit_code == 0, result.stderr
    assert len(asked) == 3
    rows = rows_of(out)
    assert rows["a.nii.gz"] == first["a.nii.gz"]
    assert [row["outcome"] for row in rows.values()] == ["answered"] * 4
    assert not (out / ".part-1234").exists()
    (out / "a.nii.gz" / "answer.json").unlink()  # somebody has been at it
    del asked[:]
    assert medsight(pair).exit_code == 0
    assert len(asked) == 1


def test_when_all_is_there_no_model_is_loaded(medsight, pair, out, monkeypatch):
    medsight(pair)
    before = (out / "summary.csv").read_bytes()
    monkeypatch.setattr(Engine, "load", lambda *_: pytest.fail("nothing is to be asked"))
    assert medsight(pair).exit_code == 0
    assert (out / "summary.csv").read_bytes() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_killed_run_goes_on_and_leaves_nothing_half(medsight, pair, out, asked, monkeypatch):
    save = output.save

    def killed(folder, *arguments):
        if out.is_dir() and any(path.name == "a.nii.gz" for path in out.iterdir()):
            save(folder, *arguments)
            (folder / "answer.json").write_text("{half")
            os.kill(os.getpid(), signal.SIGKILL)
        return save(folder, *arguments)

    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)  # the threads of OpenMP do not survive a fork
        monkeypatch.setattr(output, "save", killed)
        medsight(pair)
        os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    left = {path.name for path in out.iterdir() if not path.name.startswith(".")}
    assert left == {"asked.json", "a.nii.gz"}
    assert list(out.glob(".part-*"))
    assert medsight(pair).exit_code == 0
    assert len(asked) == 1, "the first one is there already"
    assert [row["outcome"] for row in rows_of(out).values()] == ["answered"] * 2
    assert not list(out.glob(".part-*"))


def test_what_is_stopped_by_hand_has_a_summary_of_what_is_there(medsight, pair, out, monkeypatch):
    ask = Engine.ask

    def interrupted(self, volume, *arguments, **options):
        if volume.shape == (14, 14, 6):
            raise KeyboardInterrupt
        return ask(self, volume, *arguments, **options)

    monkeypatch.setattr(Engine, "ask", interrupted)
    result = medsight(pair)
    assert result.exit_code == 130
    assert result.stderr.endswith("Stopped.\n")
    assert list(rows_of(out)) == ["a.nii.gz"]


def test_whatever_goes_wrong_with_one_is_told_of_that_one(medsight, pair, out, monkeypatch):
    write_image(pair / "c.nii.gz", shape=(14, 14, 8))
    ask, errors = Engine.ask, {(14, 14, 6): MemoryError(), (14, 14, 8): KeyError("x")}

    def failing(self, volume, *arguments, **options):
        if volume.shape in errors:
            raise errors[volume.shape]
        return ask(self, volume, *arguments, **options)

    monkeypatch.setattr(Engine, "ask", failing)
    result = medsight(pair)
    assert result.exit_code == 1
    assert [row["error"] for row in rows_of(out).values()] == [
        "",
        "There is not enough memory for this image: crop or downsample it.",
        "Something unforeseen went wrong (KeyError: 'x'): ask about it alone.",
    ]
    assert "c.nii.gz: Something unforeseen went wrong (KeyError: 'x'): ask about it alone.\n" in result.stderr


def test_a_plane_that_one_study_does_not_have_fails_there_alone(medsight, pair, out):
    result = medsight(pair, "--plane", "axial:5")  # the first has four
    assert result.exit_code == 1
    assert [row["outcome"] for row in rows_of(out).values()] == ["failed", "answered"]
    assert result.stderr.endswith(
        "1 of 2 studies failed: the summary says why, and the same command tries them again.\n"
    )


def test_names_that_would_share_a_folder_do_not(medsight, tmp_path, out):
    write_image(tmp_path / "more" / "x" / "y.nii.gz")
    write_image(tmp_path / "more" / "x__y.nii.gz", seed=1)
    assert medsight(tmp_path / "more").exit_code == 0
    folders = [row["folder"] for row in rows_of(out).values()]
    assert len(set(folders)) == 2
    assert all(folder.startswith("x__y.nii.gz-") for folder in folders)


# Refused


def refused(result, sentence: str, code: int = 2) -> None:
    assert result.exit_code == code, result.output
    assert result.stderr == sentence + "\n"


def test_answers_to_another_question_are_left_alone(medsight, pair, out):
    assert medsight(pair).exit_code == 0
    sentence = (
        f"'{out}' holds answers to another question or of another model: give another folder with --out, or remove it."
    )
    before = (out / "summary.csv").read_bytes()
    refused(medsight(pair, prompt="Outline the liver."), sentence)
    refused(medsight(pair, "--threshold", "0.9"), sentence)
    assert (out / "summary.csv").read_bytes() == before


def test_two_runs_do_not_write_to_one_folder(medsight, pair, out):
    out.mkdir()
    with FileLock(out / ".lock"):
        refused(
            medsight(pair),
            f"Another 'medsight batch' writes to '{out}': wait for it, or give another folder with --out.",
        )


def test_a_folder_that_cannot_be_written_to_is_told(medsight, pair, out):
    out.write_text("a file")
    refused(medsight(pair), f"The answers cannot be written to '{out}' (File exists): choose another folder.")


def test_a_disk_that_is_full_is_told_of_each_and_leaves_nothing_half(medsight, pair, out, monkeypatch):
    def full(*_) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(batch_results, "flush", full)
    result = medsight(pair)
    assert result.exit_code == 1
    sentence = f"The answers cannot be written to '{out}' (No space left on device): choose another folder."
    assert result.stderr.count(sentence) == 2
    assert {path.name for path in out.iterdir()} - {".lock"} == {"asked.json", "summary.csv"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--summary", "xls"], "Unknown format 'xls' of the summary: use one of csv, jsonl."),
        (["--modality", "PET"], "Unknown modality 'PET': use one of CT, MR, US, XR, OT."),
        (["--plane", "x"], "Unknown plane orientation 'x': write it as axial:42, sagittal:10 or coronal:7."),
        (
            ["--threshold", "2"],
            "The threshold 2.0 is no probability: use a number from 0 to 1, or leave it out.",
        ),
    ],
)
def test_a_bad_request_is_refused_before_anything_is_written(medsight, pair, out, options, sentence):
    refused(medsight(pair, *options), sentence)
    assert not out.exists()


def test_a_folder_without_images_is_refused(medsight, tmp_path, out):
    (tmp_path / "empty").mkdir()
    refused(medsight(tmp_path / "no"), f"There is no folder '{tmp_path / 'no'}': check the path.")
    assert medsight(tmp_path / "empty").stderr.startswith(f"There is no image in '{tmp_path / 'empty'}': give a folder")
    assert not out.exists()


def test_the_answers_in_the_folder_itself_are_no_studies(medsight, pair, tiny_model_dir, monkeypatch):
    monkeypatch.chdir(pair)
    for _ in range(2):
        result = medsight(".", "-o", "answers")
        assert result.exit_code == 0, result.stderr
    assert len(rows_of(pair / "answers")) == 2


def test_a_bar_tells_how_far_it_is(monkeypatch):
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    monkeypatch.setattr(failures, "errors", console)
    with batch_module._bar(4) as show:
        show(2.5)
        time.sleep(0.2)
    assert "2 of 4 studies" in console.file.getvalue()
