"""The packaged chest CT, read from a small stand-in of it: mended labels, and scans whose lungs stay on their side."""

from __future__ import annotations

import numpy as np
import pytest

from medsight_core.imaging.volume import Volume
from sample_data.generate import chest_anatomy as anatomy
from sample_data.generate.chest import SPACING, Chest, painted_chest, real_chest


@pytest.fixture(scope="module")
def chest() -> Chest:
    """Read from an image of 6 x 6 x 10 mm, stored towards R and A as the real one."""
    x, y, z = np.meshgrid(np.arange(-30, 31), np.arange(-22, 23), np.arange(16), indexing="ij", sparse=True)
    body = (x / 26) ** 2 + (y / 18) ** 2 + 0 * z < 1
    image = np.where(body, 40, -1000).astype(np.int16)
    masks = {}
    for side, name in ((1, "left lung"), (-1, "right lung")):
        masks[name] = ((x - 11 * side) / 8) ** 2 + (y / 11) ** 2 + ((z - 9) / 6) ** 2 < 1
        image[masks[name]] = -850
    masks["thoracic spine"] = (x**2 + (y - 12) ** 2 < 6) & (z > 4) & body
    masks["lumbar spine"] = (x**2 + (y - 12) ** 2 < 6) & (z <= 4) & body
    shoulder = ((np.abs(x) - 24) ** 2 + y**2 < 3) & (z > 12)
    breastbone = (np.abs(x) < 2) & (y == -14) & (z > 6)
    rib = ((np.abs(x) - 20) ** 2 + y**2 < 3) & (z > 5) & (z < 12)
    masks["ribs"] = (shoulder | breastbone | rib) & body
    image[masks["ribs"] | masks["thoracic spine"] | masks["lumbar spine"]] = 400
    bubble = (x - 12) ** 2 + (y + 6) ** 2 + 9 * (z - 1) ** 2 < 9
    image[bubble] = -900
    taken = np.logical_or.reduce(list(masks.values()))
    masks["soft tissue"] = body & ~taken & ~bubble
    affine = np.diag([-6.0, -6.0, 10.0, 1.0])
    affine[:3, 3] = (180, 132, -300)
    stored = {name: mask[::-1, ::-1] for name, mask in masks.items()}
    return Chest.of(Volume(image[::-1, ::-1], affine, "CT"), stored)


def middle(labels: np.ndarray, label: int) -> np.ndarray:
    return np.argwhere(labels == label).mean(axis=0)


def test_labels_are_brought_to_even_points_in_patient_order(chest):
    assert chest.image.shape == chest.labels.shape
    assert middle(chest.labels, anatomy.LEFT_LUNG)[0] > middle(chest.labels, anatomy.RIGHT_LUNG)[0] + 40 / SPACING
    assert middle(chest.labels, anatomy.THORACIC)[1] > middle(chest.labels, anatomy.LEFT_LUNG)[1]
    assert middle(chest.labels, anatomy.LUMBAR)[2] < middle(chest.labels, anatomy.THORACIC)[2]
    assert chest.image[chest.labels == anatomy.LEFT_LUNG].mean() < -700


def test_shoulders_and_breastbone_are_no_ribs_and_holes_are_filled(chest):
    ribs, bone = np.argwhere(chest.labels == anatomy.RIBS), np.argwhere(chest.labels == anatomy.BONE)
    assert len(ribs)
    assert len(bone)
    centre = (np.array(chest.labels.shape) - 1) / 2
    assert (np.abs(ribs[:, 0] - centre[0]) * SPACING > 90).all()  # none in the middle
    lung_top = np.argwhere(chest.labels == anatomy.LEFT_LUNG)[:, 2].max()
    assert (ribs[:, 2] <= lung_top).all()
    assert (chest.labels == anatomy.GAS).sum() > 20
    assert {*anatomy.SHELLS} <= set(np.unique(chest.labels))
    body = chest.labels > 0
    filled = body[:, :, body.shape[2] // 2]
    assert filled[filled.shape[0] // 2].any()


@pytest.mark.parametrize("make", [real_chest, painted_chest])
def test_lungs_stay_on_their_side_and_look_like_lungs(chest, make):
    prints = set()
    for seed in range(3):
        scan = make(chest, np.random.default_rng(seed))
        anatomy_labels = scan.layers[0].labels
        assert middle(anatomy_labels, anatomy.LEFT_LUNG)[0] > middle(anatomy_labels, anatomy.RIGHT_LUNG)[0]
        assert scan.volume.modality == "CT"
        assert scan.volume.voxels.min() >= -1024
        prints.add(scan.volume.fingerprint())
    assert len(prints) == 3
    assert make(chest, np.random.default_rng(0)).volume.fingerprint() in prints
