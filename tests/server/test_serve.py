from __future__ import annotations

import socket

import pytest

from medsight_core.errors import InputError, ServerError
from medsight_core.server.listening import listen
from medsight_core.server.running import running_server
from medsight_core.server.serve import welcome
from medsight_core.server.settings import Settings


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "studies").mkdir()

    def make(**changes) -> Settings:
        return Settings(tmp_path / "studies", tmp_path, **{"port": 0, **changes})

    return make


def test_a_taken_port_is_reported_before_anything_slow(settings):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=f"Port {port} of 127.0.0.1 is taken: stop the program that uses it"):
            listen(settings(port=port))


@pytest.mark.parametrize("host", ["203.0.113.7", "no.such.host.invalid"])
def test_an_address_of_another_machine_is_refused(settings, host):
    with pytest.raises(InputError, match=f"Cannot listen on {host} port 0"):
        listen(settings(host=host))


def test_the_welcome_says_how_to_connect(settings):
    lines = welcome(settings(port=8123), show_token=True)
    text = "\n".join(lines)
    assert "MedSIGHT server: http://127.0.0.1:8123" in text
    assert "module MedSIGHT, enter this address and token" in text
    assert "Research use only" in text
    assert "WARNING" not in text
    assert "bits" not in text


def test_the_welcome_says_how_many_bits_there_are(settings):
    pytest.importorskip("torchao")
    assert "Language model:  in 4 bits" in welcome(settings(bits=4), show_token=True)


def test_a_token_that_was_given_is_not_printed(settings):
    given = settings(token="my-own-secret-token")
    assert "my-own-secret-token" not in "\n".join(welcome(given, show_token=given.token_generated))


def test_an_open_host_is_warned_about(settings):
    lines = welcome(settings(host="0.0.0.0"), show_token=True)
    assert any(line.startswith("WARNING:") and "0.0.0.0 lets other machines in" in line for line in lines)


@pytest.mark.slow
def test_a_server_that_cannot_start_says_why(tmp_path, tiny_model_dir):
    made = Settings(tmp_path, tiny_model_dir, port=0)
    (made.studies / "datastore_v2.json").write_text('{"objects": "CANARY"')
    stopped = r"The server stopped while starting: The index .*datastore_v2.json is damaged: move it away"
    with pytest.raises(ServerError, match=stopped) as caught, running_server(made):
        pass
    assert "CANARY" not in str(caught.value)
