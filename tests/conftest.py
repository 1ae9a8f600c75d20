"""Fixtures that every test folder shares."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Iterator

import pytest

# The machine's cores are shared with the servers that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "2")
sys.path.insert(0, str(Path(__file__).parent))  # tests share builders such as tiny_model.py

if TYPE_CHECKING:
    from commands import Commands, Server

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny random MedSIGHT model; its answers are arbitrary, its code path is the real one."""
    from tiny_model import save_tiny_model

    return save_tiny_model(tmp_path_factory.mktemp("tiny-model"))


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """Runs `medsight` in processes of its own which need not import torch first."""
    from commands import IMPORTS, Commands
    from forking import forking

    with forking(IMPORTS) as fork:
        yield Commands(fork, tmp_path_factory.mktemp("commands"))


@pytest.fixture(scope="session", autouse=True)
def forked_servers(request: pytest.FixtureRequest) -> Iterator[None]:
    """Lets `running_server` fork its servers, too; `medsight demo` and `medsight view` start theirs as anybody does."""

    def start(words: list[str], log: Path, environment: dict[str, str]) -> Server:
        return request.getfixturevalue("commands").serve(words, log, environment)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("medsight_core.server.running._start", start)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file first: where tests run in several processes, the others fit beside it."""
    items.sort(key=lambda item: item.path.name != "test_training_docs.py")
