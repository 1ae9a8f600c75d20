"""What the tests of generators share: a folder of small made-up heads, and the first of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from head_builders import save_map, tiny_head

from sample_data.generate.brain_labels import Head, read_head


@pytest.fixture(scope="session")
def maps(tmp_path_factory) -> Path:
    """A folder with three label maps of made-up heads."""
    folder = tmp_path_factory.mktemp("maps")
    for number in range(3):
        save_map(folder / f"head_{number:02d}.nii", tiny_head(number))
    return folder


@pytest.fixture(scope="session")
def head(maps) -> Head:
    """The first of them, as it is read."""
    return read_head(maps / "head_00.nii")
