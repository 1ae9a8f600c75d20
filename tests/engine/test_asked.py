"""What a question asks for, and what may be called not seen."""

import pytest

from medsight_core import terminology
from medsight_core.engine.asked import (
    asked_names,
    ground,
    is_closed,
    is_request,
    meant_names,
    missing_names,
    names_all,
    overlooked,
    sideless,
    without_unasked,
)
from medsight_core.engine.wording import find_codes, find_mentions

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


def test_a_name_is_asked_for_without_its_side_where_only_that_is_known():
    assert sideless(["left lung", "right lung", "liver", "left eye"], ["lung", "liver"]) == ["lung"]
    assert sideless(["left lung"], ["left lung", "lung"]) == []


def test_what_is_seen_and_asked_for_and_not_spoken_of_is_overlooked():
    asked = ["liver", "spleen", "kidney", "nodule"]
    assert overlooked(asked, {"liver", "left kidney"}, {"liver", "spleen", "kidney"}) == ["spleen"]


@pytest.mark.parametrize(
    ("question", "reply", "closed"),
    [
        ("Liver?", "Yes, the liver [M0_16] is outlined.", True),
        ("Liver?", "no.", True),
        ("Liver?", "The liver is not seen.", False),
        ("nodule?", "Nodule", False),
        ("Is there a liver?", "The liver is not seen.", True),
        ("can you see the liver", "", True),
        ("Is the liver enlarged?", "The liver [M0_16] is outlined.", False),
    ],
)
def test_what_is_answered_by_yes_or_no_is_known(question, reply, closed):
    assert is_closed(question, reply) == closed


@pytest.mark.parametrize(
    ("question", "spoken", "meant"),
    [
        ("Is there a nodule in the right lung?", ["nodule"], ["nodule"]),
        ("Is there a nodule in the right lung?", [], ["nodule", "right lung"]),
        ("Is there a nodule in the right lung?", ["nodule", "right lung"], ["nodule", "right lung"]),
        ("Outline the organ below the left lung.", ["spleen"], []),
        ("What lies between the left kidney and right kidney?", ["aorta"], []),
        ("Draw the outline of the liver.", ["liver"], ["liver"]),
        ("Draw a line around the liver and the spleen.", ["liver"], ["liver", "spleen"]),
        ("I have cramps under my right ribs after meals: the pouch?", ["gallbladder"], []),
        ("Where is the fluid around the left lung?", ["pleural effusion"], []),
        ("Outline the liver, in green.", ["ribs"], ["liver"]),
    ],
)
def test_names_that_only_say_where_are_not_asked_for(question, spoken, meant):
    assert meant_names(question, asked_names(question, terminology.NAMES), spoken) == meant


@pytest.mark.parametrize(
    ("text", "question", "sentence"),
    [
        ("The panceras is not seen.", "Outline the pancreas.", "The pancreas is not seen."),
        ("The inferior vena cava is not seen.", "mark the inferior vena  cva", "The inferior vena  cva is not seen."),
        ("No, the kidney is not seen.", "Is there a liver?", "No, the liver is not seen."),
        ("The left ovary is not seen.", "Outline the liver.", "The liver is not seen."),
        ("The liver is not seen.", "Outline the liver.", "The liver is not seen."),
        ("The ankle is not seen.", "Outline the zorblax.", "The zorblax is not seen."),
        ("Yes, the liver is not seen.", "Liver?", "No, the liver is not seen."),
        ("The spleen [M0_7] is outlined. The gluteus is not seen.", "What swells?", "The spleen [M0_7] is outlined."),
        ("The ankle is not seen.", "Show it to me.", "What you asked for is not seen."),
        ("The frontal sinus is not seen.", "Frontal sinuses?", "The frontal sinuses are not seen."),
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


@pytest.mark.parametrize(
    ("asked", "left", "kept"),
    [
        (["liver"], "The liver is not seen.", []),
        (["lung"], "Yes, the right lung [M5_0] is outlined. The liver is not seen.", [0]),
        (
            ["ribs", "lung"],
            "Yes, the right lung [M5_0] and the ribs [M5_2] are outlined. The liver is not seen.",
            [0, 1],
        ),
        (["nodule", "spleen"], "The liver is not seen. The spleen [M0_7] is outlined.", [2]),
        ([], None, [0, 1, 2]),
    ],
)
def test_sentences_that_outline_only_other_things_go(asked, left, kept):
    reply = "Yes, the right lung [M5_0] and the ribs [M5_2] are outlined. The liver is not seen. The spleen [M0_7] is outlined."  # noqa: E501
    mentions = find_mentions(reply, find_codes(reply), {"M5_0": "right lung", "M5_2": "ribs", "M0_7": "spleen"})
    assert without_unasked(reply, mentions, asked) == (left or reply, kept)


@pytest.mark.parametrize(
    ("question", "names", "all_named", "certain"),
    [
        ("Outline the left kidney and the liver, please", ["left kidney", "liver"], True, True),
        ("The fetal head is to be delineated for biometry.", ["fetal head"], False, True),
        ("left kidney on the right?", ["left kidney"], True, True),
        ("recipe for liver and onions", ["liver"], False, False),
        ("How do left kidney and right kidney regulate pressure?", ["left kidney", "right kidney"], False, False),
        ("what do you see", ["liver"], False, False),
    ],
)
def test_a_question_that_only_names_things_is_about_them(question, names, all_named, certain):
    assert names_all(question, names) is all_named
    assert is_request(question, names) is certain


def test_where_all_is_named_nothing_else_is_called_not_seen():
    reply = "The nodule is not seen. The ribs [M0_2] are outlined."
    assert ground(reply, "ribs, please", {"nodule", "ribs"}, [], ["ribs"]) == "The ribs [M0_2] are outlined."
    assert ground(reply, "ribs and spots", {"nodule", "ribs"}, []) == reply
    kind = "The kidney cyst is not seen."
    assert ground(kind, "any cyst", {"kidney cyst"}, [], ["cyst"]) == kind  # a closer name of the same
