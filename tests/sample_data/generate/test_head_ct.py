"""Head CT from a project file of InVesalius, and from label maps."""

from __future__ import annotations

import io
import plistlib
import tarfile
from pathlib import Path

import numpy as np
import pytest

from medsight_core.errors import NotFoundError, VolumeError
from medsight_core.terminology import NAMES
from sample_data.generate.head_ct import LEGEND, WINDOWS, draw_window, generated_head, read_cranium, real_head
from sample_data.generate.scan import Film

SPACING = [2.0, 2.0, 3.0]


def project(path: Path, voxels: np.ndarray | None = None, **changes) -> Path:
    """A project file of a skull with something in it, nose up (towards higher rows), on a head rest."""
    if voxels is None:
        z, y, x = np.meshgrid(np.arange(40), np.arange(80), np.arange(70), indexing="ij", sparse=True)
        radius = np.sqrt(((x - 34) / 26) ** 2 + ((y - 40) / 32) ** 2 + ((z - 20) / 22) ** 2)
        voxels = np.where(radius < 1, 30, -1000)
        voxels = np.where((radius > 0.82) & (radius < 0.92), 900, voxels)
        nose = (np.abs(x - 34) < 4) & (y > 70) & (y < 77) & (np.abs(z - 12) < 5)
        rest = (y == 3) & (np.abs(x - 34) < 20) & (z > -1)
        voxels = np.where(nose | rest, 40, voxels).astype(np.int16)
    main = {
        "matrix": {"filename": "matrix.dat", "shape": list(voxels.shape), "dtype": "int16"},
        "spacing": SPACING,
        **changes,
    }
    with tarfile.open(path, "w:gz") as archive:
        for name, content in (("main.plist", plistlib.dumps(main)), ("matrix.dat", voxels.tobytes())):
            member = tarfile.TarInfo(f"tmp/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture(scope="module")
def cranium(tmp_path_factory):
    return read_cranium(project(tmp_path_factory.mktemp("cranium") / "Cranium.inv3"))


def test_the_head_is_brought_to_patient_order_without_its_rest(cranium):
    assert cranium.image.shape == (93, 106, 79)  # every 1.5 mm
    tissue = cranium.image > -300
    first, last = np.flatnonzero(tissue.any(axis=(0, 2)))[[0, -1]]
    assert first < 8  # the nose is in front
    assert last < cranium.image.shape[1] - 6  # the rest is gone
    assert cranium.image.max() > 600


@pytest.mark.parametrize("seed", range(3))
def test_skull_and_soft_tissue_are_what_the_image_shows(cranium, seed):
    film = Film(real_head(cranium, np.random.default_rng(seed)), 96)
    picture = film.picture("axial", film.count("axial") // 2)
    assert set(picture.masks) == set(LEGEND)
    assert picture.image[picture.masks["skull"]].mean() > picture.image[picture.masks["soft tissue"]].mean() + 20
    assert not (picture.masks["skull"] & picture.masks["soft tissue"]).any()


def test_a_generated_head_has_bone_around_its_brain(head):
    scan = generated_head(head, np.random.default_rng(0))
    assert scan.volume.modality == "CT"
    assert scan.names == tuple(LEGEND)
    film = Film(scan, 96)
    picture = film.picture("axial", film.count("axial") // 2)
    rows, columns = np.nonzero(picture.masks["skull"])
    middle = np.hypot(rows - 47.5, columns - 47.5)
    assert middle.min() > 20
    assert picture.image[picture.masks["skull"]].mean() > 230
    assert scan.volume.fingerprint() == generated_head(head, np.random.default_rng(0)).volume.fingerprint()


def test_names_and_windows():
    assert set(LEGEND) <= set(NAMES)
    assert {draw_window(np.random.default_rng(seed)) for seed in range(60)} == set(WINDOWS)


def test_a_missing_project_is_told_with_its_package(tmp_path):
    with pytest.raises(NotFoundError, match=r"no head CT at '.*none.inv3': run 'apt-get install invesalius-examples'"):
        read_cranium(tmp_path / "none.inv3")


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text.inv3").write_text("no archive")
    broken = [
        tmp_path / "text.inv3",
        project(tmp_path / "shape.inv3", matrix={"filename": "matrix.dat", "shape": [3, 3, 3], "dtype": "int16"}),
        project(tmp_path / "name.inv3", matrix={"filename": "../other.dat", "shape": [3, 3, 3], "dtype": "int16"}),
        project(tmp_path / "type.inv3", matrix={"filename": "matrix.dat", "shape": [3], "dtype": "no type"}),
    ]
    for path in broken:
        with pytest.raises(VolumeError, match=f"'{path.name}' is not a project of InVesalius: install its examples"):
            read_cranium(path)
