"""Chests painted from labels: Hounsfield units of tissue, nodules in lungs, fluid at the back and below."""

from __future__ import annotations

import numpy as np
import pytest

from medsight_core.terminology import NAMES
from sample_data.generate import chest_anatomy as anatomy
from sample_data.generate.scan import Film

SPACING = 4.0


def labels() -> np.ndarray:
    """A body with two lungs and a spine, every 4 mm."""
    x, y, z = np.meshgrid(np.arange(-44, 45), np.arange(-32, 33), np.arange(40), indexing="ij", sparse=True)
    body = (x / 40) ** 2 + (y / 28) ** 2 + 0 * z < 1
    found = np.where(body, np.uint8(anatomy.INNER), np.uint8(0))
    found = anatomy.shells(found, 4.0 * np.minimum(28 * (1 - np.sqrt((x / 40) ** 2 + (y / 28) ** 2)), 20) + 0 * z)
    for side, lung in ((1, anatomy.LEFT_LUNG), (-1, anatomy.RIGHT_LUNG)):
        found[((x - 17 * side) / 13) ** 2 + (y / 18) ** 2 + ((z - 20) / 18) ** 2 < 1] = lung
    found[(x**2 + (y - 18) ** 2 < 16) & body] = anatomy.THORACIC
    return found


def test_names_are_those_of_the_terminology():
    assert {*anatomy.LEGEND, *anatomy.FINDINGS} <= set(NAMES)


@pytest.mark.parametrize("seed", range(5))
def test_tissues_have_the_hounsfield_units_of_tissue(seed):
    values = anatomy.hounsfield(labels(), np.random.default_rng(seed))
    assert values[labels() == 0].max() == -1000
    for lung in (anatomy.LEFT_LUNG, anatomy.RIGHT_LUNG):
        assert -930 < np.median(values[labels() == lung]) < -700
    assert 100 < values[labels() == anatomy.THORACIC].mean() < 620
    assert -150 < np.median(values[labels() == anatomy.SHELLS[0]]) < -50  # fat
    assert -20 < np.median(values[labels() == anatomy.INNER]) < 120


def test_shells_go_from_the_skin_inward():
    depth = np.array([0.0, 8.0, 15.0, 20.0, 40.0])
    shown = anatomy.shells(np.full(5, anatomy.INNER, np.uint8), depth)
    assert shown.tolist() == [*anatomy.SHELLS, anatomy.INNER]
    assert anatomy.shells(np.full(5, anatomy.RIBS, np.uint8), depth).tolist() == [anatomy.RIBS] * 5


def test_nodules_are_in_lungs_and_effusions_behind_and_below():
    seen = {"nodule": 0, "pleural effusion": 0, "neither": 0}
    x, y, z = np.indices(labels().shape)
    for seed in range(24):
        rng = np.random.default_rng(seed)
        values = np.full(labels().shape, -850, np.float32)
        found, findings = anatomy.add_findings(labels(), values, SPACING, rng)
        lung = np.isin(labels(), (anatomy.LEFT_LUNG, anatomy.RIGHT_LUNG))
        nodule, fluid = (findings == anatomy.FINDINGS[name][0] for name in ("nodule", "pleural effusion"))
        assert not ((nodule | fluid) & ~lung).any()
        # A nodule is a part of its lung, fluid is none.
        assert np.isin(found[nodule], (anatomy.LEFT_LUNG, anatomy.RIGHT_LUNG)).all()
        assert np.isin(found[fluid], (anatomy.LEFT_FLUID, anatomy.RIGHT_FLUID)).all()
        left = found[..., :] == anatomy.LEFT_FLUID
        assert (x[left] > 44).all()
        for side in (anatomy.LEFT_FLUID, anatomy.RIGHT_FLUID):
            own = found == side
            rest = found == side - anatomy.RIGHT_FLUID + anatomy.RIGHT_LUNG
            if own.any():
                assert y[own].mean() > y[rest].mean() + 3
                assert z[own].mean() < z[rest].mean()
                assert 0.03 < own.sum() / (own.sum() + rest.sum()) < 0.4
                assert abs(values[own].mean() - 12) < 25
        if nodule.any():
            assert values[nodule].mean() > -700
        seen["nodule"] += nodule.any()
        seen["pleural effusion"] += fluid.any()
        seen["neither"] += not (nodule.any() or fluid.any())
    assert min(seen.values()) > 3, seen


def test_a_scan_shows_what_its_labels_say():
    rng = np.random.default_rng(1)
    values = anatomy.hounsfield(labels(), rng)
    scan = anatomy.scanned(values, anatomy.add_findings(labels(), values, SPACING, rng), SPACING, rng)
    assert scan.volume.modality == "CT"
    film = Film(scan, 96)
    picture = film.picture("axial", film.count("axial") // 2)
    assert {"right lung", "left lung", "body", "thoracic spine"} <= set(picture.masks)
    for lung in ("right lung", "left lung"):
        assert np.median(picture.image[picture.masks[lung]]) < 70
        assert not (picture.masks[lung] & ~picture.masks["body"]).any()
    assert picture.image[picture.masks["thoracic spine"]].mean() > 190
    windows = {anatomy.draw_window(np.random.default_rng(seed)) for seed in range(60)}
    assert windows == set(anatomy.WINDOWS)
