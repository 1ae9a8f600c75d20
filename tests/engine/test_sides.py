"""What the words around a thing say of its side."""

import re

import pytest

from medsight_core.engine.sides import Side, side_after, side_before
from medsight_core.engine.words import Words


def words_of(text: str) -> Words:
    found = list(re.finditer(r"[\w']+", text))
    return Words(text, tuple(match[0].lower() for match in found), tuple(match.span() for match in found))


@pytest.mark.parametrize(
    ("text", "said", "taken"),
    [
        ("the left @", "left", "left @"),
        ("rt. @", "right", "rt. @"),
        ("left hand side @", "left", "left hand side @"),
        ("the left and the right @", "and", "left and the right @"),
        ("L/R @", "and", "L/R @"),
        ("is it left or right @", "right", "right @"),
        ("neither of his @", "nor", "neither of his @"),
        ("the other @", "open", "@"),
        ("left of the @", "", "@"),
        ("on the left. @", "", "@"),
        ("left, @", "", "@"),
        ("my @", "", "@"),
    ],
)
def test_words_before(text, said, taken):
    words = words_of(text.replace("@", "kidney"))
    side = side_before(words, len(words) - 1, 0, plural=False)
    assert (side.said, words.text[side.place :]) == (said, taken.replace("@", "kidney"))


def test_an_adjective_between_stays():
    words = words_of("the left big kidney")
    assert side_before(words, 3, 0, plural=False) == Side("left", 4, "big ")


@pytest.mark.parametrize(
    ("text", "said", "taken"),
    [
        ("kidney on the left", "left", "kidney on the left"),
        ("kidney of the right side, please", "right", "kidney of the right side"),
        ("kidney (R) please", "right", "kidney (R)"),
        ("kidney, left", "left", "kidney, left"),
        ("kidney, left upper pole", "", "kidney"),
        ("kidney L is", "left", "kidney L"),
        ("kidney l shaped", "", "kidney"),
        ("kidney left & right", "and", "kidney left & right"),
        ("kidney bilaterally", "and", "kidney bilaterally"),
        ("kidney, both.", "and", "kidney, both"),
        ("kidney both wrists", "", "kidney"),
        ("kidney left or right", "open", "kidney"),
        ("kidney on the right of the picture", "open", "kidney"),
        ("kidney to the left", "open", "kidney"),
        ("kidney right away", "", "kidney"),
        ("kidney left lung", "", "kidney"),
        ("that is the kidney, right?", "", "kidney"),
        ("kidney. Left", "", "kidney"),
        ("kidney", "", "kidney"),
    ],
)
def test_words_behind(text, said, taken):
    words = words_of(text)
    stop = words.said.index("kidney") + 1
    side = side_after(words, stop, lambda at: words[at] == "lung")
    assert (side.said, text[words.spans[stop - 1][0] : side.place]) == (said, taken)
