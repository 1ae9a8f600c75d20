"""From replies with codes to sentences for people."""

import re

import pytest

from medsight_core.answer import CodeSpan
from medsight_core.engine.wording import absent_names, compose, find_mentions, is_plural, readable, with_codes

KNOWN = {"M5_0": "right lung", "M5_1": "left lung", "M5_2": "ribs"}


def codes(text):
    return [CodeSpan(m.group()[1:-1], m.start(), m.end()) for m in re.finditer(r"\[M\d+_\d+\]", text)]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("The right lung [M5_0] and the ribs [M5_2] are outlined.", ["right lung", "ribs"]),
        ("The liver is segmented as [M0_16].", ["liver"]),
        ("Liver segmented as [M0_16].", ["liver"]),
        ("Liver: [M0_16]; spleen: [M0_7].", ["liver", "spleen"]),
        ("Left kidney [M0_26], right kidney [M0_19].", ["left kidney", "right kidney"]),
        ("Findings consistent with pneumonia, segmented as [M0_3].", ["pneumonia"]),
        ("Yes, there is a brain tumour [M10_3].", ["brain tumour"]),
        ("[M0_16]", ["M0_16"]),
        ("Something else entirely [M5_1].", ["left lung"]),  # the code's known meaning wins over loose words
    ],
)
def test_names_are_the_words_that_a_code_stands_for(text, names):
    assert [mention.name for mention in find_mentions(text, codes(text), KNOWN)] == names


@pytest.mark.parametrize(
    ("text", "found", "sentence", "absent"),
    [
        (
            "The right lung [M5_0] and the left lung [M5_1] are outlined.",
            ["right lung", "left lung"],
            "The right lung [1] and the left lung [2] are outlined.",
            (),
        ),
        (
            "The right lung [M5_0], the ribs [M5_2] and the left lung [M5_1] are outlined.",
            ["right lung"],
            "The right lung [1] is outlined. The ribs and the left lung are not seen.",
            ("ribs", "left lung"),
        ),
        ("Yes, the right lung [M5_0] is outlined.", [], "No, the right lung is not seen.", ("right lung",)),
        (
            "The right lung [M5_0] is outlined. The liver is not seen.",
            ["right lung"],
            "The right lung [1] is outlined. The liver is not seen.",
            ("liver",),
        ),
        ("No, the liver is not seen.", [], "No, the liver is not seen.", ("liver",)),
        (
            "Yes, the ribs [M5_2] are outlined. The ribs and the liver are not seen.",
            [],
            "No, the ribs are not seen. The liver is not seen.",
            ("ribs", "liver"),
        ),
        (
            "The ribs [M5_2], the ribs [M5_2] and the ribs [M5_2] are outlined.",
            ["ribs"],
            "The ribs [1] are outlined.",
            (),
        ),
        ("The liver is segmented as [M0_16].", ["liver"], "The liver is segmented as [1].", ()),
        (
            "This is an axial chest CT. The ribs [M5_2] are outlined.",
            [],
            "This is an axial chest CT. The ribs are not seen.",
            ("ribs",),
        ),
        # The code decides what is outlined: the sentence must not name the other side.
        ("The right lung [M5_1] is outlined.", ["left lung"], "The left lung [1] is outlined.", ()),
        ("Outlined: [M5_0][M5_1].", ["right lung", "left lung"], "right lung: [1]left lung [2].", ()),
        (
            "The liver is segmented as [M0_16] and the spleen is segmented as [M0_7].",
            ["liver"],
            "The liver [1] is outlined. The spleen is not seen.",
            ("spleen",),
        ),
        ("The right lung [M5_0] is not seen.", ["right lung"], "The right lung [1] is outlined.", ()),
        (
            "The right lung [M5_0] lies beside the ribs [M5_2].",
            ["ribs"],
            "The right lung (not seen) lies beside the ribs [1]. The right lung is not seen.",
            ("right lung",),
        ),
    ],
)
def test_the_sentence_agrees_with_what_was_found(text, found, sentence, absent):
    mentions = find_mentions(text, codes(text), KNOWN)
    wording = compose(text, mentions, {name: index + 1 for index, name in enumerate(found)})
    assert wording.text == sentence
    assert wording.absent == absent
    for name, (start, end) in wording.spans.items():
        assert wording.text[start:end].lower() == name


def test_things_found_on_other_planes_are_added():
    text = "The right lung [M5_0] is outlined."
    wording = compose(text, find_mentions(text, codes(text), KNOWN), {"right lung": 1, "ribs": 2}, extra=["ribs"])
    assert wording.text == "The right lung [1] is outlined. The ribs [2] are outlined."
    assert wording.text[slice(*wording.spans["ribs"])] == "ribs"


def test_what_another_plane_showed_is_not_called_absent():
    text = "The right lung [M5_0] is outlined. The liver and the spleen are not seen."
    numbers = {"right lung": 1, "liver": 2}
    wording = compose(text, find_mentions(text, codes(text), KNOWN), numbers, extra=["liver"])
    assert wording.text == "The right lung [1] is outlined. The spleen is not seen. The liver [2] is outlined."
    assert wording.absent == ("spleen",)


@pytest.mark.parametrize(
    ("text", "numbers", "extra", "said"),
    [
        ("", {"ribs": 1}, ["ribs"], "Yes, the ribs [1] are outlined."),
        ("The ribs [M5_2] are outlined.", {"ribs": 1}, [], "Yes, the ribs [1] are outlined."),
        ("The ribs [M5_2] are outlined.", {}, [], "No, the ribs are not seen."),
        ("The ribs are not seen.", {}, [], "No, the ribs are not seen."),
        ("Yes, the ribs [M5_2] are outlined.", {"ribs": 1}, [], "Yes, the ribs [1] are outlined."),
        ("Fine.", {}, [], "Fine."),
    ],
)
def test_a_closed_question_is_answered_by_yes_or_no(text, numbers, extra, said):
    wording = compose(text, find_mentions(text, codes(text), KNOWN), numbers, extra, closed=True)
    assert wording.text == said
    for name, (start, end) in wording.spans.items():
        assert wording.text[start:end] == name


def test_a_name_said_twice_keeps_its_number_and_first_place():
    text = "The ribs [M5_2] are outlined. The ribs [M5_2] are intact."
    wording = compose(text, find_mentions(text, codes(text), KNOWN), {"ribs": 1})
    assert wording.text == "The ribs [1] are outlined. The ribs [1] are intact."
    assert wording.spans == {"ribs": (4, 8)}


def test_lists_of_absent_things_are_read():
    assert absent_names("The liver, the spleen and the left kidney are not seen.") == ["liver", "spleen", "left kidney"]
    assert absent_names("The liver and spleen are not seen.") == ["liver", "spleen"]
    assert absent_names("The liver [1] is outlined.") == []


@pytest.mark.parametrize("name", ["ribs", "lymph nodes", "lungs", "kidneys", "metastases"])
def test_plural_names(name):
    assert is_plural(name)


@pytest.mark.parametrize("name", ["thalamus", "pelvis", "pancreas", "mass", "nucleus accumbens", "liver"])
def test_singular_names(name):
    assert not is_plural(name)


@pytest.mark.parametrize(
    ("answer", "codes", "written"),
    [
        ("The ribs [1] and the lung [12] are outlined.", {}, "The ribs and the lung are outlined."),
        (
            "Yes, the left kidney [1] and the cyst are outlined. The kidney cyst is not seen.",
            {"left kidney": "M0_3", "kidney": "M0_9", "kidney cyst": "M0_4"},
            "Yes, the left kidney [M0_3] and the cyst are outlined. The kidney cyst is not seen.",
        ),
    ],
)
def test_earlier_answers_are_told_as_the_model_wrote_them(answer, codes, written):
    assert with_codes(answer, codes) == written


@pytest.mark.parametrize(
    ("reply", "shown"),
    [
        ("The right lung [M5_0] and the ribs [M5_2] are outlined.", "The right lung and the ribs are outlined."),
        ("The Right Lung[M5_0].", "The Right Lung."),
        ("[M5_0]", "right lung"),
        ("It is here: [M5_0] [M5_1].", "It is here: right lung left lung."),
        ("A cyst [M0_3] is outlined.", "A cyst is outlined."),  # of a code without a known name
        ("See [1] and [M5_0x].", "See [1] and [M5_0x]."),  # no codes
        ("Zu groß [M5_2]", "Zu groß ribs"),
    ],
)
def test_what_can_be_read_while_a_reply_is_written(reply, shown):
    seen = [readable(reply[:end], KNOWN) for end in range(len(reply) + 1)]
    assert seen[-1] == shown
    for earlier, later in zip(seen, seen[1:]):
        assert later.startswith(earlier), "what was shown stays"
    assert not any("[M5_0]" in text or text.endswith(("[", "[M", " ")) for text in seen)


def test_half_a_letter_is_not_shown():
    assert readable("gro\ufffd", KNOWN) == "gro"
    assert readable("the liver [M0_\ufffd", KNOWN) == "the liver"
