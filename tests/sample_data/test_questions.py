"""The held-out questions are well formed, as many and as mixed as they claim to be, and a bad record is refused."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from medsight_core.errors import InputError, NotFoundError
from medsight_core.protocol import parse_history
from medsight_core.terminology import split_side
from sample_data.generate.folders import CATEGORIES
from sample_data.generate.sources import SOURCES
from sample_data.questions.read import FORMS, MODALITIES, NAMES, Question, read_questions

QUESTIONS = read_questions()
LABELLED = {
    site: {name for source in SOURCES if source.kind.tag == tag for name in source.names}
    for site, tag in (
        ("brain", "MRI_brain"),
        ("chest", "CT_chest"),
        ("abdomen", "CT_abdomen"),
        ("head", "CT_head"),
        ("fetal", "US_fetal-head"),
    )
}
GOOD = {
    "id": "a",
    "question": "left kidney?",
    "names": ["left kidney"],
    "modality": "CT",
    "site": "abdomen",
    "form": "outline",
}


def share(questions) -> float:
    return len(questions) / len(QUESTIONS)


def write(folder: Path, *records: dict) -> Path:
    path = folder / "questions.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))


def test_there_are_enough_questions_of_every_form():
    counts = Counter(question.form for question in QUESTIONS)
    assert len(QUESTIONS) >= 260
    assert set(counts) == set(FORMS)
    assert min(counts.values()) >= 12
    assert 0.22 <= counts["typo"] / len(QUESTIONS) <= 0.28
    assert 0.10 <= counts["latin"] / len(QUESTIONS) <= 0.14
    assert 0.12 <= counts["indirect"] / len(QUESTIONS) <= 0.18


def test_sites_are_spread_as_intended():
    sites = Counter(question.site for question in QUESTIONS if question.names)
    shares = {site: count / len(QUESTIONS) for site, count in sites.items()}
    intended = {"brain": 0.40, "chest": 0.20, "abdomen": 0.25, "fetal": 0.05, "head": 0.05}
    assert shares == pytest.approx(intended, abs=0.02)
    assert {question.site for question in QUESTIONS if question.form == "unknown"} == set(MODALITIES)


def test_names_are_the_canonical_ones_with_sides():
    unsided = {split_side(name)[1] for name in CATEGORIES if split_side(name)[0]}
    assert set(CATEGORIES) - unsided - {"background"} == NAMES
    assert {name for question in QUESTIONS for name in question.names} == NAMES


def test_every_name_is_asked_for_more_than_twice():
    counts = Counter(name for question in QUESTIONS for name in question.names)
    assert min(counts.values()) >= 3


def test_nearly_all_questions_ask_for_what_such_pictures_are_labelled_with():
    foreign = [question for question in QUESTIONS if not LABELLED[question.site].issuperset(question.names)]
    assert 0 < share(foreign) <= 0.03  # a few ask a chest CT for the liver, as people do


def test_no_question_is_asked_twice():
    asked = {(" ".join(re.findall(r"\w+", question.question.lower())), question.history) for question in QUESTIONS}
    assert len(asked) == len({question.id for question in QUESTIONS}) == len(QUESTIONS)


def test_a_side_that_is_said_is_the_side_that_is_meant():
    other = {"left": "right", "right": "left"}
    for question in QUESTIONS:
        said = words(question.question) & set(other)
        sides = {split_side(name)[0] for name in question.names} - {"", None}
        if question.form in ("outline", "check", "where") and len(said) == 1 and sides:
            assert sides == said, question.id


@pytest.mark.parametrize("form", ["typo", "latin", "indirect"])
def test_hard_forms_do_not_say_every_canonical_word(form):
    plain = [
        question.id
        for question in QUESTIONS
        if question.form == form and all(words(name) <= words(question.question) for name in question.names)
    ]
    asked = sum(question.form == form for question in QUESTIONS)
    assert len(plain) <= 0.12 * asked, plain  # the slip may be in another word, "outlien the left thalamus"


def test_histories_are_what_the_protocol_takes():
    told = [question for question in QUESTIONS if question.history]
    assert sum(question.form == "follow-up" for question in told) >= 25
    for question in told:
        assert parse_history([list(turn) for turn in question.history]) == question.history


def test_a_good_record_is_read(tmp_path):
    turns = [["right kidney", "The right kidney is outlined."]]
    follow_up = GOOD | {"id": "b", "question": "now the other", "form": "follow-up", "history": turns}
    unknown = GOOD | {"id": "c", "question": "Pancreas?", "names": [], "form": "unknown", "asked": "Pancreas"}
    assert read_questions(write(tmp_path, GOOD, follow_up, unknown)) == (
        Question("a", "left kidney?", ("left kidney",), "CT", "abdomen", "outline"),
        Question("b", "now the other", ("left kidney",), "CT", "abdomen", "follow-up", (tuple(turns[0]),)),
        Question("c", "Pancreas?", (), "CT", "abdomen", "unknown", asked="Pancreas"),
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"names": ["kidney"]},
            r"means 'kidney', which is no canonical name: take it from CATEGORIES, with its side",
        ),
        ({"names": ["background"]}, "means 'background', which is no canonical name"),
        ({"names": "left kidney"}, r"has 'left kidney' as its names: write a list"),
        ({"names": [["left kidney"]]}, "which is no canonical name"),
        ({"names": ["liver", "liver"]}, "the same thing twice"),
        ({"names": []}, r"is of form 'outline' and means \[\]: leave names empty for off-topic and unknown"),
        ({"form": "off-topic"}, r"is of form 'off-topic' and means \['left kidney'\]"),
        ({"form": "rude"}, r"has the form 'rude': use one of outline, check, where"),
        ({"site": "knee"}, r"has the site 'knee': use one of brain, chest"),
        ({"modality": "MR"}, r"shows the abdomen by 'MR': write 'CT'\."),
        ({"question": " "}, "has ' ' as its question: write it as text"),
        ({"form": "follow-up"}, "is a follow-up to nothing: give it a history"),
        ({"history": [["liver"]]}, r"has the history .*: write a list of \[question, answer\] pairs"),
        ({"form": "unknown", "names": []}, "write that word under 'asked'"),
        ({"form": "unknown", "names": [], "asked": "spleen"}, "use the words of its question, 'left kidney\\?'"),
        ({"asked": "kidney"}, "keep it for unknown and several"),
        ({"answer": "yes"}, "has an unknown key 'answer'"),
    ],
)
def test_a_bad_record_is_refused_with_its_value_and_a_remedy(tmp_path, change, message):
    with pytest.raises(InputError, match=r"^Record 1 of '.*questions\.jsonl' \(b\) .*" + message):
        read_questions(write(tmp_path, GOOD, GOOD | {"id": "b", "question": "left kidney?"} | change))


def test_a_record_without_a_key_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"Record 0 of .* lacks id, site: give it id, question, names"):
        read_questions(write(tmp_path, {key: value for key, value in GOOD.items() if key not in ("id", "site")}))


@pytest.mark.parametrize(
    ("change", "what"), [({"question": "spleen"}, "id"), ({"id": "b", "question": "Left  kidney"}, "words")]
)
def test_a_repeated_record_is_refused(tmp_path, change, what):
    with pytest.raises(InputError, match=rf"Record 1 of '.*' repeats the {what} of 'a': change or remove it\."):
        read_questions(write(tmp_path, GOOD, GOOD | change))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(NotFoundError, match=r"There is no file '.*none\.jsonl'"):
        read_questions(tmp_path / "none.jsonl")
