"""The benchmark of many users, for some seconds and with a tiny model; and that it sees what it is there to see."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.users import Seen, growth, measure, report, users_of, write_images
from medsight_core.imaging.volume import Volume, read_volume

PROMPTS = ("Outline everything you can see.", "Outline the right lung.")
MB = 1 << 20


@pytest.fixture(scope="module")
def users(tmp_path_factory):
    voxels = np.random.default_rng(0).integers(-1000, 400, (24, 22, 8)).astype(np.int16)
    volume = Volume(voxels, np.diag([2.0, 2.0, 3.0, 1.0]), "CT")
    return users_of(write_images(tmp_path_factory.mktemp("images"), [volume], 4), PROMPTS)


def test_images_are_in_pairs_on_one_grid_and_all_differ(users):
    volumes = [read_volume(user.image) for user in users]
    assert [volume.shape for volume in volumes] == [(24, 22, 8)] * 2 + [(22, 20, 8)] * 2
    assert all(np.array_equal(one.affine, volumes[0].affine) for one in volumes)
    assert len({volume.fingerprint() for volume in volumes}) == 4


@pytest.mark.slow
def test_nobody_gets_an_error_or_the_answer_of_another(users, tiny_model_dir):
    warm, seen = measure(tiny_model_dir, users, seconds=2.0)
    assert warm.errors == seen.errors == []
    assert warm.mixed_up == seen.mixed_up == 0
    assert set(seen.answers) == {user.name for user in users}
    assert warm.answers == {user.name: 3 for user in users}
    text = report(users, warm, seen)
    assert text.startswith("4 users for ")
    assert "| answers that are not those of a single user | 0 | 0 |" in text
    assert "| growth of the server's memory after the warm-up | at most 5 % | " in text


@pytest.mark.slow
def test_a_server_that_knows_images_by_their_grid_alone_is_caught(users, tiny_model_dir):
    warm, seen = measure(tiny_model_dir, users, seconds=0.5, program="benchmarks.careless_server")
    assert warm.errors == seen.errors == []
    assert warm.mixed_up > 0


def test_memory_that_grows_is_told():
    def over(sizes) -> list[tuple[float, int]]:
        return [(second, size * MB) for second, size in enumerate(sizes)]

    assert growth(over([100] * 20)) == 0.0
    assert growth(over(range(100, 120))) == pytest.approx(117.5 / 101.5 - 1), "medians of seconds 0 to 3, 16 to 19"
    assert growth(over([100, 300] * 5 + [100, 310] * 5)) == pytest.approx(310 / 300 - 1), "peaks count too"
    assert growth(over([200] * 10 + [100] * 10)) == -0.5


def test_errors_are_told(users):
    seen = Seen(errors=["The server is short of memory."], memory=[(0.0, MB), (60.0, MB)])
    text = report(users, Seen(errors=["The server is short of memory."]), seen)
    assert "| errors | 0 | 2 |" in text
    assert text.count("Error: The server is short of memory.") == 1
