"""Reviews in the Reviewer module's words, and what they may not say."""

import pytest

from medsight_core.data.review import Review
from medsight_core.errors import InputError


def test_a_review_comes_and_goes_in_the_reviewer_modules_words():
    meta = {"status": "approved", "level": "hard", "comment": "Good.", "approvedBy": "eve", "editTime": 5}
    review = Review.of(meta, now=7)
    assert review == Review("approved", "hard", "Good.", "eve", 7)
    assert review.to_meta() == {**meta, "editTime": 7}


def test_what_is_left_out_is_empty():
    assert Review.of({}, 7) == Review("", "", "", "", 7)
    assert Review.of({"status": None, "comment": None}, 7) == Review("", "", "", "", 7)
    assert Review().status == "submitted"


@pytest.mark.parametrize(
    ("meta", "text"),
    [
        (
            {"status": "perfect"},
            "The review's status is none that is known: use one of draft, submitted, approved, flagged.",
        ),
        ({"status": ["approved"]}, "The review's status is none that is known"),
        ({"level": "impossible"}, "The review's level is none that is known: use one of easy, medium, hard."),
        ({"comment": "x" * 4001}, "The review's comment must be text of at most 4000 characters: shorten it."),
        ({"approvedBy": 5}, "The review's approvedBy must be text of at most 128 characters: shorten it."),
        ("approved", 'The segmentationMeta is not a JSON object: send one such as {"status": "approved"}.'),
    ],
)
def test_a_review_that_is_none_is_one_sentence(meta, text):
    with pytest.raises(InputError) as caught:
        Review.of(meta, 7)
    assert text in str(caught.value)
