"""Made-up abdomens: the new structures are where they belong and are missing often enough."""

from __future__ import annotations

import numpy as np
import pytest

from medsight_core.terminology import NAMES as KNOWN
from sample_data.generate.abdomen import NAMES, WINDOWS, draw_window, phantom_abdomen, with_findings
from sample_data.generate.scan import Film
from sample_data.phantom_anatomy import patient


@pytest.fixture(scope="module")
def looks() -> list[dict[str, np.ndarray]]:
    """Masks (x, y, z) of twenty patients."""
    heights = np.linspace(-0.8, 0.8, 14)
    return [
        with_findings(patient("abdomen", seed), np.random.default_rng(seed)).look(72, heights)[1] for seed in range(20)
    ]


def test_names_are_those_of_the_terminology():
    assert set(NAMES) <= set(KNOWN)
    assert {draw_window(np.random.default_rng(seed)) for seed in range(60)} == set(WINDOWS)


def test_every_structure_is_there_often_and_findings_are_missing_often(looks):
    for name in NAMES:
        seen = sum(name in masks for masks in looks)
        assert seen >= 4, name
        assert seen <= 17 or name not in ("gallbladder", "liver lesion", "kidney cyst"), name
    assert all(set(masks) <= set(NAMES) for masks in looks)


def test_lesions_are_in_the_liver_and_cysts_at_a_kidney(looks):
    def near(one: np.ndarray, other: np.ndarray) -> float:
        points = np.argwhere(other)
        return float(np.abs(points - np.argwhere(one).mean(axis=0)).max(axis=1).min())

    for masks in looks:
        if "liver lesion" in masks and "liver" in masks:
            assert near(masks["liver lesion"], masks["liver"]) < 10
        if "gallbladder" in masks and "liver" in masks:
            assert np.argwhere(masks["gallbladder"]).mean(axis=0)[0] > np.argwhere(masks["liver"]).mean(axis=0)[0]
            assert np.argwhere(masks["gallbladder"]).mean(axis=0)[0] < 40  # on the right of the patient
        kidneys = [mask for name, mask in masks.items() if name.endswith("kidney")]
        if "kidney cyst" in masks and kidneys:
            assert min(near(masks["kidney cyst"], kidney) for kidney in kidneys) < 10


def test_a_scan_is_an_axial_ct_of_a_patient():
    scan, same, other = (phantom_abdomen(4, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert scan.volume.fingerprint() == same.volume.fingerprint() != other.volume.fingerprint()
    assert scan.volume.modality == "CT"
    assert 24 <= scan.volume.shape[2] <= 40
    film = Film(scan, 96, "abdomen")
    picture = film.picture("axial", film.count("axial") // 2)
    assert picture.image[picture.masks["aorta"]].mean() > 150
    for name in ("right kidney", "left kidney"):
        if name in picture.masks:
            assert (np.nonzero(picture.masks[name])[1].mean() < 48) == name.startswith("right")
