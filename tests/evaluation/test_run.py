"""Whole evaluations with a tiny model: resumed ones give the same, replies are paired as each scorer does it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from evaluation import fixtures
from evaluation.fixtures import mask, write
from PIL import Image
from tiny_model import save_tiny_model

from medsight_core.errors import InputError, ModelError
from medsight_core.evaluation import run
from medsight_core.evaluation.cases import Case
from medsight_core.evaluation.predict import Predictor
from medsight_core.evaluation.predictions import Prediction, PredictionStore
from medsight_core.evaluation.report import write_report
from medsight_core.evaluation.run import FILTERED, Settings, evaluate
from medsight_core.evaluation.scoring import MaskRules

TESTS = Path(__file__).parents[1]


def quiet(description, fraction=None):
    pass


def go(name, data, model, out, **settings):
    result = evaluate(name, data, model, out, Settings(**{"batch_size": 1, **settings}), quiet)
    write_report(result, out)
    return result


def left(out):
    """All that a run leaves, by name."""
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", ["vqa-rad", "biomedparse"])
def test_a_stopped_run_goes_on_and_leaves_the_same(name, tiny_model_dir, tmp_path, monkeypatch):
    data = fixtures.BUILDERS[name](tmp_path / "data")
    go(name, data, tiny_model_dir, tmp_path / "whole", batch_size=2)
    asked, predict = [], Predictor.predict

    def stopping(self, cases, pictures):
        asked.append([case.id for case in cases])
        if len(asked) == 2:
            raise KeyboardInterrupt
        return predict(self, cases, pictures)

    monkeypatch.setattr(Predictor, "predict", stopping)
    with pytest.raises(KeyboardInterrupt):
        go(name, data, tiny_model_dir, tmp_path / "stopped", batch_size=2)
    replies = (tmp_path / "stopped" / "predictions.jsonl").read_text()
    assert replies.count("\n") == 2
    # Killed in the middle of a batch and of a line.
    (tmp_path / "stopped" / "predictions.jsonl").write_text(replies[: replies.index("\n") + 20])
    asked[:] = [[], []]
    go(name, data, tiny_model_dir, tmp_path / "stopped", batch_size=2)
    assert len(asked) == 4  # the first batch again, because half of it was lost, and the second
    assert left(tmp_path / "stopped") == left(tmp_path / "whole")
    go(name, data, tiny_model_dir, tmp_path / "stopped", batch_size=2)
    assert len(asked) == 4  # nothing is asked again
    assert left(tmp_path / "stopped") == left(tmp_path / "whole")


@pytest.mark.slow
def test_a_killed_process_goes_on_and_leaves_the_same(tiny_model_dir, tmp_path):
    data = fixtures.biomedparse(tmp_path / "data")
    go("biomedparse", data, tiny_model_dir, tmp_path / "whole")
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from medsight_core.evaluation.predictions import PredictionStore\n"
        "from medsight_core.evaluation.run import Settings, evaluate\n"
        "add = PredictionStore.add\n"
        "PredictionStore.add = lambda *both: (add(*both), time.sleep(0.3))\n"
        "data, model, out = map(Path, sys.argv[1:])\n"
        "evaluate('biomedparse', data, model, out, Settings(batch_size=1), lambda *_: None)\n"
    )
    out = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", code, str(data), str(tiny_model_dir), str(out)])
    replies = out / "predictions.jsonl"
    while process.poll() is None and not (replies.exists() and replies.read_bytes().count(b"\n") >= 2):
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert 2 <= replies.read_bytes().count(b"\n") < 4
    go("biomedparse", data, tiny_model_dir, out)
    assert left(out) == left(tmp_path / "whole")


def test_another_model_or_option_is_asked_anew(tiny_model_dir, tmp_path):
    data = fixtures.slake(tmp_path / "data")
    other = save_tiny_model(tmp_path / "other", seed=3)
    first = go("slake", data, tiny_model_dir, tmp_path / "out")
    second = go("slake", data, other, tmp_path / "out")
    assert [each.reply for each in first.scored] != [each.reply for each in second.scored]
    again = go("slake", data, tiny_model_dir, tmp_path / "out")
    assert [each.reply for each in again.scored] == [each.reply for each in first.scored]
    assert (tmp_path / "out" / "predictions.jsonl").read_text().count("\n") == 4


def test_a_larger_limit_asks_only_what_is_missing(tiny_model_dir, tmp_path):
    data = fixtures.vqa_rad(tmp_path / "data")
    small = go("vqa-rad", data, tiny_model_dir, tmp_path / "out", limit=2)
    assert [each.case.id for each in small.scored] == ["0", "4"]  # spread over the set
    go("vqa-rad", data, tiny_model_dir, tmp_path / "out")
    lines = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["0", "1", "2", "4"]


def test_the_authors_pair_by_line_and_we_by_id(tmp_path):
    cases = [Case(name, (), "?", answer, "closed") for name, answer in (("a", "yes"), ("b", "no"), ("c", "yes"))]
    replies = [Prediction(name, "k", reply) for name, reply in (("b", "no"), ("a", "yes"), ("c", "yes"))]
    scored = run.score(cases, replies, PredictionStore(tmp_path), MaskRules(0.5, 0.5, 2), 56, lambda done: None)
    # In the file "no" is first and "yes" second, so the authors find the first two wrong; by id all are right.
    assert [each.scores["official.closed"] for each in scored] == [0, 0, 1]
    assert [each.scores["ours.closed"] for each in scored] == [1, 1, 1]


def test_diagseg_with_the_filtered_list(tiny_model_dir, tmp_path):
    data = fixtures.diagseg(tmp_path / "data")
    (tmp_path / "list.txt").write_text("q1\nq3\n")
    result = go("diagseg", data, tiny_model_dir, tmp_path / "out", filtered=tmp_path / "list.txt")
    whole, short = ({row.metric: row.all.n for row in result.sets[name]} for name in (run.ALL, FILTERED))
    assert whole["official.dice"] == 3
    assert short["official.dice"] == 2
    assert (whole["ours.dice"], whole["ours.false_positive"]) == (2, 1)  # q3 has nothing to outline
    assert "## Filtered list" in (tmp_path / "out" / "results.md").read_text()
    write(tmp_path / "list.json", [{"qa_id": "q2"}])
    other = go("diagseg", data, tiny_model_dir, tmp_path / "out", filtered=tmp_path / "list.json")
    assert {row.metric: row.all.n for row in other.sets[FILTERED]}["official.dice"] == 1


@pytest.mark.parametrize("name", ["mecovqa-g", "slake", "pathvqa", "omnimedvqa", "mmmu-med"])
def test_every_other_benchmark_runs(name, tiny_model_dir, tmp_path):
    data = fixtures.BUILDERS[name](tmp_path / "data")
    result = go(name, data, tiny_model_dir, tmp_path / "out", batch_size=8)
    metrics = {row.metric for row in result.sets[run.ALL]}
    assert {metric.partition(".")[0] for metric in metrics} == {"official", "ours"}
    assert len(result.scored) == 2


# What is wrong


def refused(*arguments, **settings):
    with pytest.raises(InputError) as caught:
        go(*arguments, **settings)
    return str(caught.value)


def test_pictures_that_cannot_be_used_are_told_by_question_and_can_be_skipped(tiny_model_dir, tmp_path):
    data, out = fixtures.vqa_rad(tmp_path / "data"), tmp_path / "out"
    deep, torn = (data / "VQA_RAD Image Folder" / f"synpic{number}.png" for number in (0, 2))
    Image.fromarray(np.full((8, 8), 3000, np.uint16)).save(deep)
    assert refused("vqa-rad", data, tiny_model_dir, out) == (
        f"Question '0': '{deep}' has more than 8 bits a value (mode I;16): window it to 8 bits first; repair it, or "
        "leave such records out with --skip-bad."
    )
    torn.write_bytes(torn.read_bytes()[:60])
    out = tmp_path / "skipping"
    result = go("vqa-rad", data, tiny_model_dir, out, skip_bad=True)
    assert [each.case.id for each in result.scored] == ["1", "2"]
    assert sorted(result.bad)[0].startswith("Question '0': ")
    assert sorted(result.bad)[1].startswith(f"Question '4': '{torn}' cannot be read as a picture")
    assert json.loads((out / "results.json").read_text())["bad"] == result.bad
    assert "2 records were left out" in (out / "results.md").read_text()
    before = left(out)
    go("vqa-rad", data, tiny_model_dir, out, skip_bad=True)
    assert left(out) == before


def test_nothing_is_left_when_all_are_bad(tiny_model_dir, tmp_path):
    data = fixtures.slake(tmp_path / "data")
    (data / "imgs" / "xmlab7" / "source.jpg").write_bytes(b"no picture")
    sentence = refused("slake", data, tiny_model_dir, tmp_path / "out", skip_bad=True)
    assert sentence.startswith("None of the 2 questions can be asked; the first fault: Question '")


def test_a_mask_of_another_size_ends_the_run_before_its_batch_is_asked(tiny_model_dir, tmp_path):
    data = fixtures.biomedparse(tmp_path / "data")
    path = mask(data / "polyps" / "test_mask" / "frame_Endoscope_colon.png", (1, 2, 3, 4), 20, 30)
    assert refused("biomedparse", data, tiny_model_dir, tmp_path / "out") == (
        f"Question 'polyps/1': '{path}' has 30 x 20 pixels and its image 60 x 40: make them equally large; repair it, "
        "or leave such records out with --skip-bad."
    )


def test_lists_and_folders_that_make_no_sense(tiny_model_dir, tmp_path):
    data = fixtures.slake(tmp_path / "slake")
    assert refused("slake", data, tiny_model_dir, tmp_path / "out", filtered=tmp_path / "x") == (
        "A filtered list was published for diagseg only: leave out --filtered for slake."
    )
    data = fixtures.diagseg(tmp_path / "diagseg")
    assert refused("diagseg", data, tiny_model_dir, tmp_path / "out", filtered=tmp_path / "x") == (
        f"There is no list '{tmp_path}/x' that can be read: check the path."
    )
    (tmp_path / "x").write_text("z9")
    assert refused("diagseg", data, tiny_model_dir, tmp_path / "out", filtered=tmp_path / "x") == (
        f"None of the questions is in '{tmp_path}/x': check that its ids are qa_id values."
    )
    assert refused("diagseg", data, tiny_model_dir, tmp_path / "x" / "out") == (
        f"'{tmp_path}/x/out' cannot be written to (Not a directory): choose another --out."
    )


def test_a_folder_without_a_model(tmp_path):
    data = fixtures.slake(tmp_path / "data")
    with pytest.raises(ModelError, match="There is no model in"):
        go("slake", data, tmp_path / "none", tmp_path / "out")
