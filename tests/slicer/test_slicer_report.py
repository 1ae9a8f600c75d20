"""The answer as rich text: links where the names are, and nothing of the server's taken for HTML."""

from __future__ import annotations

from dataclasses import replace

import pytest

from medsight_core.answer import Answer, Region


@pytest.fixture
def report(medsight_module):
    from MedSIGHTLib import report

    return report


@pytest.fixture
def turn(medsight_module):
    from MedSIGHTLib.conversation import Turn

    return Turn


ANSWER = Answer(
    "The heart [2] and the right lung [1].",
    (
        Region(1, "right lung", "M0_1", (22, 32), 0.5, 1234.56, color=(1.0, 0.5, 0.0)),
        Region(2, "heart", "M0_2", (4, 9), 0.9),
    ),
)


def test_names_are_links_behind_a_dot_of_their_colour(report, turn):
    page = report.conversation_html([turn("a", ANSWER)], "#000000", "#777777")
    assert "href='region:0:2'" in page
    assert "href='region:0:1'" in page
    assert "#ff8000" in page
    assert "[1]" not in page
    assert "[2]" not in page
    assert "1,234.6 ml" in page
    assert page.index("region:0:2") < page.index("region:0:1"), "in the order of the sentence"


def test_span_that_fits_nothing_leaves_the_sentence_whole(report, turn):
    for span in ((5, 500), (-3, 4), (9, 9)):
        bad = replace(ANSWER, regions=(replace(ANSWER.regions[0], span=span),))
        assert "The heart [2] and the right lung [1]." in report.conversation_html([turn("a", bad)], "#000", "#777")


def test_nothing_of_the_server_or_the_user_is_markup(report, turn):
    name = "<img src=x>"
    region = Region(1, name, "", (0, len(name)), 0.5, color=(7.0, -1.0, 0.0))
    page = report.conversation_html([turn("<b>ask</b>", Answer(name, (region,), ("<i>x</i>",)))], "#000", "#777")
    assert "<img" not in page
    assert "<b>ask" not in page
    assert "<i>x" not in page
    assert "#ff0000" in page


@pytest.mark.parametrize(
    ("link", "parsed"),
    [("region:0:3", (0, 3)), ("region:x:3", None), ("region:1", None), ("https://a/1", None), ("", None)],
)
def test_links(report, link, parsed):
    assert report.parse_link(link) == parsed


def test_newest_turn_has_the_anchor(report, turn):
    page = report.conversation_html([turn("one", ANSWER), turn("two", ANSWER)], "#000", "#777")
    assert page.index("one") < page.index(f"name='{report.LATEST}'") < page.index("two")
    assert "region:1:2" in page
