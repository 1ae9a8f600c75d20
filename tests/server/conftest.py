"""One real server for all tests of this folder, in a process of its own, with its own folder for temporary files."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import pytest
import requests
import SimpleITK as sitk  # noqa: N813

from medsight_core.server.running import RunningServer, running_server
from medsight_core.server.settings import Settings

UPLOAD_LIMIT = 8 << 20


def write_volume(path: Path, seed: int = 0, shape: tuple[int, ...] = (20, 24, 12)) -> Path:
    """Noise in the range of a CT, with an oblique-free but flipped geometry."""
    values = np.random.default_rng(seed).integers(-1000, 400, shape[::-1]).astype(np.int16)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing([2.0, 2.0, 3.0][: len(shape)])
    sitk.WriteImage(image, str(path))
    return path


class Calls:
    """Requests to one server, with its token."""

    def __init__(self, server: RunningServer) -> None:
        self.address = server.address
        self.headers = {"Authorization": f"Bearer {server.token}"}

    def __call__(
        self, method: str, path: str, headers: dict[str, str] | None = None, **kwargs: Any
    ) -> requests.Response:
        headers = {**self.headers, **(headers or {})}
        return requests.request(method, self.address + path, headers=headers, timeout=60, **kwargs)

    def upload(self, path: Path, name: str | None = None) -> requests.Response:
        """``PUT /session/`` with one file."""
        with path.open("rb") as file:
            return self("PUT", "/session/", files={"files": (name or path.name, file)})


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server puts its temporary files."""
    return tmp_path_factory.mktemp("server-tmp")


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A studies folder: two volumes and one file that only looks like one. Its parent is watched for escapes."""
    folder = tmp_path_factory.mktemp("data") / "studies"
    folder.mkdir()
    write_volume(folder / "chest.nii.gz")
    write_volume(folder / "brain.nrrd", seed=1)
    (folder / "broken.nii.gz").write_bytes(b"not an image")
    return folder


@pytest.fixture(scope="session")
def server(studies: Path, scratch: Path, tiny_model_dir: Path) -> Iterator[RunningServer]:
    """The server. When it stops, nothing of it may be left in the folder for temporary files."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TMPDIR", str(scratch))  # of this server only, not of those that other tests start later
            settings = Settings(studies, tiny_model_dir, port=0, max_upload_bytes=UPLOAD_LIMIT)
            running = stack.enter_context(running_server(settings))
        yield running
    assert not list(scratch.glob("medsight-server-*"))


@pytest.fixture
def call(server: RunningServer) -> Calls:
    return Calls(server)
