"""Both mask scorers against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from medsight_core.evaluation.mask_scores import dice, official_dice, surface_dice


def rectangle(top, bottom, left, right, shape=(8, 8)):
    mask = np.zeros(shape, bool)
    mask[top:bottom, left:right] = True
    return mask


def logits(*masks):
    """Maps that are already as large as the reference, so that nothing is interpolated."""
    return np.where(np.stack(masks), 3.0, -3.0).astype(np.float16)


def test_two_halves_of_a_target_are_worth_two_thirds_to_the_authors():
    # Reference 4 x 4 = 16. Each half: 8 pixels, all inside: 2 * 8 / (8 + 16) = 2/3; the mean of both is 2/3.
    reference = rectangle(2, 6, 2, 6)
    upper, lower = rectangle(2, 4, 2, 6), rectangle(4, 6, 2, 6)
    assert official_dice(logits(upper, lower), reference) == pytest.approx(2 / 3)
    assert dice(upper | lower, reference) == 1.0


def test_a_second_mask_elsewhere_halves_the_official_dice():
    reference = rectangle(0, 4, 0, 4)
    assert official_dice(logits(reference, rectangle(5, 8, 5, 8)), reference) == pytest.approx(0.5)


def test_empty_masks():
    nothing, something = np.zeros((8, 8), bool), rectangle(0, 4, 0, 4)
    assert official_dice(logits(nothing), nothing) == 1.0  # epsilon over epsilon
    assert official_dice(logits(something), nothing) == pytest.approx(0, abs=1e-8)
    assert dice(nothing, something) == 0.0
    with pytest.raises(ValueError, match="two empty masks"):
        dice(nothing, nothing)


def test_official_maps_are_stretched_over_the_whole_picture():
    # A map of two columns -1, 1 on four: centres at 0.25, 0.75, 1.25, 1.75 of two cells give -1, -0.5, 0.5, 1, so the
    # right half is inside: 2 columns of 2 rows. Reference: columns 2 and 3, and 1: 6 pixels. 2 * 4 / (4 + 6) = 0.8.
    maps = np.array([[[-1.0, 1.0], [-1.0, 1.0]]], np.float16)
    assert official_dice(maps, rectangle(0, 2, 1, 4, (2, 4))) == pytest.approx(0.8)


def test_exactly_zero_is_outside():
    assert official_dice(np.zeros((1, 8, 8), np.float16), rectangle(0, 4, 0, 4)) == pytest.approx(0, abs=1e-8)


# Two squares of 4 x 4 pixels, one pixel apart along a row; each outline has 12 pixels. In common: three pixels of each
# upper and each lower side, 6 of 12.
SQUARE, SHIFTED = rectangle(2, 6, 2, 6), rectangle(2, 6, 3, 7)


@pytest.mark.parametrize(
    ("tolerance", "spacing", "expected"),
    [
        (0, (1, 1), 12 / 24),
        (1, (1, 1), 1.0),  # every other pixel has the other outline beside it
        # Columns 2 apart: of the 6 others, the 2 inner ones on the side inside the other square have its upper or lower
        # side 1 above or below them; the 4 on the far side have nothing within 1. 8 of 12 each.
        (1, (1, 2), 16 / 24),
        (2, (1, 2), 1.0),
    ],
)
def test_surface_dice(tolerance, spacing, expected):
    assert surface_dice(SQUARE, SHIFTED, tolerance, spacing) == pytest.approx(expected)
    assert surface_dice(SHIFTED, SQUARE, tolerance, spacing) == pytest.approx(expected)


def test_surface_dice_of_an_empty_mask_and_at_the_edge_of_the_picture():
    assert surface_dice(np.zeros((8, 8), bool), SQUARE, 2) == 0.0
    whole = np.ones((4, 4), bool)
    # The picture's edge ends a mask: the outline of the whole is 12 pixels, of its left column 4, all in common.
    assert surface_dice(whole, rectangle(0, 4, 0, 1, (4, 4)), 0) == pytest.approx((4 + 4) / (12 + 4))
