from __future__ import annotations

import io

import pytest
from starlette.datastructures import UploadFile

from medsight_core.errors import InputError
from medsight_core.server.uploads import image_extension, json_object, save_upload


@pytest.mark.parametrize(
    ("name", "extension"),
    [("a.nii.gz", ".nii.gz"), ("A.NRRD", ".nrrd"), ("x.seg.nrrd", ".nrrd"), ("../../x.mha", ".mha"), ("s.nii", ".nii")],
)
def test_known_extensions(name, extension):
    assert image_extension(name) == extension


@pytest.mark.parametrize("name", ["evil.py", "archive.tar.gz", "image", "", None, "x.nii.gz.sh", "x.mhd"])
def test_other_extensions_are_refused(name):
    with pytest.raises(
        InputError, match=r"Files of this type are not accepted: send one of \.nii\.gz, \.nii, \.nrrd, \.mha"
    ):
        image_extension(name)


def test_an_upload_loses_its_name(tmp_path):
    upload = UploadFile(io.BytesIO(b"data"), filename="../../JaneDoe.nii.gz")
    path = save_upload(upload, tmp_path)
    assert path == tmp_path / "image.nii.gz"
    assert path.read_bytes() == b"data"


@pytest.mark.parametrize("text", ["[1]", '"x"', "{", "null", "[" * 100_000])
def test_params_must_be_a_json_object(text):
    with pytest.raises(InputError, match="The form field params is not a JSON object"):
        json_object(text)


def test_no_params_are_an_empty_object():
    assert json_object("") == {}
