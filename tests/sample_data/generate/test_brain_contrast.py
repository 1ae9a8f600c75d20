"""Grey levels of the head: as its sequence shows them, alike on both sides, and findings stand out."""

from __future__ import annotations

import numpy as np
import pytest

from sample_data.generate.brain_contrast import SEQUENCES, ct_levels, draw_sequence, finding_levels, mr_levels
from sample_data.generate.brain_labels import MIRRORED, PARTS, labels_where


def level(means: np.ndarray, tissue: str) -> float:
    return float(means[labels_where(lambda part: part.tissue == tissue)[0]])


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_both_sides_are_alike_and_the_air_is_dark(sequence):
    for seed in range(20):
        means, spreads = mr_levels(sequence, np.random.default_rng(seed))
        np.testing.assert_array_equal(means, means[MIRRORED])
        np.testing.assert_array_equal(spreads, spreads[MIRRORED])
        assert means[0] == spreads[0] == 0
        assert (means[1 : len(PARTS) + 1] > 0).all()


def test_sequences_order_tissues_as_scanners_do():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        t1, t2, flair = (mr_levels(name, rng)[0] for name in ("T1", "T2", "FLAIR"))
        assert level(t1, "white matter") > level(t1, "cortex") > level(t1, "fluid")
        assert level(t2, "fluid") > level(t2, "cortex") > level(t2, "bone")
        assert level(flair, "cortex") > level(flair, "fluid")
        assert level(flair, "white matter") > level(flair, "fluid")


def test_any_contrast_turns_tissues_round_now_and_then():
    darker = []
    for seed in range(60):
        means, _ = mr_levels("any", np.random.default_rng(seed))
        darker.append(level(means, "white matter") < level(means, "cortex"))
    assert 0.3 < np.mean(darker) < 0.7
    drawn = {draw_sequence(np.random.default_rng(seed)) for seed in range(40)}
    assert drawn == set(SEQUENCES)


def test_hounsfield_units_are_those_of_tissue():
    for seed in range(10):
        means, _ = ct_levels(np.random.default_rng(seed))
        assert means[0] == -1000
        assert level(means, "bone") > 600
        assert -130 < level(means, "fat") < -30
        assert 0 < level(means, "cortex") < 80


@pytest.mark.parametrize("white", [0.08, 0.4, 0.8])
def test_findings_stand_out_from_white_matter(white):
    looks = [finding_levels(white, np.random.default_rng(seed)) for seed in range(60)]
    for core, rim in looks:
        assert max(abs(core - white), abs(rim - white)) > 0.2
        assert core > 0
    assert any(core != rim for core, rim in looks)  # a ring
    assert any(core > white for core, rim in looks)
    assert white < 0.25 or any(core == rim < white for core, rim in looks)
