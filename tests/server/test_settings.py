from __future__ import annotations

import os

import psutil
import pytest

from medsight_core.errors import InputError, ModelError
from medsight_core.server.settings import Settings, is_loopback, token_from_environment


@pytest.fixture
def folders(tmp_path):
    """Keyword arguments that are right."""
    for name in ("studies", "model"):
        (tmp_path / name).mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    return {"studies": tmp_path / "studies", "model": tmp_path / "model"}


def test_defaults_are_this_machine_only_with_a_fresh_token(folders):
    first, second = Settings(**folders), Settings(**folders)
    assert first.host == "127.0.0.1"
    assert first.address == "http://127.0.0.1:8000"
    assert first.token_generated
    assert len(first.token) >= 32
    assert first.token != second.token


def test_the_token_is_not_in_the_repr(folders):
    settings = Settings(**folders, token="a-secret-of-mine-1234")
    assert "a-secret-of-mine" not in repr(settings)
    assert not settings.token_generated


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        ({"studies": "/no/such"}, InputError, "There is no studies folder /no/such: create it"),
        ({"model": "/no/such"}, ModelError, r"There is no model in /no/such \(no config.json\)"),
        ({"port": 70000}, InputError, "The port 70000 does not exist: use 1 to 65535"),
        ({"host": ""}, InputError, "The host '' is not an address"),
        ({"host": "http://x"}, InputError, "The host 'http://x' is not an address"),
        ({"token": "short"}, InputError, "The token must have at least 16 printable ASCII characters"),
        ({"token": "with a blank inside it"}, InputError, "without blanks"),
        ({"token": "ümläut-ümläut-ümläut"}, InputError, "printable ASCII"),
        ({"bits": 2}, InputError, "The language model cannot be kept in 2 bits: use 8 or 4"),
        ({"bits": 8, "device": "cuda"}, InputError, "8 bits are for the CPU, not for 'cuda'"),
        ({"max_upload_bytes": 0}, InputError, "The upload limit of 0 bytes lets no image in"),
    ],
)
def test_each_mistake_is_named_with_its_value_and_a_fix(folders, change, kind, text):
    with pytest.raises(kind, match=text):
        Settings(**{**folders, **change})


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_studies_folder_is_refused(folders):
    folders["studies"].chmod(0o500)
    with pytest.raises(InputError, match="cannot be written to"):
        Settings(**folders)


@pytest.mark.parametrize(
    ("host", "address"),
    [("0.0.0.0", "http://127.0.0.1:1"), ("::1", "http://[::1]:1"), ("10.0.0.2", "http://10.0.0.2:1")],
)
def test_the_address_is_one_that_a_client_here_can_use(folders, host, address):
    assert Settings(**folders, host=host, port=1).address == address


@pytest.mark.parametrize("reserve", [-1, 1 << 60])
def test_a_reserve_that_leaves_nothing_is_refused(folders, reserve):
    total = psutil.virtual_memory().total
    with pytest.raises(InputError) as caught:
        Settings(**folders, reserve_bytes=reserve)
    assert str(caught.value) == (
        f"A reserve of {reserve} bytes of memory leaves nothing of the {total} that this machine has: give 0 or more, "
        "and less than that."
    )


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("box", False)],
)
def test_loopback(host, expected):
    assert is_loopback(host) is expected


def test_the_token_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("MEDSIGHT_TOKEN", "from-the-environment")
    assert token_from_environment() == "from-the-environment"
    monkeypatch.delenv("MEDSIGHT_TOKEN")
    assert token_from_environment() == ""
