"""Cases and replies through both scorers, with numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from medsight_core.evaluation import scoring
from medsight_core.evaluation.cases import Case
from medsight_core.evaluation.predictions import Prediction
from medsight_core.evaluation.scoring import MaskRules
from medsight_core.imaging.visible_box import VisibleBox

RULES = MaskRules(mask_threshold=0.5, presence_threshold=0.5, tolerance=0)


def case(kind, answer="", choices=()):
    return Case("one", (), "?", answer, kind, choices)


def maps(*values):
    """Maps of 2 x 2 cells, each filled with one logit."""
    return np.stack([np.full((2, 2), value, np.float16) for value in values])


def test_each_kind_of_question_has_its_metrics():
    assert scoring.official_text(case("closed", "no"), "Abnormal") == {"official.closed": 1.0, "official.all": 1.0}
    assert scoring.our_text(case("closed", "no"), "Abnormal") == {"ours.closed": 0.0, "ours.all": 0.0}
    # tp 2 (lung twice), fp 0, fn 1: recall and "all" 2/3, precision 1, F1 0.8; exact 1 of 2 words.
    assert scoring.official_text(case("open", "left lung"), "lung lung") == pytest.approx(
        {"official.recall": 2 / 3, "official.precision": 1, "official.f1": 0.8, "official.exact": 0.5,
         "official.all": 2 / 3}
    )  # fmt: skip
    assert scoring.our_text(case("open", "left lung"), "lung lung")["ours.all"] == 0.5
    assert scoring.official_text(case("choice", "CT", ("CT", "MRI")), "MRI") == {"official.choice": 0.0}
    assert scoring.our_text(case("choice", "CT", ("CT", "MRI")), "A") == {"ours.choice": 1.0}
    assert scoring.official_text(case("outline"), "x") == scoring.our_text(case("outline"), "x") == {}


# A picture of 2 x 4 pixels of which the model sees the middle 2 x 2.
BOX = VisibleBox.of(2, 4, 2)
MIDDLE = np.array([[[False, True, True, False]] * 2])


def test_a_map_full_of_the_thing_is_the_visible_part_to_us_and_the_whole_picture_to_the_authors():
    found = Prediction("one", "k", "", ("M0_1",), (1.0,), (2, 4), maps(5))
    # 8 pixels of which 4 are right: 2 * 4 / (8 + 4) = 2/3.
    assert scoring.official_masks(found, MIDDLE) == {"official.dice": pytest.approx(2 / 3)}
    assert scoring.our_masks(found, MIDDLE, BOX, RULES) == {"ours.dice": 1.0, "ours.nsd": 1.0}


def test_the_authors_take_the_last_target_and_we_the_union():
    left, right = MIDDLE[0].copy(), MIDDLE[0].copy()
    left[:, 2], right[:, 1] = False, False
    found = Prediction("one", "k", "", ("M0_1",), (1.0,), (2, 4), maps(5))
    # The last target alone: 2 * 2 / (8 + 2) = 0.4.
    assert scoring.official_masks(found, np.stack([left, right])) == {"official.dice": pytest.approx(0.4)}
    assert scoring.our_masks(found, np.stack([left, right]), BOX, RULES)["ours.dice"] == 1.0


def test_a_reply_without_codes_outlines_nothing_to_us_and_its_dummy_to_the_authors():
    found = Prediction("one", "k", "", shape=(2, 4), dummy=maps(5))
    assert scoring.official_masks(found, MIDDLE) == {"official.dice": pytest.approx(2 / 3)}
    assert scoring.our_masks(found, MIDDLE, BOX, RULES) == {"ours.dice": 0.0, "ours.nsd": 0.0}


def test_what_is_not_seen_is_not_outlined():
    found = Prediction("one", "k", "", ("M0_1", "M0_2"), (0.49, 0.5), (2, 4), maps(5, -5))
    assert not scoring.outlined(found, BOX, RULES).any()
    found = Prediction("one", "k", "", ("M0_1", "M0_2"), (0.51, 0.5), (2, 4), maps(5, -5))
    assert scoring.outlined(found, BOX, RULES).sum() == 4


def test_the_models_own_mask_threshold_counts():
    found = Prediction("one", "k", "", ("M0_1",), (1.0,), (2, 4), maps(1))  # probability 0.73
    assert scoring.outlined(found, BOX, MaskRules(0.7, 0.5, 0)).sum() == 4
    assert scoring.outlined(found, BOX, MaskRules(0.75, 0.5, 0)).sum() == 0


@pytest.mark.parametrize(("logit", "rate"), [(5, 1.0), (-5, 0.0)])
def test_empty_references_count_apart(logit, rate):
    found = Prediction("one", "k", "", ("M0_1",), (1.0,), (2, 4), maps(logit))
    nothing = np.zeros((1, 2, 4), bool)
    assert scoring.our_masks(found, nothing, BOX, RULES) == {"ours.false_positive": rate}
    # The authors' Dice is then 1 for nothing (epsilon over epsilon) and 0 for anything.
    assert scoring.official_masks(found, nothing)["official.dice"] == pytest.approx(1 - rate, abs=1e-8)
