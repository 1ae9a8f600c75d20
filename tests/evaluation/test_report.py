"""The files of an evaluation: one page without anything from outside, and tables that say what they must."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
from evaluation import fixtures
from evaluation.fixtures import write
from PIL import Image

from medsight_core.evaluation.case_picture import FOUND, REFERENCE, UNSEEN, draw
from medsight_core.evaluation.report import write_report
from medsight_core.evaluation.run import Settings, evaluate


@pytest.fixture(scope="module")
def out(tiny_model_dir, tmp_path_factory):
    root = tmp_path_factory.mktemp("report")
    data = fixtures.diagseg(root / "data")
    records = json.loads((data / "diagseg.json").read_text())
    records[1]["question"] = "Which <b>lesion</b> is it? Segment it."
    write(data / "diagseg.json", records)
    result = evaluate("diagseg", data, tiny_model_dir, root / "out", Settings(), lambda *_: None)
    write_report(result, root / "out")
    return root / "out"


def test_the_page_stands_alone_and_quotes_what_it_shows(out):
    page = (out / "report.html").read_text()
    assert not re.search(r"<script|<link|(?:src|href)=\"(?!data:image/jpeg;base64,)", page)
    assert "Which &lt;b&gt;lesion&lt;/b&gt; is it?" in page
    assert "<b>lesion" not in page
    assert page.count('<div class="case">') == 3
    assert "Worst cases" in page
    assert "Best cases" in page
    assert "Research use only. Not for clinical use." in page


def test_the_pages_pictures_can_be_seen(out):
    pictures = re.findall(r"data:image/jpeg;base64,([^\"]+)", (out / "report.html").read_text())
    assert len(pictures) == 3
    for data in pictures:
        assert Image.open(io.BytesIO(base64.b64decode(data))).size == (360, 360)


def test_the_worst_case_is_first(out):
    scores = {line["id"]: line for line in map(json.loads, (out / "scores.jsonl").read_text().splitlines())}
    rank = {
        name: 1 - line["ours.false_positive"] if "ours.false_positive" in line else line["ours.dice"]
        for name, line in scores.items()
    }
    order = re.findall(r'<p class="id">(q\d)', (out / "report.html").read_text())
    assert order[:2] == sorted(rank, key=lambda name: (rank[name], name))[:2]


def test_the_table_has_both_scorers_and_the_paper(out):
    text = (out / "results.md").read_text()
    assert "| authors | Dice, mean over masks |" in text
    assert "| paper | Dice, mean over masks | 65.8 | 82.3 | 87.7 | 69.9 |  |" in text
    assert "| ours | Dice of the union |" in text
    assert "1,655 questions" in text
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert len(widths) == 1


def test_the_json_holds_every_number(out):
    results = json.loads((out / "results.json").read_text())
    assert (results["benchmark"], results["cases"], results["bad"]) == ("diagseg", 3, [])
    assert results["model"]["code_state"] == "own"
    (row,) = [row for row in results["sets"]["all questions"] if row["metric"] == "official.dice"]
    assert row["all"]["n"] == 3
    mean = np.mean([json.loads(line)["official.dice"] for line in (out / "scores.jsonl").read_text().splitlines()])
    assert row["all"]["mean"] == pytest.approx(mean)
    assert results["paper_percent"]["official.dice"]["macro"] == 69.9


def near(picture, color):
    """Where a picture has about a colour; JPEG changes it a little."""
    return np.abs(np.asarray(picture).astype(int) - color).max(axis=-1) < 70


def test_a_picture_shows_both_outlines_and_what_was_not_seen():
    image = Image.fromarray(np.full((90, 180), 120, np.uint8))
    reference, found = np.zeros((90, 180), bool), np.zeros((90, 180), bool)
    reference[20:40, 60:80], found[50:80, 90:120] = True, True
    picture = Image.open(io.BytesIO(draw(image, found, reference, (45, 0, 135, 90))))
    assert picture.size == (360, 180)
    for color, (rows, cols) in ((REFERENCE, ((40, 80), (120, 160))), (FOUND, ((100, 160), (180, 240)))):
        at = np.argwhere(near(picture, color))
        np.testing.assert_allclose(at.min(axis=0), (rows[0], cols[0]), atol=3)
        np.testing.assert_allclose(at.max(axis=0), (rows[1], cols[1]), atol=3)
    values = np.asarray(picture.convert("L")).astype(int)
    assert abs(values[90, 30] - 60) < 10  # beside the visible part
    assert abs(values[90, 260] - 120) < 10
    assert near(picture, UNSEEN)[:, 85:92].any()
