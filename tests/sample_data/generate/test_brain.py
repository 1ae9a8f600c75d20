"""Brain scans: sides kept in every mirror, findings in the tissue they belong to, real images with their labels."""

from __future__ import annotations

import numpy as np
import pytest

from medsight_core.imaging.volume import Volume
from medsight_core.terminology import NAMES
from sample_data.generate.brain import FINDINGS, Atlas, HeadStyle, generated_brain, mirrored, real_brain, reshaped
from sample_data.generate.brain_contrast import SEQUENCES
from sample_data.generate.brain_labels import LEGEND, labels_where
from sample_data.generate.deform import Strength
from sample_data.generate.scan import Film

PLAIN = HeadStyle("T1", stripped=False, lesions=0, tumour=False)
PAIRS = [name[5:] for name in LEGEND if name.startswith("left ")]


def across(labels: np.ndarray, values: tuple[int, ...]) -> float:
    return float(np.nonzero(np.isin(labels, values))[0].mean())


def test_names_are_those_of_the_terminology():
    assert set(FINDINGS) <= set(NAMES)


@pytest.mark.parametrize("seed", range(3))
def test_left_is_left_in_every_scan(head, seed):
    labels = reshaped(head, np.random.default_rng(seed))
    for name in PAIRS:
        assert across(labels, LEGEND[f"left {name}"]) > across(labels, LEGEND[f"right {name}"]), name


def test_a_mirrored_subject_has_its_labels_exchanged(head):
    twin = mirrored(head.labels)
    np.testing.assert_array_equal(mirrored(twin), head.labels)

    def size(labels: np.ndarray, name: str) -> int:
        return int(np.isin(labels, LEGEND[name]).sum())

    # The left ventricle is the larger one; in the mirror the right one is, and left is on the left all the same.
    assert size(head.labels, "left lateral ventricle") > 1.5 * size(head.labels, "right lateral ventricle")
    assert size(twin, "right lateral ventricle") == size(head.labels, "left lateral ventricle")
    for name in PAIRS:
        assert across(twin, LEGEND[f"left {name}"]) > across(twin, LEGEND[f"right {name}"]), name
    larger = [
        size(labels, "left lateral ventricle") > size(labels, "right lateral ventricle")
        for labels in (reshaped(head, np.random.default_rng(seed), Strength((0, 0, 0), 0, 0, 0)) for seed in range(7))
    ]
    assert 0 < sum(larger) < 7  # both kinds of patients are shown


@pytest.mark.parametrize("seed", range(3))
def test_findings_lie_in_the_tissue_they_grow_in(head, seed):
    scan = generated_brain(head, np.random.default_rng(seed), HeadStyle("FLAIR", False, 3, True))
    anatomy, findings = (layer.labels for layer in scan.layers)
    lesions, tumour = findings == FINDINGS["lesion"][0], findings == FINDINGS["tumour"][0]
    assert lesions.any()
    assert set(np.unique(anatomy[lesions])) <= set(labels_where(lambda part: part.tissue == "white matter"))
    assert not np.isin(anatomy[tumour], labels_where(lambda part: part.tissue in ("fluid", "bone", "muscle"))).any()


def test_findings_are_seen(head):
    differences = []
    for seed in range(4):
        film = Film(generated_brain(head, np.random.default_rng(seed), HeadStyle("T1", True, 2, False)), 96)
        for index in range(film.count("axial")):
            picture = film.picture("axial", index)
            lesion = picture.masks.get("lesion")
            if lesion is not None and lesion.sum() > 40:
                white = [mask for name, mask in picture.masks.items() if "cerebral white matter" in name]
                around = np.logical_or.reduce(white) & ~lesion
                differences.append(abs(picture.image[lesion].mean() - picture.image[around].mean()))
    assert len(differences) > 4
    assert np.median(differences) > 25


def test_a_stripped_head_is_only_brain(head):
    scan = generated_brain(head, np.random.default_rng(0), HeadStyle("T2", True, 0, False))
    fluid = labels_where(lambda part: part.tissue == "fluid")
    assert set(np.unique(scan.layers[0].labels)) <= {0, *LEGEND["brain"], *fluid}
    whole = generated_brain(head, np.random.default_rng(0), PLAIN)
    assert (whole.layers[0].labels > 0).sum() > 1.3 * (scan.layers[0].labels > 0).sum()


def test_a_seed_is_a_scan(head):
    style = HeadStyle("any", False, 1, True)
    first, same, other = (generated_brain(head, np.random.default_rng(seed), style) for seed in (5, 5, 6))
    assert first.volume.fingerprint() == same.volume.fingerprint() != other.volume.fingerprint()
    np.testing.assert_array_equal(first.layers[1].labels, same.layers[1].labels)
    assert first.volume.modality == "MR"
    assert first.volume.voxels.dtype == np.int16


def test_styles_vary():
    styles = [HeadStyle.draw(np.random.default_rng(seed)) for seed in range(100)]
    assert {style.sequence for style in styles} == set(SEQUENCES)
    assert 5 < sum(style.stripped for style in styles) < 40
    assert 15 < sum(style.lesions > 0 for style in styles) < 60
    assert 5 < sum(style.tumour for style in styles) < 40


@pytest.fixture(scope="module")
def atlas(head) -> Atlas:
    """A T1 image of the made-up head with the labels that the ICBM average has, stored towards R and A."""
    style = np.zeros(256)
    style[1:] = np.linspace(40, 90, 255)
    image = style[head.labels][::-1, ::-1].astype(np.float32)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    affine[:2, 3] = (np.array(image.shape[:2]) - 1) / 2
    affine[0, 3] += 0.25  # the head's middle is between two points
    stored = head.labels[::-1, ::-1]
    names = ["left thalamus", "right thalamus", "left hippocampus", "right hippocampus", "brainstem"]
    masks = {name: np.isin(stored, LEGEND[name]) for name in names}
    cortex = LEGEND["left cerebral cortex"] + LEGEND["right cerebral cortex"]
    masks |= {"cerebral cortex": np.isin(stored, cortex), "cerebrospinal fluid": stored == 255}
    return Atlas.of("mr-brain", Volume(image, affine, "MR"), masks)


def test_a_real_image_keeps_its_labels_and_its_cortex_is_parted_by_side(atlas, head):
    assert set(atlas.legend) == {
        "left thalamus", "right thalamus", "left hippocampus", "right hippocampus", "brainstem",
        "left cerebral cortex", "right cerebral cortex", "brain",
    }  # fmt: skip
    for name, values in atlas.legend.items():
        if name == "brain":
            continue
        overlap = np.isin(atlas.labels, values) == np.isin(head.labels, LEGEND[name])
        assert overlap.mean() > 0.995, name
    assert set(atlas.legend["brain"]) == {v for name, values in atlas.legend.items() for v in values}


def test_a_reshaped_real_image_keeps_left_on_the_left(atlas):
    sizes = set()
    for seed in range(5):
        scan = real_brain(atlas, np.random.default_rng(seed))
        (layer,) = scan.layers
        assert set(layer.legend) == set(atlas.legend)
        for name in ("thalamus", "hippocampus", "cerebral cortex"):
            left, right = (across(layer.labels, layer.legend[f"{side} {name}"]) for side in ("left", "right"))
            assert left > right, (seed, name)
        sizes.add(scan.volume.shape)
        film = Film(scan, 64)
        assert film.picture("axial", film.count("axial") // 2).masks
    assert len(sizes) > 2
