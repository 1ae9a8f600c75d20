"""Made-up chests: everything where a person has it, and no two alike."""

from __future__ import annotations

import numpy as np
import pytest

from sample_data.generate import chest_anatomy as anatomy
from sample_data.generate.chest_phantom import SPACING, phantom_chest, phantom_labels


@pytest.fixture(scope="module")
def bodies() -> list[np.ndarray]:
    return [phantom_labels(np.random.default_rng(seed)) for seed in range(3)]


def middle(labels: np.ndarray, label: int) -> np.ndarray:
    return np.argwhere(labels == label).mean(axis=0)


def test_everything_is_where_a_person_has_it(bodies):
    for labels in bodies:
        right, left, heart = (middle(labels, label) for label in (anatomy.RIGHT_LUNG, anatomy.LEFT_LUNG, anatomy.HEART))
        centre = labels.shape[0] / 2
        assert right[0] < centre - 15 < centre + 15 < left[0]
        assert heart[0] > centre
        assert heart[1] < middle(labels, anatomy.THORACIC)[1]
        heights = [middle(labels, label)[2] for label in (anatomy.LUMBAR, anatomy.THORACIC, anatomy.CERVICAL)]
        assert heights == sorted(heights)
        assert middle(labels, anatomy.THORACIC)[1] > max(right[1], left[1])


def test_organs_are_as_large_as_in_people(bodies):
    litre = 1e6 / SPACING**3
    for labels in bodies:
        for lung in (anatomy.RIGHT_LUNG, anatomy.LEFT_LUNG):
            assert 0.7 < (labels == lung).sum() / litre < 4.5
        assert (labels == anatomy.RIGHT_LUNG).sum() > 0.9 * (labels == anatomy.LEFT_LUNG).sum()
        assert 0.2 < (labels == anatomy.HEART).sum() / litre < 1.2
        assert 0.1 < (labels == anatomy.RIBS).sum() / litre < 1.0
        assert set(np.unique(labels)) >= {*anatomy.SHELLS, anatomy.BONE, anatomy.GAS}


def test_a_seed_is_a_patient_whom_chance_shows_differently():
    first, same = (phantom_chest(7, np.random.default_rng(1)) for _ in range(2))
    again = phantom_chest(7, np.random.default_rng(2))
    assert first.volume.fingerprint() == same.volume.fingerprint() != again.volume.fingerprint()
    labels = phantom_labels(np.random.default_rng([7]))
    assert (labels != phantom_labels(np.random.default_rng([8]))).mean() > 0.01
