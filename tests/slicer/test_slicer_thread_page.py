"""The answer as rich text: links where the names are, and nothing of the server's taken for HTML."""

from __future__ import annotations

from dataclasses import replace

import pytest

from medsight_core.answer import Answer, Region


@pytest.fixture
def thread_page(medsight_module):
    from MedSIGHTLib import thread_page

    return thread_page


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


def test_names_are_links_behind_a_dot_of_their_colour(thread_page, turn):
    page = thread_page.conversation_html([turn("a", ANSWER)], "#000000", "#777777")
    assert "href='region:0:2'" in page
    assert "href='region:0:1'" in page
    assert "#ff8000" in page
    assert "[1]" not in page
    assert "[2]" not in page
    assert "1,234.6 ml" in page
    assert page.index("region:0:2") < page.index("region:0:1"), "in the order of the sentence"


def test_span_that_fits_nothing_leaves_the_sentence_whole(thread_page, turn):
    for span in ((5, 500), (-3, 4), (9, 9)):
        bad = replace(ANSWER, regions=(replace(ANSWER.regions[0], span=span),))
        assert "The heart [2] and the right lung [1]." in thread_page.conversation_html(
            [turn("a", bad)], "#000", "#777"
        )


def test_nothing_of_the_server_or_the_user_is_markup(thread_page, turn):
    name = "<img src=x>"
    region = Region(1, name, "", (0, len(name)), 0.5, color=(7.0, -1.0, 0.0))
    page = thread_page.conversation_html([turn("<b>ask</b>", Answer(name, (region,), ("<i>x</i>",)))], "#000", "#777")
    assert "<img" not in page
    assert "<b>ask" not in page
    assert "<i>x" not in page
    assert "#ff0000" in page


def test_newest_turn_has_the_anchor(thread_page, turn):
    page = thread_page.conversation_html([turn("one", ANSWER), turn("two", ANSWER)], "#000", "#777")
    assert page.index("one") < page.index(f"name='{thread_page.LATEST}'") < page.index("two")
    assert "region:1:2" in page


def test_waiting_turn_shows_what_is_said_so_far_and_where_it_looks(thread_page):
    from MedSIGHTLib.waiting import Waiting

    from medsight_core.client import Text

    waiting = Waiting("<b>Where?</b>", "Red slice", 0.0)
    waiting.hear(Text("The <i>heart"), 1.0)
    page = thread_page.conversation_html([], "#000", "#777", waiting)
    assert "&lt;b&gt;Where?&lt;/b&gt; &nbsp;·&nbsp; Red slice" in page
    assert "The &lt;i&gt;heart" in page
    assert "region:" not in page, "nothing is outlined yet"


def test_kept_segments_are_named(thread_page, turn):
    page = thread_page.conversation_html([turn("a", ANSWER, kept=("heart", "<x>"))], "#000", "#777")
    assert "You changed heart, &lt;x&gt;, so that was kept" in page
