"""Which words of a question mean a known thing."""

import pytest

from medsight_core.engine.lexicon import Lexicon

KNOWN = frozenset({"left kidney", "right kidney", "liver", "kidney cyst", "third ventricle", "fourth ventricle"})


@pytest.fixture(scope="module")
def lexicon():
    return Lexicon(KNOWN)


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("Rightkidney, lft LIVR", ("right", "kidney", "lft", "liver")),
        ("rihgt kidny", ("right", "kidney")),
        ("rightfully lively livers", ("rightfully", "lively", "livers")),
        ("baby’s c-spine", ("baby's", "c", "spine")),
    ],
)
def test_a_question_is_cut_into_words_as_they_were_meant(lexicon, question, words):
    assert lexicon.read(question).said == words


@pytest.mark.parametrize(
    ("question", "meant"),
    [
        ("renal cysts", ["kidney cyst"]),
        ("kidney, cyst", ["kidney"]),
        ("third and 4th ventricles", ["third ventricle", "fourth ventricle"]),
        ("urinary bladder, liver tumour, spleen", []),
        ("", []),
    ],
)
def test_known_things_are_found_and_others_are_not_taken_for_them(lexicon, question, meant):
    assert [thing.meaning.base for thing in lexicon.find(lexicon.read(question))] == meant


def test_what_a_phrase_says_of_side_and_number(lexicon):
    (kidneys, right) = lexicon.find(lexicon.read("renes or RK"))
    assert (kidneys.first, kidneys.stop) == (0, 1)
    assert kidneys.meaning.plural
    assert (right.meaning.base, right.meaning.side) == ("kidney", "right")
