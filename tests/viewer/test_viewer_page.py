"""What a person does who has no Slicer, in a real browser, before the shipped model: each step, in this order."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest
from browser import browser, chromium
from viewing import MODEL, SLICES, answered, ask, colored, colors, open_study, picture, viewing

from sample_data.fetch import fetch

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="there is no Chromium: apt-get install chromium"),
]
BOTH = ("right lung", "left lung")
LINKS = "[...document.querySelectorAll('.thread p a')].map(a => a.innerText.replace('\\u25cf', '').trim())"
SEEN = 150  # pixels of a view of some 500 x 450


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """The page's process with a server of its own, a window with the chest CT, and where its downloads go."""
    studies, downloads = tmp_path_factory.mktemp("studies"), tmp_path_factory.mktemp("downloads")
    fetch(studies, ["ct-chest"])
    with viewing("--studies", studies, "--model", MODEL) as running, browser(downloads) as chrome:
        page = chrome.page()
        open_study(page, running, "ct-chest")
        yield running, page, downloads, chrome


@pytest.fixture
def page(desk):
    return desk[1]


def places(page) -> list[str]:
    return [page.text(f".view-{view} .place") for view in SLICES]


def pixels(page, view: str, name: str) -> int:
    return colored(picture(page, view), colors(page)[name])


def test_page_says_what_it_is(page):
    assert "Research use only. Not for clinical use." in page.text("header")
    assert "Connected · medsight" in page.text(".connection")
    assert "licence: Apache-2.0" in page.text(".model")
    suggested = page.text(".suggestions")
    assert "lung" in suggested
    assert "thalam" not in suggested
    assert "cerebral" not in suggested


def test_text_streams_in_and_both_lungs_are_outlined(page):
    ask(page, "Outline the right lung and the left lung.")
    page.wait("!!document.querySelector('.cancel')")
    said = page.wait("document.querySelector('.thread i')?.innerText.replace('\\u2026', '').trim()")
    assert said
    assert not page.eval(LINKS), "nothing is outlined while the model speaks"
    text = answered(page)
    assert page.eval(LINKS) == list(BOTH)
    assert "% confidence" in text
    assert page.text(".status").startswith("Answered in ")
    assert page.eval("document.querySelector('.prompt').value") == ""
    assert set(colors(page)) == set(BOTH)
    for view in ("Red", "Green", "ThreeD"):
        for name in BOTH:
            page.wait(lambda view=view, name=name: pixels(page, view, name) > SEEN)


@pytest.mark.parametrize("name", BOTH)
def test_link_takes_all_views_to_its_segment(page, name):
    before = places(page)
    page.click(".thread p a", name)
    page.wait(lambda: name in page.text(".segments li.chosen"))
    page.wait(lambda: all(now != then for now, then in zip(places(page), before)))
    for view in (*SLICES, "ThreeD"):
        page.wait(lambda view=view: pixels(page, view, name) > SEEN)
    other = next(each for each in BOTH if each != name)
    assert pixels(page, "Yellow", other) < SEEN, "a sagittal plane through one lung shows nothing of the other"


def test_pointing_at_a_link_dims_the_rest(page):
    x, y = page.eval(
        "(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector('.thread p a').getBoundingClientRect())"
    )
    page.mouse("mouseMoved", 5, 5)
    page.wait(lambda: pixels(page, "Red", "left lung") > SEEN)
    page.mouse("mouseMoved", x, y)
    page.wait(lambda: pixels(page, "Red", "left lung") < SEEN < pixels(page, "Red", "right lung"))
    page.mouse("mouseMoved", 5, 5)
    page.wait(lambda: pixels(page, "Red", "left lung") > SEEN)


def test_segment_is_hidden_and_shown(page):
    page.click(".segments .eye")
    page.wait(lambda: pixels(page, "Red", "right lung") < SEEN < pixels(page, "Red", "left lung"))
    assert page.text(".segments li.hidden .name span span") == "right lung"
    page.click(".segments .eye")
    page.wait(lambda: pixels(page, "Red", "right lung") > SEEN)


def test_what_is_absent_is_said_and_makes_no_segment(page):
    ask(page, "Is there a spleen?")
    assert "Not seen: spleen" in answered(page)
    assert set(colors(page)) == set(BOTH)


def choose(page, selector: str, value: str) -> None:
    page.eval(
        f"(e => {{ e.value = {value!r}; e.dispatchEvent(new Event('change', {{bubbles: true}})) }})"
        f"(document.querySelector({selector!r}))"
    )


def test_several_slices_can_be_asked_about(page):
    choose(page, ".ask select", "axial")
    page.wait("document.querySelectorAll('.slices input').length === 2")
    for number, field in ((3, "first"), (1, "last")):
        page.eval(
            f"(e => {{ e.value = {number}; e.dispatchEvent(new Event('input', {{bubbles: true}})) }})"
            f"(document.querySelector('.slices input[aria-label=\"The {field} slice\"]'))"
        )
    ask(page, "Is there a liver?")
    answered(page)
    assert "axial slices 1 to 3" in page.text(".thread")
    choose(page, ".ask select", "volume")
    page.wait("!document.querySelector('.slices')")


def test_a_window_by_name_changes_all_planes(page):
    before = {view: picture(page, view) for view in SLICES}
    choose(page, ".window select", "Bone")
    for view in SLICES:
        page.wait(lambda view=view: abs(picture(page, view) - before[view]).max() > 50)
    choose(page, ".window select", "Automatic")
    page.wait(lambda: abs(picture(page, "Red") - before["Red"]).max() < 50)


def test_wheel_and_slider_move_through_the_slices(page):
    was = page.text(".view-Red .place")
    x, y = page.eval(
        "(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector('.view-Red').getBoundingClientRect())"
    )
    page.mouse("mouseMoved", x, y)
    page.mouse("mouseWheel", x, y, deltaX=0, deltaY=-120)
    page.wait(lambda: page.text(".view-Red .place") != was)
    before = picture(page, "Red")
    page.eval(
        "(e => { e.value = e.min; e.dispatchEvent(new Event('input', {bubbles: true})) })"
        "(document.querySelector('.view-Red input'))"
    )
    page.wait(lambda: abs(picture(page, "Red") - before).max() > 50)


def test_report_is_written_and_exported(desk):
    _, page, downloads, _ = desk
    page.click(".tab", "Report")
    page.click(".report button", "Collect findings")
    page.wait("document.querySelectorAll('.findings p a').length === 3")
    assert "The right lung and the left lung are outlined." in page.text(".findings")
    page.click(".findings p a", "spleen")
    page.click(".report textarea")
    page.key("a", 65, modifiers=2, commands=["selectAll"])
    page.type("No spleen in the field of view. <b>")
    page.wait(lambda: "No spleen in the field of view. <b>" in page.text(".findings"))
    files = {kind: downloads / f"MedSIGHT report.{kind}" for kind in ("html", "txt", "json")}
    for title, file in zip(("HTML", "Text", "JSON"), files.values()):
        page.click(".export button", title)
        page.wait(lambda file=file: file.exists() and file.stat().st_size > 0)
    for file in files.values():
        content = file.read_text(encoding="utf-8")
        assert "Research use only. Not for clinical use." in content
        assert "right lung" in content
        assert "No spleen in the field of view." in content
    assert files["html"].read_text(encoding="utf-8").count("data:image/png;base64,") == 2
    findings = json.loads(files["json"].read_text(encoding="utf-8"))["findings"]
    assert [len(finding["structures"]) for finding in findings] == [2, 0, 0]
    assert all(structure["measured"]["volume_ml"] > 500 for structure in findings[0]["structures"])
    page.click(".tab", "Conversation")


def test_nothing_left_this_machine_and_nothing_failed(page):
    hosts = {urlsplit(address).hostname for address in page.requests if not address.startswith(("data:", "blob:"))}
    assert hosts == {"127.0.0.1"}
    assert len(page.requests) > 5
    assert page.problems == []


def test_second_window_is_told_and_may_take_over(desk):
    running, first, _, chrome = desk
    second = chrome.page()
    second.open(running.address)
    second.wait(lambda: "The viewer is open in another window" in second.text("body"))
    second.click("a", "Use it in this window")
    second.wait(lambda: "Not seen: spleen" in second.text(".thread"))
    second.wait(lambda: picture(second, "Green").std() > 10)
    assert set(colors(second)) == set(BOTH)
    first.wait(lambda: "Connection closed" in first.text("body"))


def test_ctrl_c_ends_page_and_server(desk):
    running, *_ = desk
    assert running.stop() == 0
