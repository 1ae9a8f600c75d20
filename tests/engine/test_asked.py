"""What a question asks for, and what may be called not seen."""

import pytest

from medsight_core.engine.asked import asked_names, ground, missing_names

NAMES = ("liver", "spleen", "nodule", "kidney", "left kidney", "right lung")


def test_names_are_found_as_whole_words_longest_first():
    assert asked_names("Is there a Nodule in the right lung, or near the left kidney?", NAMES) == [
        "nodule",
        "right lung",
        "left kidney",
    ]
    assert asked_names("delivered nodules", NAMES) == ["nodule"]


def test_a_side_that_was_found_answers_for_its_kind():
    assert missing_names(["kidney", "liver"], {"left kidney"}) == ["liver"]


@pytest.mark.parametrize(
    ("text", "question", "sentence"),
    [
        ("No, the kidney is not seen.", "Is there a liver?", "No, the liver is not seen."),
        ("The left ovary is not seen.", "Outline the liver.", "The liver is not seen."),
        ("The liver is not seen.", "Outline the liver.", "The liver is not seen."),
        ("The ankle is not seen.", "Outline the zorblax.", "What you asked for is not seen."),
        ("The zorblax is not seen.", "Outline the zorblax.", "The zorblax is not seen."),
        ("The ribs are not seen.", "Outline the costae.", "The ribs are not seen."),
        (
            "Yes, the right lung [M5_0] is outlined.",
            "Is there a nodule in the right lung?",
            "Yes, the right lung [M5_0] is outlined. The nodule is not seen.",
        ),
    ],
)
def test_only_what_was_asked_for_is_called_not_seen(text, question, sentence):
    missing = missing_names(asked_names(question, NAMES), {"right lung"})
    assert ground(text, question, trusted={"ribs"}, missing=missing) == sentence
