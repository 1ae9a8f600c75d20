"""Fetal heads: found with their masks, grouped by fetus, and changed together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medsight_core.errors import InputError, NotFoundError
from medsight_core.terminology import NAMES
from sample_data.generate.fetal import LEGEND, fetal_scan, records
from sample_data.generate.scan import Film


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two pictures of one fetus and one of another: a bright head in a dim sector."""
    y, x = np.mgrid[:90, :130]
    head = ((x - 70) / 38) ** 2 + ((y - 42) / 27) ** 2 < 1
    picture = np.where(head, 190, 70).astype(np.uint8)
    for name in ("007_HC", "007_2HC", "031_HC"):
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
        Image.fromarray(head).save(tmp_path / f"{name}_mask.png")
    Image.fromarray(head).save(tmp_path / "099_HC_mask.png")  # without its picture
    return tmp_path


def test_records_are_pictures_with_masks_of_one_fetus_each(folder):
    found = records(folder)
    assert [(record.fetus, record.image.name, record.mask.name) for record in found] == [
        ("007", "007_2HC.png", "007_2HC_mask.png"),
        ("007", "007_HC.png", "007_HC_mask.png"),
        ("031", "031_HC.png", "031_HC_mask.png"),
    ]
    assert set(LEGEND) <= set(NAMES)


def test_picture_and_mask_change_together(folder):
    record = records(folder)[0]
    areas = set()
    for seed in range(8):
        film = Film(fetal_scan(record, np.random.default_rng(seed)), 128)
        picture = film.picture("axial", 0)
        mask = picture.masks["fetal head"]
        inside, outside = picture.image[mask], picture.image[~mask]
        assert np.median(inside) > np.percentile(outside, 90)
        areas.add(int(mask.sum()))
    assert len(areas) > 4
    same = [fetal_scan(record, np.random.default_rng(3)).volume.fingerprint() for _ in range(2)]
    assert same[0] == same[1]


def test_a_folder_without_records_and_a_mask_of_another_size_are_told(folder, tmp_path):
    with pytest.raises(NotFoundError, match=r"no fetal heads in '.*nowhere': give a folder with NNN_HC.png"):
        records(tmp_path / "nowhere")
    Image.fromarray(np.zeros((9, 9), bool)).save(folder / "031_HC_mask.png")
    with pytest.raises(InputError, match=r"'031_HC_mask.png' has another size than its picture: give masks as large"):
        fetal_scan(records(folder)[-1], np.random.default_rng(0))
