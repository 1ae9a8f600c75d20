"""The commands: what each needs, what it refuses and with which sentence and exit code."""

import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner
from volume_builders import write_dicom_series

import medsight_core
from medsight_core.answer import Answer
from medsight_core.cli import app, failures
from medsight_core.imaging.segmentation_file import read_segmentation
from medsight_core.server.running import running_server
from medsight_core.server.settings import Settings

MEDSIGHT = [sys.executable, "-m", "medsight_core"]
LIMIT = 20_000  # bytes that the server under test takes: enough for `image`


def write_image(path: Path, voxels: np.ndarray) -> Path:
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([-2.0, -2.0, 3.0, 1.0])), path)
    return path


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> Path:
    """A small CT-like volume."""
    voxels = np.random.default_rng(0).integers(-1000, 400, (24, 22, 8)).astype(np.int16)
    return write_image(tmp_path_factory.mktemp("image") / "chest.nii.gz", voxels)


@pytest.fixture
def medsight(monkeypatch):
    """Run ``medsight`` in this process; lines stay whole, so that a test can compare them."""
    monkeypatch.setattr(failures.errors, "width", 10_000)
    monkeypatch.delenv("MEDSIGHT_TOKEN", raising=False)

    def run(*arguments: object):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run


@pytest.fixture(scope="module")
def server(tiny_model_dir, tmp_path_factory):
    settings = Settings(tmp_path_factory.mktemp("studies"), tiny_model_dir, port=0, max_upload_bytes=LIMIT)
    with running_server(settings) as running:
        yield running


def test_help_is_light():
    """No library that takes long to import is loaded before a command needs it."""
    heavy = "{'torch', 'transformers', 'SimpleITK', 'nibabel', 'fastapi', 'monailabel', 'requests', 'matplotlib'}"
    code = f"import sys; from medsight_core.cli import app; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_what_starts_a_server_beside_itself_is_light():
    heavy = "{'torch', 'transformers', 'monai'}"
    code = f"import sys, medsight_core.server.running; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_help_tells_the_commands(medsight):
    result = medsight("--help")
    assert result.exit_code == 0
    for command in ("ask", "serve", "demo", "version"):
        assert command in result.stdout


def test_version(medsight):
    assert medsight("version").stdout == f"{medsight_core.__version__}\n"
    done = subprocess.run([*MEDSIGHT, "version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"{medsight_core.__version__}\n"


# ask, in this process


def test_ask_answers_and_writes_files(medsight, image, tiny_model_dir, tmp_path):
    result = medsight("ask", image, "Outline the right lung.", "--model", tiny_model_dir, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    answer = Answer.from_json(json.loads((tmp_path / "out" / "answer.json").read_text()))
    assert answer.scope == "volume"
    assert result.stdout.startswith(answer.text.splitlines()[0] if answer.text else "")
    assert "Research use only. Not for clinical use." in result.stdout
    expected = {"answer.json", "overlay.png"} | ({"segmentation.seg.nrrd"} if answer.regions else set())
    assert {path.name for path in (tmp_path / "out").iterdir()} == expected


@pytest.mark.parametrize(("plane", "scope"), [("axial:4", "plane"), ("axial:2-4", "range")])
def test_ask_about_planes_as_json(medsight, image, tiny_model_dir, tmp_path, plane, scope):
    result = medsight(
        "ask",
        image,
        "Outline the right lung.",
        "--plane",
        plane,
        "--model",
        tiny_model_dir,
        "-o",
        tmp_path,
        "--json",
    )
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == json.loads((tmp_path / "answer.json").read_text())
    assert json.loads(result.stdout)["scope"] == scope


def test_the_answer_tells_its_bits(medsight, image, tiny_model_dir, tmp_path):
    pytest.importorskip("torchao")
    asked = (
        "ask",
        image,
        "Outline the right lung.",
        "--model",
        tiny_model_dir,
        "--bits",
        "8",
        "-o",
        tmp_path,
        "--json",
    )
    result = medsight(*asked)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["model"]["version"] == "tiny (8-bit)"


# ask, refused


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ["--plane", "axial"],
            "The plane's index '' is not a whole number: write it as axial:42, sagittal:10 or coronal:7.",
        ),
        (["--plane", "top:3-4"], "Unknown plane orientation 'top': write them as axial:10-20."),
        (["--plane", "top:3"], "Unknown plane orientation 'top': write it as axial:42, sagittal:10 or coronal:7."),
        (["--plane", "axial:4", "--volume"], "Both --plane and --volume are given: choose one."),
        (
            ["--server", "http://127.0.0.1:1", "--model", "here"],
            "The server answers with its own model: leave out --model, or --server to answer here.",
        ),
        (
            ["--server", "http://127.0.0.1:1", "--bits", "8"],
            "The server answers with its own model: leave out --bits, or --server to answer here.",
        ),
        (["--bits", "5"], "The language model cannot be kept in 5 bits: use 8 or 4, or leave it out for all."),
        (["--modality", "PET"], "Unknown modality 'PET': use one of CT, MR, US, XR, OT."),
    ],
)
def test_options_that_make_no_sense(medsight, image, tmp_path, options, sentence):
    result = medsight("ask", image, "Outline the right lung.", "-o", tmp_path / "out", *options)
    assert (result.stderr, result.exit_code) == (f"{sentence}\n", 2)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        ("", "The prompt is empty: write a question such as 'Outline the right lung.'"),
        (" \n", "The prompt is empty: write a question such as 'Outline the right lung.'"),
        ("x" * 10_000, "The prompt has 10000 characters and the limit is 2000: ask a shorter question."),
    ],
)
def test_prompts_that_cannot_be_asked(medsight, image, tmp_path, prompt, sentence):
    result = medsight("ask", image, prompt, "-o", tmp_path / "out")
    assert (result.stderr, result.exit_code) == (f"{sentence}\n", 2)


def bad_images(folder):
    (folder / "text.nrrd").write_text("not an image")
    (folder / "empty series").mkdir()
    holed = np.zeros((8, 8, 8), np.float32)
    holed[2, 3, 4] = np.nan
    write_image(folder / "nan.nii.gz", holed)
    write_image(folder / "flat.nii.gz", np.zeros((8, 8), np.int16))
    write_image(folder / "time.nii.gz", np.zeros((8, 8, 8, 3), np.int16))
    write_image(folder / "thin.nii.gz", np.zeros((8, 8, 1), np.int16))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.nii.gz", "There is no image at '{path}': check the path."),
        ("text.nrrd", "'text.nrrd' cannot be read: the file is damaged or not what its extension says."),
        ("empty series", "The folder 'empty series' holds no DICOM images: give the folder with the slices."),
        ("nan.nii.gz", "The image has 1 voxels that are NaN or infinite: replace them with numbers first."),
        ("flat.nii.gz", "The image has 2 dimensions (8 x 8): give a three-dimensional volume."),
        ("time.nii.gz", "The image has 4 dimensions (8 x 8 x 8 x 3): give a three-dimensional volume."),
        (
            "thin.nii.gz",
            "The image is only one voxel thick (8 x 8 x 1): give a volume with at least two voxels along every axis.",
        ),
    ],
)
def test_images_that_cannot_be_asked_about(medsight, tmp_path, name, words):
    bad_images(tmp_path)
    result = medsight("ask", tmp_path / name, "Outline the right lung.", "-o", tmp_path / "out")
    assert (result.stderr, result.exit_code) == (words.format(path=tmp_path / name) + "\n", 2)
    assert not (tmp_path / "out").exists()


def test_a_model_folder_without_a_model(medsight, image, tmp_path):
    result = medsight("ask", image, "Outline the right lung.", "--model", tmp_path, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert str(tmp_path) in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_process_itself_ends_with_the_code_and_one_sentence(tmp_path):
    done = subprocess.run(
        [*MEDSIGHT, "ask", tmp_path / "missing.nrrd", "Outline the right lung."],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == f"There is no image at '{tmp_path / 'missing.nrrd'}': check the path.\n"
    assert done.stdout == ""


# ask, through a server


def test_ask_a_server_gives_the_same_answer_as_asking_here(
    medsight, image, server, tiny_model_dir, tmp_path, monkeypatch
):
    question = ["ask", image, "Outline the right lung and the left lung."]
    assert medsight(*question, "--model", tiny_model_dir, "-o", tmp_path / "here").exit_code == 0
    monkeypatch.setenv("MEDSIGHT_TOKEN", server.token)
    result = medsight(*question, "--server", server.address, "-o", tmp_path / "there")
    assert result.exit_code == 0, result.stderr
    here, there = (json.loads((tmp_path / side / "answer.json").read_text()) for side in ("here", "there"))
    del here["timings"], there["timings"]
    assert there == here
    assert here["regions"]
    ours, theirs = (read_segmentation(tmp_path / side / "segmentation.seg.nrrd") for side in ("here", "there"))
    for one, other in zip(ours.segments, theirs.segments, strict=True):
        assert (one.label, one.name, one.tags) == (other.label, other.name, other.tags)
        np.testing.assert_array_equal(one.mask, other.mask)


def test_a_server_is_asked_about_a_folder_of_dicom_slices(medsight, server, tmp_path):
    voxels = np.random.default_rng(1).integers(-1000, 400, (20, 18, 6)).astype(np.int16)
    write_dicom_series(tmp_path / "series", voxels, np.diag([2.0, 2.0, 3.0, 1.0]))
    to_it = ["--server", server.address, "--token", server.token, "-o", tmp_path / "out"]
    result = medsight("ask", tmp_path / "series", "Outline the right lung.", *to_it)
    assert result.exit_code == 0, result.stderr
    assert json.loads((tmp_path / "out" / "answer.json").read_text())["answer"]


def test_a_wrong_token(medsight, image, server, tmp_path):
    result = medsight(
        "ask", image, "Outline the right lung.", "--server", server.address, "--token", "x" * 32, "-o", tmp_path / "out"
    )
    assert result.exit_code == 2
    assert result.stderr.startswith("The token is missing or wrong: ")
    assert not (tmp_path / "out").exists()


def test_an_image_above_the_servers_limit(medsight, server, tmp_path):
    voxels = np.random.default_rng(0).integers(-1000, 400, (40, 40, 40)).astype(np.int16)
    big = write_image(tmp_path / "big.nii.gz", voxels)
    result = medsight(
        "ask",
        big,
        "Outline the right lung.",
        "--server",
        server.address,
        "--token",
        server.token,
        "-o",
        tmp_path / "out",
    )
    assert result.exit_code == 2
    assert result.stderr.startswith(f"The image has {voxels.nbytes / 1e6:.1f} MB and the server takes at most 0.0 MB: ")
    assert not (tmp_path / "out").exists()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_no_server(medsight, image, tmp_path):
    address = f"http://127.0.0.1:{free_port()}"
    result = medsight("ask", image, "Outline the right lung.", "--server", address, "-o", tmp_path / "out")
    assert result.exit_code == 3
    assert result.stderr.startswith(f"No MedSIGHT server answers at {address}: ")
    assert not (tmp_path / "out").exists()


def test_a_server_that_dies_while_it_is_asked(medsight, image, tmp_path):
    class Dying(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.reply({"protocol": 1})

        def do_PUT(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.reply({"session_id": "abc"})

        def do_POST(self):
            self.server.socket.close()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            threading.Thread(target=self.server.shutdown, daemon=True).start()

        def reply(self, value):
            body = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Dying) as dying:
        address = f"http://127.0.0.1:{dying.server_address[1]}"
        threading.Thread(target=dying.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        result = medsight("ask", image, "Outline the right lung.", "--server", address, "-o", tmp_path / "out")
    assert result.exit_code == 3
    assert result.stderr.startswith(
        f"The MedSIGHT server at {address} broke the connection before its reply was complete"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.name == "nt", reason="SIGINT reaches a process group otherwise there")
def test_ctrl_c_while_a_server_keeps_us_waiting(image, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        arguments = ["ask", image, "Outline the right lung.", "--server", address, "-o", tmp_path / "out"]
        process = subprocess.Popen(
            [*MEDSIGHT, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores Ctrl+C
        )
        connection, _ = silent.accept()  # it is waiting for a reply now
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
        connection.close()
    assert (stderr, process.returncode) == ("Stopped.\n", 130)


# serve


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ["--studies", "{folder}/none"],
            "There is no studies folder {folder}/none: create it and put your images in it.",
        ),
        (
            ["--studies", "{folder}", "--model", "{folder}"],
            "There is no model in {folder} (no config.json): give the folder of a MedSIGHT model, "
            "such as sample_data/demo_model.",
        ),
        (
            ["--studies", "{folder}", "--model", "{model}", "--port", "70000"],
            "The port 70000 does not exist: use 1 to 65535, ",
        ),
        (
            ["--studies", "{folder}", "--model", "{model}", "--token", "short"],
            "The token must have at least 16 printable ",
        ),
    ],
)
def test_serve_refuses_what_cannot_work(medsight, tmp_path, tiny_model_dir, options, sentence):
    fill = {"folder": tmp_path, "model": tiny_model_dir}
    result = medsight("serve", *(option.format(**fill) for option in options))
    assert result.exit_code in (1, 2)
    assert result.stderr.startswith(sentence.format(**fill))
    assert result.stderr.count("\n") == 1


def test_serve_refuses_a_port_that_is_taken(medsight, tmp_path, tiny_model_dir):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = medsight("serve", "--studies", tmp_path, "--model", tiny_model_dir, "--port", port)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Port {port} of 127.0.0.1 is taken: ")
