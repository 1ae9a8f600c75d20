"""Generated slices and volumes: readable, repeatable, labelled as they are painted, and left is left."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest
from PIL import Image

from medsight_core.data.biomedparse import BiomedParse
from medsight_core.data.images import read_image, read_mask
from medsight_core.data.records import Conversations
from medsight_core.imaging.body import body_box
from medsight_core.imaging.plane import plane_stack
from medsight_core.imaging.volume import read_volume
from medsight_core.imaging.window import window_for
from medsight_core.terminology import NAMES
from sample_data.phantom import (
    CATEGORIES,
    CATEGORY_OF,
    phantom_slice,
    phantom_volume,
    write_descriptions,
    write_phantoms,
)

ABDOMEN = {"liver", "spleen", "stomach", "right kidney", "left kidney", "aorta"}
BRAIN = {"right lateral ventricle", "left lateral ventricle", "tumour", "oedema"}
NAMES_OF = {"abdomen": ABDOMEN, "brain": BRAIN}
SIDE = 96


@pytest.fixture(scope="module")
def slices():
    """Sixty pictures of each kind with their masks."""
    return {kind: [phantom_slice(kind, seed, SIDE) for seed in range(60)] for kind in NAMES_OF}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with generated data."""
    folder = tmp_path_factory.mktemp("phantoms")
    write_phantoms(folder, images=13, side=SIDE, seed=5)
    return folder


def test_the_folder_is_read_as_biomedparse(folder):
    images = BiomedParse(folder / "meta.json")
    assert images.categories == CATEGORIES
    assert len(CATEGORIES) == 17
    assert [image.modality for image in images] == [0] * 7 + [10] * 6
    for image in images:
        picture = read_image(image.path)
        assert (picture.mode, picture.size) == ("L", (SIDE, SIDE))
        kind = "abdomen" if image.modality == 0 else "brain"
        assert {mask.name for mask in image.masks} <= NAMES_OF[kind]
        for mask in image.masks:
            assert mask.category == CATEGORY_OF[mask.name]
            assert mask.sentences[0].startswith(f"{mask.name} in ")
            assert set(np.unique(np.asarray(Image.open(mask.path)))) == {0, 255}


def test_boxes_frame_their_masks(folder):
    for name in ("phantom-abdomen", "phantom-brain"):
        for annotation in json.loads((folder / name / "train.json").read_text())["annotations"]:
            left, top, width, height = annotation["bbox"]
            mask = read_mask(folder / name / "train_mask" / annotation["mask_file"])
            assert mask[top : top + height, left : left + width].sum() == mask.sum()
            assert mask[top].any()
            assert mask[top + height - 1].any()
            assert mask[:, left].any()
            assert mask[:, left + width - 1].any()


def test_the_same_seed_writes_the_same_bytes(folder, tmp_path):
    write_phantoms(tmp_path / "same", images=13, side=SIDE, seed=5)
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.suffix != ".jsonl"]
    assert len(files) > 40
    for file in files:
        assert (tmp_path / "same" / file).read_bytes() == (folder / file).read_bytes()
    write_phantoms(tmp_path / "other", images=2, side=SIDE, seed=6)
    first = "phantom-abdomen/train/00000_CT_abdomen.png"
    assert (tmp_path / "other" / first).read_bytes() != (folder / first).read_bytes()


def test_names_are_those_of_the_terminology():
    assert set(CATEGORY_OF) == ABDOMEN | BRAIN
    assert set(CATEGORY_OF) <= {*NAMES, "oedema"}


@pytest.mark.parametrize("kind", NAMES_OF)
def test_every_structure_is_there_often_and_missing_now_and_then(slices, kind):
    for name in NAMES_OF[kind]:
        missing = np.mean([name not in masks for _, masks in slices[kind]])
        assert 0.1 < missing < 0.5, name
    counts = [len(masks) for _, masks in slices[kind]]
    assert min(counts) < len(NAMES_OF[kind]) - 1
    assert max(counts) == len(NAMES_OF[kind])


@pytest.mark.parametrize("kind", NAMES_OF)
def test_masks_are_whole_things_that_do_not_overlap(slices, kind):
    for picture, masks in slices[kind]:
        assert picture.dtype == np.uint8
        assert all(mask.shape == picture.shape and mask.sum() >= 0.0025 * mask.size for mask in masks.values())
        assert sum(mask.astype(int) for mask in masks.values()).max() <= 1


def test_structures_differ_in_brightness(slices):
    def brightness(kind, name):
        return np.mean([picture[masks[name]].mean() for picture, masks in slices[kind] if name in masks])

    order = ("stomach", "liver", "spleen", "left kidney", "aorta")
    levels = [brightness("abdomen", name) for name in order]
    assert np.diff(levels).min() > 15
    levels = [brightness("brain", name) for name in ("left lateral ventricle", "oedema", "tumour")]
    assert np.diff(levels).min() > 30


def test_the_patient_s_right_is_on_the_left_of_the_picture(slices):
    def columns(kind, name):
        return [np.nonzero(masks[name])[1].mean() for _, masks in slices[kind] if name in masks]

    middle = SIDE / 2
    for kind, right, left in (
        ("abdomen", "liver", "spleen"),
        ("abdomen", "right kidney", "left kidney"),
        ("brain", "right lateral ventricle", "left lateral ventricle"),
    ):
        assert max(columns(kind, right)) < middle < min(columns(kind, left))
    front = [np.nonzero(masks["liver"])[0].mean() for _, masks in slices["abdomen"] if "liver" in masks]
    back = [np.nonzero(masks["left kidney"])[0].mean() for _, masks in slices["abdomen"] if "left kidney" in masks]
    assert max(front) < min(back)


@pytest.mark.parametrize(("kind", "modality"), [("abdomen", "CT"), ("brain", "MR")])
def test_a_volume_keeps_its_sides_in_a_file(tmp_path, kind, modality):
    checked = set()
    for seed in range(4):
        volume, masks = phantom_volume(kind, seed)
        assert volume.shape == (SIDE, SIDE, 24)
        assert set(masks) <= NAMES_OF[kind]
        assert sum(mask.astype(int) for mask in masks.values()).max() <= 1
        ras = np.diag((-1.0, -1.0, 1.0, 1.0)) @ volume.affine
        nibabel.save(nibabel.Nifti1Image(volume.voxels, ras), tmp_path / "phantom.nii.gz")
        stored = read_volume(tmp_path / "phantom.nii.gz")
        assert stored.modality == volume.modality == modality
        np.testing.assert_array_equal(stored.voxels, volume.voxels)
        np.testing.assert_allclose(stored.affine, volume.affine, atol=1e-3)
        for name, mask in masks.items():
            x, y, _ = (np.argwhere(mask) @ stored.affine[:3, :3].T + stored.affine[:3, 3]).mean(axis=0)
            if name.startswith(("left ", "right ")) or name in ("liver", "spleen"):
                assert (x > 0) == (name.startswith("left ") or name == "spleen"), name
                checked.add(name)
            if "kidney" in name:
                assert y > 0  # at the back
    assert len(checked) >= 2


@pytest.mark.parametrize("kind", NAMES_OF)
def test_the_engine_s_planes_of_a_volume_look_like_the_slices(slices, kind):
    def look(picture, mask):
        return picture[mask].mean(), mask.mean()

    seen: dict[str, list] = {name: [] for name in NAMES_OF[kind]}
    framed = []
    for seed in range(6):
        volume, masks = phantom_volume(kind, seed)
        window = window_for(volume, "abdomen" if kind == "abdomen" else None)
        stack = plane_stack(volume, "axial", body=body_box(volume))
        framed.append(stack.shape[0] / SIDE)
        for index in range(0, len(stack), 5):
            picture = window.to_uint8(stack.sample(volume, index))
            labels = {name: mask.astype(np.float32) for name, mask in masks.items()}
            for name, values in labels.items():
                shown = stack.sample(type(volume)(values, volume.affine, "OT"), index, fill=0) > 0.5
                if shown.sum() > 30:
                    seen[name].append(look(picture, shown))
    assert np.allclose(framed, 1, atol=0.08)  # the body fills a framed plane as it fills a slice
    for name in NAMES_OF[kind]:
        of_slices = np.mean([look(picture, masks[name]) for picture, masks in slices[kind] if name in masks], axis=0)
        of_planes = np.mean(seen[name], axis=0)
        assert abs(of_planes[0] - of_slices[0]) < 25, name
        assert 0.5 < of_planes[1] / of_slices[1] < 2, name


def test_a_seed_is_a_patient_and_those_of_volumes_are_not_trained_on(folder):
    volume = phantom_volume("brain", 0)[0]
    assert volume.fingerprint() == phantom_volume("brain", 0)[0].fingerprint()
    assert volume.fingerprint() != phantom_volume("brain", 1)[0].fingerprint()
    trained_on = [np.asarray(read_image(path)) for path in (folder / "phantom-brain" / "train").iterdir()]
    for seed in range(20):
        picture, _ = phantom_slice("brain", seed, SIDE)
        assert not any(np.array_equal(picture, other) for other in trained_on)


def test_descriptions_agree_with_the_labels(folder):
    out = folder / "describe.json"
    write_descriptions(folder / "meta.json", out, seed=0)
    raw = json.loads(out.read_text())
    assert {message["from"] for record in raw for message in record["conversations"]} == {"human", "gpt"}
    images = {image.path: image for image in BiomedParse(folder / "meta.json")}
    said = 0
    for conversation in Conversations(out):
        image = images[conversation.images[0]]
        shown = {mask.name: read_mask(mask.path) for mask in image.masks}
        assert conversation.masks == ()
        for turn in conversation.turns:
            if turn.question.startswith(("What kind", "Which modality")):
                assert turn.answer == f"This is an axial {'abdominal CT' if image.modality == 0 else 'brain MRI'}."
            elif turn.question.startswith(("What is visible", "Which structures")):
                for name in NAMES_OF["abdomen" if image.modality == 0 else "brain"]:
                    assert (name in turn.answer) == (name in shown)
            else:
                name = turn.question.removesuffix(" visible?").removesuffix("?").partition(" the ")[2]
                assert ("not seen" in turn.answer) == (name not in shown)
                if "on the left of the picture" in turn.answer:
                    assert np.nonzero(shown[name])[1].mean() < SIDE / 2
            said += 1
    assert said > 2 * len(raw)
    before = out.read_bytes()
    write_descriptions(folder / "meta.json", out, seed=0)
    assert out.read_bytes() == before
