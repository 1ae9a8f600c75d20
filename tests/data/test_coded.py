"""Images whose masks have codes: written, read again, and refused with a reason."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from coded_builders import coded_images

from medsight_core.data.coded import read_coded, write_coded
from medsight_core.errors import InputError, NotFoundError

RECORD = {
    "id": 7,
    "image": "ct/1.png",
    "modality": 0,
    "masks": [{"id": 871, "file": "ct_mask/1_liver.png", "name": "liver", "code": "M0_16"}],
}


def record(**changes):
    return {**RECORD, **changes}


def mask(**changes):
    return record(masks=[{**RECORD["masks"][0], **changes}])


def test_what_is_written_is_read_again(tmp_path):
    images = coded_images(tmp_path)
    write_coded(tmp_path / "coded.jsonl", images)
    assert list(read_coded(tmp_path / "coded.jsonl")) == images
    assert list(tmp_path.glob("*.part")) == []


def test_views_and_detections_are_kept_where_they_are_known(tmp_path):
    plain, viewed, empty, detected, *_ = coded_images(tmp_path)
    viewed, empty = replace(viewed, view="axial CT"), replace(empty, view="axial CT", seen=())
    detected = replace(detected, seen=("liver", "left kidney"))
    write_coded(tmp_path / "coded.jsonl", [plain, viewed, empty, detected])
    assert list(read_coded(tmp_path / "coded.jsonl")) == [plain, viewed, empty, detected]
    first = json.loads((tmp_path / "coded.jsonl").read_text().splitlines()[0])
    assert set(first) == {"id", "image", "modality", "masks"}


def test_names_start_from_another_folder_when_it_is_given(tmp_path):
    images = coded_images(tmp_path / "data")
    (tmp_path / "lists").mkdir()
    write_coded(tmp_path / "lists" / "coded.jsonl", images, tmp_path / "data")
    first = json.loads((tmp_path / "lists" / "coded.jsonl").read_text().splitlines()[0])
    assert first["image"] == "ct/00.png"
    assert list(read_coded(tmp_path / "lists" / "coded.jsonl", tmp_path / "data")) == images


def test_a_json_list_is_read_and_numbers_are_ids_too(tmp_path):
    (tmp_path / "coded.json").write_text(json.dumps([RECORD, record(id="b", masks=[])]))
    first, second = read_coded(tmp_path / "coded.json")
    assert (first.id, second.id, second.masks) == ("7", "b", ())
    assert first.path == tmp_path / "ct" / "1.png"
    assert (first.masks[0].id, first.masks[0].path) == ("871", tmp_path / "ct_mask" / "1_liver.png")


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (record(image="../1.png"), r"Record 0 of '.*coded.json': The file name '../1.png' does not stay inside"),
        (mask(file="/etc/passwd"), r"The file name '/etc/passwd' does not stay inside"),
        (record(modality="CT"), r"modality is 'CT': run 'medsight data label-codes' again"),
        (record(modality=True), r"modality is True: run"),
        (record(masks=None), r"masks is None: run"),
        (record(masks=["871"]), r"the mask '871' is not an object in braces: give id, file, name and code"),
        (mask(code="[M0_16]"), r"the code '\[M0_16\]' is not of the form M0_16: run 'medsight data label-codes' again"),
        (mask(name=None), r"name is None: run"),
        (record(view=3), r"view is 3: run"),
        (record(seen="liver"), r"seen is 'liver': give a list of names, or leave it out"),
        (record(seen=[1]), r"seen is \[1\]: give"),
    ],
)
def test_a_wrong_record_is_refused_with_its_reason(tmp_path, broken, message):
    (tmp_path / "coded.json").write_text(json.dumps([broken]))
    images = read_coded(tmp_path / "coded.json")
    with pytest.raises(InputError, match=message):
        images[0]


def test_files_that_cannot_be_read_or_written(tmp_path):
    with pytest.raises(NotFoundError, match=r"There is no file '.*none.jsonl': check the path"):
        read_coded(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match=r"'.*coded.json' does not end in .jsonl: coded images are written one record"):
        write_coded(tmp_path / "coded.json", [])
    images = coded_images(tmp_path / "data")
    (tmp_path / "lists").mkdir()
    with pytest.raises(InputError, match="does not stay inside"):
        write_coded(tmp_path / "lists" / "coded.jsonl", images)
    assert not (tmp_path / "lists" / "coded.jsonl").exists()
