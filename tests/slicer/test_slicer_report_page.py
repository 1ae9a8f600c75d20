"""A report as it is read: text and web page say the same, and nothing that somebody has written is taken for HTML."""

from __future__ import annotations

import base64
import html
import re
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest

from medsight_core.answer import NOTICE, ModelInfo


@pytest.fixture
def lib(medsight_module):
    from MedSIGHTLib import findings, measuring, report_page

    lung = findings.Structure(
        "lung_1", "right lung", (1.0, 0.5, 0.0), False, measuring.Measurements(2310.44, 265.31, -812.0), "HU", 0.974
    )
    heart = findings.Structure(
        "heart_1", "heart", (9.0, -1.0, 0.0), True, measuring.Measurements(0.0421, 0.5, None), "", 0.9
    )
    gone = findings.Structure("spleen_1", "spleen", (0.0, 0.0, 1.0))
    model = ModelInfo("tiny", "7", "CC0")
    outlined = findings.Finding("Outlined.", "Where?", "Red slice", model, (lung, heart, gone))
    report = findings.Report((outlined, findings.Finding("A note,\nof two lines."), findings.Finding("")))
    return SimpleNamespace(page=report_page, report=report, Finding=findings.Finding, Report=findings.Report)


class Page(HTMLParser):
    """Tags, their attributes and the text of a page."""

    def __init__(self, content: str):
        super().__init__()
        self.tags, self.attributes, self.text, self.open = [], [], "", []
        self.feed(content)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attributes]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text += data


def test_text(lib):
    assert lib.page.as_text(lib.report) == (
        "MedSIGHT report\n"
        "Research use only. Not for clinical use.\n"
        "\n"
        "1. Outlined.\n"
        "   Asked: Where? (Red slice)\n"
        "   - right lung: 2,310.4 ml, largest diameter 265.3 mm, mean -812.0 HU, confidence 97%\n"
        "   - heart (changed by hand): 0.0421 ml, largest diameter 0.5 mm\n"
        "   - spleen: no longer outlined in the scene\n"
        "\n"
        "2. A note,\n"
        "   of two lines.\n"
        "\n"
        "3. Nothing is written here yet.\n"
        "\n"
        "Model: tiny 7, licence: CC0\n"
        "Volumes, diameters and means were measured in the outlines as they were when the report was written. "
        "Largest diameter: between any two points of an outline's surface. "
        "Mean: of the volume's values inside the outline; HU only where the volume says that it is CT. "
        "Confidence: the model's own, in what nobody has changed.\n"
    )


def test_page_says_what_the_text_says(lib):
    page = Page(lib.page.as_html(lib.report, {}))
    assert page.open == []
    said = " ".join(page.text.split())
    for words in ("MedSIGHT report", NOTICE, "1. Outlined.", "Where? (Red slice)", "2,310.4 ml", "265.3 mm",
                  "-812.0 HU", "97%", "heart (changed by hand)", "0.0421 ml", "no longer outlined in the scene",
                  "two lines.", "Model: tiny 7, licence: CC0", "as they were when the report was written"):  # fmt: skip
        assert words in said, words


def test_licence_that_nobody_stated_is_said_to_be_so(lib):
    report = lib.Report((lib.Finding("a", model=ModelInfo("tiny")),))
    assert "Model: tiny, licence: not stated by the server" in lib.page.as_text(report)


def test_pictures_are_inside_once_each_with_their_side_and_an_alternative(lib):
    picture = lib.page.KeyImage(b"\x89PNG lung", "coronal")
    side = lib.page.KeyImage(b"\x89PNG heart", "sagittal")
    twice = replace(lib.report, findings=(*lib.report.findings, lib.report.findings[0]))
    content = lib.page.as_html(twice, {"lung_1": picture, "heart_1": side})
    sources = re.findall(r"src='data:image/png;base64,([^']*)'><span>(\w)</span>", content)
    assert [(base64.b64decode(data), left) for data, left in sources] == [
        (b"\x89PNG lung", "R"),
        (b"\x89PNG heart", "A"),
    ]
    assert ("img", "alt", "right lung, coronal") in Page(content).attributes


def test_page_needs_and_runs_nothing_else(lib):
    page = Page(lib.page.as_html(lib.report, {"lung_1": lib.page.KeyImage(b"x", "axial")}))
    assert not {"script", "link", "iframe", "object", "a", "base", "form"} & set(page.tags)
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name)
        assert name not in ("src", "href") or value.startswith("data:image/png;base64,"), (tag, value)
    assert ("meta", "content", "default-src 'none'; img-src data:; style-src 'unsafe-inline'") in page.attributes
    assert "url(" not in lib.page.as_html(lib.report, {})


NASTY = "</section><script>alert('1')</script><img src=x onerror=\"a\"> & '\" {0}"


def test_nothing_that_somebody_wrote_is_markup(lib):
    structure = replace(lib.report.findings[0].structures[0], name=NASTY, segment_id=NASTY, unit=NASTY)
    gone = replace(structure, measured=None)
    finding = lib.Finding(NASTY, NASTY, NASTY, ModelInfo(NASTY, NASTY, NASTY), (structure, gone))
    report = lib.Report((finding,))
    for content in (
        lib.page.as_html(report, {NASTY: lib.page.KeyImage(b"x", "axial")}),
        lib.page.as_rich_text(report, 0, "#000", "#777"),
    ):
        page = Page(content)
        assert page.open == []
        assert "script" not in page.tags
        assert page.tags.count("img") <= 1
        assert NASTY.split()[0] in html.unescape(page.text)


def test_rich_text_has_links_and_marks_the_chosen_finding(lib):
    content = lib.page.as_rich_text(lib.report, 1, "#000000", "#777777")
    assert [lib.page.parse_link(link) for link in re.findall(r"href='([^']*)'", content)] == [
        (0, None), (0, 0), (0, 1), (0, 2), (1, None), (2, None),
    ]  # fmt: skip
    assert content.index("Outlined.") < content.index(f"name='{lib.page.CHOSEN}'") < content.index("A note,")
    assert content.count("font-weight:600") == 1
    assert "2,310.4 ml · 265.3 mm · -812.0 HU · confidence 97%<" in content
    assert "0.0421 ml · 0.5 mm<" in content, "what a person has changed is no longer what the model was sure of"
    assert "#ff8000" in content
    assert "#ff0000" in content, "colours out of range are brought into it"
    assert f"name='{lib.page.CHOSEN}'" not in lib.page.as_rich_text(lib.report, None, "#000", "#777")


@pytest.mark.parametrize("text", ["", "finding:", "finding:x", "finding:1:", "finding:-1", "region:0:1", "finding:²"])
def test_other_links_mean_nothing(lib, text):
    assert lib.page.parse_link(text) is None
