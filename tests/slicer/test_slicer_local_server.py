"""A server on this computer, started from the panel: the real program in a real process, and never an orphan."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import slicer
from harness.slicer_app import wait_until

from medsight_core.errors import InputError, NotFoundError

ROOT = Path(__file__).parents[2]
MEDSIGHT = "import sys; from medsight_core.cli.app import main; main()"
START_SECONDS = 300  # imports take 10 s, on a starved machine minutes


def program_at(path: Path, code: str = MEDSIGHT) -> Path:
    """What pip installs as ``medsight``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}\n{code}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def local(panel, tmp_path, monkeypatch):
    """The panel's row, with a program that runs this checkout."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    slicer.app.userSettings().setValue("MedSIGHT/Studies", str(tmp_path / "studies"))
    panel.ui.programEdit.text = str(program_at(tmp_path / "medsight"))
    return panel.connection.local


@pytest.fixture
def launching(medsight_module):
    from MedSIGHTLib import local_server

    return local_server


def gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"  # dead, and its parent has not asked yet


@pytest.mark.slow
def test_a_server_is_started_used_and_stopped(panel, local, server, tmp_path):
    ui = panel.ui
    assert ui.localButton.text == "Start server"
    ui.localButton.click()
    assert ui.localButton.text == "Stop server"
    assert "Starting the server on this computer" in ui.localLabel.text
    wait_until(lambda: not local.running or "Running on this computer" in ui.localLabel.text, START_SECONDS)
    assert local.running, ui.localLabel.text
    assert str(tmp_path / "studies") in ui.localLabel.text
    wait_until(lambda: not panel.connection.background.busy, 60)
    assert ui.addressEdit.text.startswith("http://127.0.0.1:")
    assert ui.addressEdit.text != server.address
    assert panel.info.names["CT"], ui.connectionLabel.text
    assert ui.tokenEdit.text not in Path(f"/proc/{local._server._process.pid}/cmdline").read_text()
    pid = local._server._process.pid
    ui.localButton.click()
    assert not ui.localButton.enabled
    assert "Stopping the server on this computer" in ui.localLabel.text
    wait_until(lambda: not local.running, 60)
    assert gone(pid)
    assert ui.localButton.enabled
    assert ui.localButton.text == "Start server"
    assert "was stopped" in ui.localLabel.text
    assert ui.addressEdit.text == server.address, "what was asked before is asked again"
    wait_until(lambda: panel.info is not None)
    assert panel.info.model.version == "7"


def test_closing_the_panel_ends_the_server(panel, local):
    local.start()
    pid = local._server._process.pid
    assert not gone(pid)
    panel.close()
    assert gone(pid)


def test_a_server_that_does_not_stop_is_made_to(panel, local, tmp_path, monkeypatch):
    from MedSIGHTLib import local_server_section

    monkeypatch.setattr(local_server_section, "_STOP_SECONDS", 0.3)
    deaf = "import time; print('MedSIGHT server: http://127.0.0.1:1', flush=True); time.sleep(600)"
    panel.ui.programEdit.text = str(program_at(tmp_path / "deaf" / "medsight", deaf))
    panel.ui.localButton.click()
    wait_until(lambda: "Running on this computer" in panel.ui.localLabel.text, START_SECONDS)
    pid = local._server._process.pid
    panel.ui.localButton.click()
    wait_until(lambda: not local.running)
    assert gone(pid)
    assert "was stopped" in panel.ui.localLabel.text


def test_a_server_ends_with_the_program_that_started_it(launching, tmp_path):
    """Slicer was killed, and could not say goodbye."""
    program = program_at(tmp_path / "medsight")
    code = (
        "import os, sys, time; from pathlib import Path; from MedSIGHTLib.local_server import LocalServer\n"
        f"server = LocalServer(Path({str(program)!r}), Path({str(tmp_path / 'studies')!r}), os.environ)\n"
        "print(server._process.pid, flush=True); time.sleep(600)"
    )
    paths = os.pathsep.join([str(ROOT), str(ROOT / "slicer_extension" / "MedSIGHT")])
    starter = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.PIPE, text=True
    )
    pid = int(starter.stdout.readline())
    assert not gone(pid)
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    deadline = time.monotonic() + START_SECONDS
    while not gone(pid):
        assert time.monotonic() < deadline, "the server is an orphan"
        time.sleep(0.1)


def test_a_server_that_cannot_start_says_why(panel, local):
    Path(slicer.app.userSettings().value("MedSIGHT/Studies")).write_text("no folder")
    panel.ui.localButton.click()
    assert "cannot be made (File exists): move away what is in its place." in panel.ui.localLabel.text
    assert not local.running


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print('The model is damaged.')", "The server on this computer stopped while starting: The model is damaged."),
        ("print('│ No such option │')\nprint('╰────╯')", "stopped while starting: No such option"),
        ("", "stopped while starting: it said nothing"),
        ("print('MedSIGHT server: http://127.0.0.1:1')\nprint('Killed.')", "on this computer has stopped: Killed."),
    ],
)
def test_the_servers_last_words_are_told(panel, local, tmp_path, code, said):
    panel.ui.programEdit.text = str(program_at(tmp_path / "bad" / "medsight", code))
    panel.ui.localButton.click()
    wait_until(lambda: not local.running)
    assert said in panel.ui.localLabel.text
    assert panel.ui.localButton.text == "Start server"


def test_the_program_is_found(launching, tmp_path, monkeypatch):
    chosen = program_at(tmp_path / "environment" / "bin" / "medsight")
    of_checkout = program_at(tmp_path / "checkout" / ".venv" / "bin" / "medsight")
    on_path = program_at(tmp_path / "path" / "medsight")
    checkout, path = tmp_path / "checkout", {"PATH": str(on_path.parent)}
    assert launching.find_program(str(chosen), checkout, path) == chosen
    assert launching.find_program(str(tmp_path / "environment"), checkout, path) == chosen
    assert launching.find_program("", checkout, path) == on_path
    assert launching.find_program("", checkout, {"PATH": ""}) == of_checkout
    with pytest.raises(NotFoundError, match=r"There is no medsight program at /nowhere: choose the program itself, or"):
        launching.find_program("/nowhere", checkout, path)


def test_without_a_program_the_one_command_is_told(launching, panel, tmp_path, monkeypatch):
    (tmp_path / "Makefile").touch()
    with pytest.raises(
        NotFoundError, match=f"type 'make -C {tmp_path} install' in a terminal once, then start it here"
    ):
        launching.find_program("", tmp_path, {})
    with pytest.raises(NotFoundError, match=r"type 'make install' in a terminal in a copy of MedSIGHT's source code"):
        launching.find_program("", None, {})
    panel.ui.programEdit.text = "/nowhere"
    panel.ui.localButton.click()
    assert "There is no medsight program at /nowhere" in panel.ui.localLabel.text
    assert panel.ui.localButton.text == "Start server"


def test_a_program_that_is_none_is_told(launching, tmp_path):
    broken = program_at(tmp_path / "medsight")
    broken.write_bytes(b"\x00\x01")
    with pytest.raises(InputError, match=r"cannot be started \(Exec format error\): choose another medsight program"):
        launching.LocalServer(broken, tmp_path / "studies", os.environ)
