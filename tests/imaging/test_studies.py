from __future__ import annotations

import os

import numpy as np
import pytest
from volume_builders import write_dicom_series

from medsight_core.errors import InputError, NotFoundError
from medsight_core.imaging.studies import find_studies


@pytest.fixture
def folder(tmp_path):
    """Files that are read by their name alone, and one DICOM series."""
    for name in (
        "b.nii.gz", "A.NRRD", "deep/er/c.mha", "detached.nhdr", "detached.raw",
        "answer.seg.nrrd", ".hidden.nii", ".cache/d.nii", "notes.txt", "out/answer.nii",
        "store/datastore_v2.json", "store/e.nii", "store/labels/final/e.nii",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    series = np.zeros((4, 4, 3), np.int16)
    write_dicom_series(tmp_path / "patient" / "series", series, np.eye(4))
    write_dicom_series(tmp_path / "patient" / "series" / "more", series, np.eye(4))
    (tmp_path / "patient" / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    return tmp_path


def test_files_and_series_are_found_by_name(folder):
    studies = find_studies(folder, leave_out=[folder / "out"])
    assert [study.name for study in studies] == [
        "A.NRRD",
        "b.nii.gz",
        "deep/er/c.mha",
        "detached.nhdr",
        "patient/series",
        "store/e.nii",
    ]
    assert all(study.path == folder / study.name for study in studies)


def test_a_folder_of_slices_is_one_study(folder):
    (study,) = find_studies(folder / "patient" / "series")
    assert (study.name, study.path) == ("series", folder / "patient" / "series")


def test_what_changes_has_another_stamp(folder):
    studies = {study.name: study for study in find_studies(folder)}
    before = {name: study.stamp() for name, study in studies.items()}
    assert before == {name: study.stamp() for name, study in studies.items()}
    os.utime(folder / "b.nii.gz", (1, 1))
    next((folder / "patient" / "series").glob("s*")).unlink()
    changed = {name for name, study in studies.items() if study.stamp() != before[name]}
    assert changed == {"b.nii.gz", "patient/series"}


def test_a_folder_without_images_is_told(tmp_path):
    (tmp_path / "file.nii").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    for path, kind, sentence in (
        (tmp_path / "no", NotFoundError, f"There is no folder '{tmp_path / 'no'}': check the path."),
        (
            tmp_path / "file.nii",
            InputError,
            f"'{tmp_path / 'file.nii'}' is a file: give the folder that it is in, or use 'medsight ask' for one image.",
        ),
        (
            tmp_path / "empty",
            NotFoundError,
            f"There is no image in '{tmp_path / 'empty'}': give a folder with .nii, .nii.gz, .nrrd, .nhdr, .mha, .mhd "
            "files or DICOM slices.",
        ),
    ):
        with pytest.raises(kind) as caught:
            find_studies(path)
        assert str(caught.value) == sentence
