"""Both text scorers against numbers worked out by hand."""

from __future__ import annotations

import pytest

from medsight_core.evaluation import text_scores as scores


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("There is No mass in the lung.", "there is no mass in lung"),
        ("Two lesions and NONE", "2 lesions and 0"),
        ("chest X-ray", "chest x ray"),  # no mark beside a blank: it becomes one
        ("X-ray - chest", "xray chest"),  # one mark beside a blank: all of its kind go
        ("1,000 mg/dl", "1000 mgdl"),  # a number with a comma: all marks go
        ("3.5 cm. Big.", "3.5 cm big"),
        ("dont know; isnt it?", "don't know isn't it"),
        ("[M0_16]", "m0 16"),
        ("a." * 33, "a" * 33 + "."),  # full stops beyond the 32nd stay
    ],
)
def test_texts_as_the_authors_compare_them(text, expected):
    assert scores.normalise(text) == expected


@pytest.mark.parametrize(
    ("reply", "answer", "official", "ours"),
    [
        ("No.", "no", 1, 1),
        ("Yes, there is.", "No", 0, 0),
        ("Abnormal.", "No", 1, 0),  # "no" inside a word
        ("The diagnosis is clear.", "no", 1, 0),
        ("It cannot be seen: yes", "no", 1, 0),  # "cannot"; the reply's word is yes
        ("Yes: a mass", "yes", 1, 1),
        ("Eyes are normal", "yes", 1, 0),
        ("There is a mass.", "yes", 0, 0),
        ("The left lung", "left", 0, 1),  # the authors count replies without yes or no as wrong
        ("It is not on the left side", "left side", 1, 1),
        ("cleft", "left", 0, 0),
        ("", "no", 0, 0),
    ],
)
def test_closed_questions(reply, answer, official, ours):
    assert scores.official_closed(reply, answer) == official
    assert scores.closed(reply, answer) == ours


def test_repeated_words_raise_the_official_recall_and_not_ours():
    # Reply: lung 3 times, right once. Reference: left, lung. tp = 3 (every "lung"), fp = 1 (right), fn = 1 (left):
    # recall 3/4, precision 3/4, F1 3/4; exact: 1 reference word found of 4 reply words.
    # As sets: 1 of 2 reference words, 1 of 2 reply words; F1 = 2 * 1 / (2 + 2).
    reply, answer = "Lung, lung, lung: right", "the left lung"
    assert scores.official_overlap("lung lung lung right", answer) == {
        "recall": 0.75, "precision": 0.75, "f1": 0.75, "exact": 0.25,
    }  # fmt: skip
    assert scores.overlap(reply, answer) == {"recall": 0.5, "precision": 0.5, "f1": 0.5}


def test_a_verbose_reply():
    # Reply: 10 words, "effusion" twice, "pleural" once. Reference: pleural effusion. tp 3, fp 7, fn 0.
    reply = "pleural effusion maybe effusion or mass or nodule or fracture"
    found = scores.official_overlap(reply, "pleural effusion")
    assert found["recall"] == 1.0
    assert found["precision"] == pytest.approx(0.3)
    assert found["exact"] == pytest.approx(0.2)  # 2 of 10
    # As sets: pleural, effusion, maybe, or, mass, nodule, fracture: 2 of 7.
    assert scores.overlap(reply, "pleural effusion")["precision"] == pytest.approx(2 / 7)


@pytest.mark.parametrize("reply", ["", "kidney", "the"])
def test_no_common_word_is_zero(reply):
    assert set(scores.official_overlap(reply, "left lung").values()) == {0.0}
    assert set(scores.overlap(reply, "left lung").values()) == {0.0}


def test_codes_are_words_to_the_authors_and_not_to_us():
    # Official words of the reply: mass, m0, 25; of the reference: mass.
    assert scores.official_overlap("Mass [M0_25]", "mass")["precision"] == pytest.approx(1 / 3)
    assert scores.overlap("Mass [M0_25]", "mass")["precision"] == 1.0


OPTIONS = ("CT", "X-ray", "MRI", "Ultrasound")


@pytest.mark.parametrize(
    ("reply", "answer", "official", "ours"),
    [
        ("X-ray", "X-ray", 1, 1),
        ("B. X-ray", "X-ray", 1, 1),
        ("(B)", "X-ray", 0, 1),  # a letter looks like no option
        # 2 * matching characters / all characters of both, normalised: "mri or x ray" (12) has 5 in common with
        # "x ray" (5), 10/17 = 0.59; 3 with "mri", 6/15 = 0.40.
        ("MRI or X-ray", "X-ray", 1, 0),
        ("ultra", "Ultrasound", 1, 0),  # 10/15; no option is named
        ("an MRI scan", "MRI", 1, 1),
        # "mass is seen on mri" (19): 8/29 = 0.276 with "ultrasound", 6/22 = 0.273 with "mri".
        ("A mass is seen on the MRI", "MRI", 0, 1),  # the article is no letter
        ("none of them", "CT", 1, 0),  # 2/11 with "ct" is more than with any other
    ],
)
def test_multiple_choice(reply, answer, official, ours):
    assert scores.choice(reply, answer, OPTIONS) == ours
    assert scores.official_choice(reply, answer, OPTIONS) == official


def test_the_longest_named_option_that_holds_the_others_is_chosen():
    assert scores.choice("the left lung", "left lung", ("lung", "left lung")) == 1
    assert scores.choice("the left lung", "lung", ("lung", "left lung")) == 0
    assert scores.choice("lung and liver", "lung", ("lung", "liver")) == 0
