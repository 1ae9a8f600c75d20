"""Fixtures of the client's tests."""

from __future__ import annotations

import socket

import pytest
from scripted_server import scripted_server


@pytest.fixture
def server():
    """A real HTTP server whose every reply the test scripts."""
    with scripted_server() as scripted:
        yield scripted


@pytest.fixture
def free_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
