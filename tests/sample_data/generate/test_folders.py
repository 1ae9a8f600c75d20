"""Folders of generated planes: read as BiomedParse, checked without a fault, the same bytes from one process or two."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from medsight_core.data.biomedparse import BiomedParse
from medsight_core.data.check import check_biomedparse
from medsight_core.data.images import read_image, read_mask
from medsight_core.errors import InputError, NotFoundError
from medsight_core.terminology import NAMES
from sample_data.generate.folders import CATEGORIES, Dataset, write_planes
from sample_data.generate.sources import Material, sources
from sample_data.generate.study import labelled_planes


@pytest.fixture(scope="module")
def material(maps) -> Material:
    return Material(labels=maps)


def write(out: Path, material: Material, workers: int = 1) -> dict[str, dict[str, Dataset]]:
    return write_planes(out, sources(["brain-maps", "abdomen"]), material, 12, 3, seed=2, side=64, workers=workers)


@pytest.fixture(scope="module")
def written(tmp_path_factory, material) -> tuple[Path, dict[str, dict[str, Dataset]]]:
    out = tmp_path_factory.mktemp("generated")
    return out, write(out, material)


def test_a_set_is_read_as_biomedparse_and_has_no_fault(written):
    out, datasets = written
    for part, planes in (("train", 12), ("held-out", 3)):
        images = BiomedParse(out / part / "meta.json")
        assert images.categories == CATEGORIES
        assert len(images) == 2 * planes
        assert {image.dataset for image in images} == set(datasets[part])
        assert {(image.dataset, image.modality) for image in images} <= {
            ("brain-maps", 10), ("brain-maps-sagittal", 8), ("abdomen", 0)
        }  # fmt: skip
        report = check_biomedparse(out / part / "meta.json")
        assert report.bad == []
        assert report.records == 2 * planes


def test_pictures_and_masks_are_those_of_the_planes(written, material):
    out, _ = written
    images = {image.id: image for image in BiomedParse(out / "train" / "meta.json")}
    (source,) = sources(["abdomen"])
    for number, plane in enumerate(labelled_planes(source, material, 12, seed=2, side=64)):
        image = images[f"abdomen/{number // 8:05d}-{number % 8}_CT_abdomen"]
        np.testing.assert_array_equal(np.asarray(read_image(image.path)), plane.image)
        assert {mask.name for mask in image.masks} == set(plane.masks)
        for mask in image.masks:
            np.testing.assert_array_equal(read_mask(mask.path), plane.masks[mask.name])
            assert CATEGORIES[mask.category] == mask.name
            assert mask.sentences == (f"{mask.name} in abdominal CT",)


def test_listings_say_whose_images_they_are_and_what_is_unclear(written):
    out, datasets = written
    subjects = {}
    for part, prefix in (("train", "train"), ("held-out", "test")):
        listing = json.loads((out / part / "brain-maps" / f"{prefix}.json").read_text())
        assert listing["names"] == list(sources(["brain-maps"])[0].names)
        for image in listing["images"]:
            assert image["orientation"] in ("axial", "coronal")
            own = [CATEGORIES[a["category_id"]] for a in listing["annotations"] if a["image_id"] == image["id"]]
            assert not set(image["unclear"]) & set(own)
        subjects[part] = {image["subject"] for image in listing["images"]}
        for annotation in listing["annotations"]:
            mask = read_mask(out / part / "brain-maps" / f"{prefix}_mask" / annotation["mask_file"])
            left, top, width, height = annotation["bbox"]
            assert mask.sum() == annotation["area"] == mask[top : top + height, left : left + width].sum()
    assert not subjects["train"] & subjects["held-out"]
    found = datasets["train"]["brain-maps"]
    assert found.subjects == len(subjects["train"])
    assert sum(found.masks.values()) == len(found.annotations)


def test_two_processes_write_the_same_bytes(written, material, tmp_path):
    out, _ = written
    write(tmp_path / "again", material, workers=2)
    files = sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(tmp_path / "again") for path in tmp_path.rglob("*") if path.is_file())
    assert len(files) > 100
    for file in files:
        assert (tmp_path / "again" / file).read_bytes() == (out / file).read_bytes(), file


def test_every_class_has_a_name_of_the_terminology():
    assert CATEGORIES[0] == "background"
    assert set(CATEGORIES[1:]) <= set(NAMES)
    assert len(set(CATEGORIES)) == len(CATEGORIES)


def test_a_folder_with_something_in_it_is_left_alone(written, material, tmp_path):
    with pytest.raises(InputError, match=r"'.*' is not empty: give a new folder."):
        write(written[0], material)
    with pytest.raises(NotFoundError, match="Brain label maps are needed"):
        write(tmp_path / "out", Material())
    assert not (tmp_path / "out").exists()
