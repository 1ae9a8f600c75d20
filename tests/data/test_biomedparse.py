"""Folders in BiomedParse's layout become images with all their masks."""

from __future__ import annotations

import json
import pickle

import pytest
from training_sets import CATEGORIES, write_labelled, write_meta

from medsight_core.data.biomedparse import BiomedParse, LabelledImage, MaskRecord
from medsight_core.errors import InputError, NotFoundError


def edit(path, change) -> None:
    """Rewrite a JSON file with ``change`` made to its content."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_all_masks_of_an_image_are_one_record(tmp_path):
    data = BiomedParse(write_labelled(tmp_path))
    assert [len(image.masks) for image in data] == [0, 1, 2]
    folder = tmp_path / "phantoms"
    assert data[2] == LabelledImage(
        id="phantoms/0002_CT_abdomen",
        dataset="phantoms",
        path=folder / "train/0002_CT_abdomen.png",
        modality=0,
        masks=(
            MaskRecord(
                2, folder / "train_mask/0002_CT_abdomen_liver.png", 1, ("liver in abdomen CT",), "liver"
            ),
            MaskRecord(
                1,
                folder / "train_mask/0002_CT_abdomen_right+kidney.png",
                3,
                ("right kidney in abdomen CT",),
                "right kidney",
            ),
        ),
    )  # fmt: skip
    assert data.categories == ("background", "liver", "", "kidney")
    assert pickle.loads(pickle.dumps(data))[2] == data[2]


def test_datasets_follow_one_another_with_their_modalities(tmp_path):
    write_labelled(tmp_path, "a", count=2)
    write_labelled(tmp_path, "deep/b", count=4)
    data = BiomedParse(write_meta(tmp_path, {"a": 0, "deep/b": 3}))
    assert [(image.dataset, image.modality) for image in data] == [("a", 0)] * 2 + [("deep/b", 3)] * 4
    assert data[-1].id == "deep/b/0003_CT_abdomen"


def test_paths_may_be_absolute_and_elsewhere(tmp_path):
    write_labelled(tmp_path / "disk", "a")
    (tmp_path / "here").mkdir()
    meta = write_meta(tmp_path / "here", {str(tmp_path / "disk" / "a"): 5})
    assert BiomedParse(meta)[1].id == "a/0001_CT_abdomen"
    assert BiomedParse(meta)[1].path.is_file()


@pytest.mark.parametrize(
    ("mask_file", "sentences", "name"),
    [
        ("0001_CT_abdomen_left+adrenal_gland.png", [], "left adrenal gland"),
        ("0001_CT_abdomen.png", ["spleen in abdomen CT", "another"], "spleen"),
        ("0001_CT_abdomen.png", [], "kidney"),
    ],
)
def test_a_target_is_named_by_its_file_its_sentence_or_its_category(tmp_path, mask_file, sentences, name):
    meta = write_labelled(tmp_path, count=2)

    def change(lists):
        lists["annotations"][0].update(mask_file=mask_file, sentences=sentences)

    edit(tmp_path / "phantoms/train.json", change)
    (mask,) = BiomedParse(meta)[1].masks
    assert (mask.name, mask.sentences) == (name, tuple(sentences))


def test_a_split_is_seeded_and_keeps_images_apart(tmp_path):
    data = BiomedParse(write_labelled(tmp_path, count=20))
    train, held_out = data.split()
    sides = [[image.id for image in part] for part in (train, held_out)]
    assert [len(side) for side in sides] == [18, 2]
    assert sorted(sides[0] + sides[1]) == sorted(image.id for image in data)
    assert sides == [sorted(side) for side in sides]
    assert [image.id for image in data.split()[1]] == sides[1]
    assert any([image.id for image in data.split(seed=seed)[1]] != sides[1] for seed in (1, 2, 3))
    assert len(data.split(0.01)[1]) == 1
    for share in (0.0, 1.0):
        with pytest.raises(InputError) as caught:
            data.split(share)
        assert str(caught.value) == (
            f"{share:g} of 20 images cannot be held out: give a share between 0 and 1 of at least two."
        )


def refusal(meta) -> str:
    with pytest.raises(InputError) as caught:
        list(BiomedParse(meta))
    return str(caught.value)


def test_a_meta_file_of_another_form_is_refused(tmp_path):
    meta = write_labelled(tmp_path)
    lists = (
        f"'{meta}' must hold the lists image_roots, mask_roots, annotations, modalities, equally long and not empty."
    )
    edit(meta, lambda content: content["modalities"].append(1))
    assert refusal(meta) == lists
    edit(meta, lambda content: content.pop("modalities"))
    assert refusal(meta) == lists
    edit(meta, lambda content: content.update(modalities=[-1]))
    assert refusal(meta) == f"'{meta}' has the modality -1: give its number, 0 or more."
    edit(meta, lambda content: content.update(modalities=["CT"]))
    assert refusal(meta) == f"'{meta}' has the modality 'CT': give its number, 0 or more."
    edit(meta, lambda content: content.update(mask_roots=[None]))
    expected = (
        f"'{meta}' has ['phantoms/train', None, 'phantoms/train.json'] where three paths are expected: correct it."
    )
    assert refusal(meta) == expected
    meta.write_text("[1, 2]")
    assert refusal(meta) == lists
    meta.write_text("{")
    assert refusal(meta).startswith(f"'{meta}' is not valid JSON (")
    with pytest.raises(NotFoundError) as caught:
        BiomedParse(tmp_path / "none.json")
    assert str(caught.value) == (f"There is no meta file '{tmp_path / 'none.json'}' that can be read: check the path.")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda lists: lists["annotations"][1].update(image_id=99),
            "Annotation 1 of '{path}' is for the image 99, which is not in its list of images: add it there.",
        ),
        (
            lambda lists: lists["images"][2].update(id=10),
            "'{path}' lists two images of id 10: give each its own.",
        ),
        (
            lambda lists: lists["annotations"][1].update(category_id=7),
            "Annotation 1 of '{path}' has the category 7, which is not in its list of categories: add it there.",
        ),
        (
            lambda lists: lists["annotations"][1].pop("mask_file"),
            "'{path}' has a record with mask_file None: give a text.",
        ),
        (
            lambda lists: lists["annotations"][1].update(category_id="3"),
            "'{path}' has a record with category_id '3': give a whole number.",
        ),
        (
            lambda lists: lists["annotations"][1].update(sentences=[{"sent": "liver"}]),
            "'{path}' has a record with raw None: give a text.",
        ),
        (
            lambda lists: lists["annotations"][1].update(sentences="liver"),
            "'{path}' has a record with sentences 'liver': give a list.",
        ),
        (
            lambda lists: lists["annotations"][1].update(mask_file="../../x.png"),
            "The file name '../../x.png' does not stay inside '{root}/phantoms/train_mask': give names relative to "
            "this folder.",
        ),
        (
            lambda lists: lists["images"][0].update(file_name="../x.png"),
            "The file name '../x.png' does not stay inside '{root}/phantoms/train': give names relative to this "
            "folder.",
        ),
        (
            lambda lists: lists.pop("images"),
            "'{path}' has no list 'images': check that it is the right file.",
        ),
    ],
)
def test_a_dataset_that_does_not_fit_together_is_refused(tmp_path, change, expected):
    meta = write_labelled(tmp_path)
    edit(tmp_path / "phantoms/train.json", change)
    assert refusal(meta) == expected.format(path=tmp_path / "phantoms/train.json", root=tmp_path)


def test_one_number_must_mean_one_category_in_all_datasets(tmp_path):
    write_labelled(tmp_path, "a")
    write_labelled(tmp_path, "b")
    meta = write_meta(tmp_path, {"a": 0, "b": 0})
    edit(tmp_path / "b/train.json", lambda lists: lists.update(categories=[*CATEGORIES, {"id": 9, "name": "vessel"}]))
    assert BiomedParse(meta).categories[9] == "vessel"
    edit(tmp_path / "b/train.json", lambda lists: lists["categories"][1].update(name="lung"))
    assert refusal(meta) == (
        f"Category 1 is 'liver' in one dataset and 'lung' in '{tmp_path / 'b/train.json'}': use one list of categories "
        "for all."
    )
