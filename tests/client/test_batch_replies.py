"""A server's words about a batch of questions as plain data, and nonsense as one sentence."""

from __future__ import annotations

import pytest

from medsight_core.client import Batch, ListedCase
from medsight_core.client.batch import parse_batch
from medsight_core.client.worklist import parse_worklist
from medsight_core.errors import ServerError

RUNNING = {"status": "RUNNING", "total": 4, "done": 2, "answered": 1, "skipped": 0, "eta": 3.5, "image": "a", "new": 1}


def test_a_batch_is_read_and_what_a_newer_server_adds_is_left():
    failed = {"image": "broken", "detail": "It cannot be read."}
    batch = parse_batch({**RUNNING, "failed": [failed]})
    assert batch == Batch("RUNNING", 4, 2, 1, 0, (("broken", "It cannot be read."),), "a", 3.5)
    assert not batch.ended
    for status in ("DONE", "ERROR", "STOPPED"):
        assert parse_batch({**RUNNING, "failed": [], "status": status}).ended


@pytest.mark.parametrize(
    "data", [None, [], {}, {**RUNNING, "failed": 3}, {**RUNNING, "failed": [], "status": "ASLEEP"}]
)
def test_nonsense_about_a_batch_is_one_sentence(data):
    with pytest.raises(ServerError, match="does not describe a batch: check that client and server are of the same"):
        parse_batch(data)


def test_the_worklist_tells_which_cases_hold_an_answer():
    made = {"original": {"info": {"preannotation": {"question": {"prompt": "Outline the lungs."}}}}}
    stock = {"original": {"info": {"model": "medsight", "params": {}}}}  # saved by MONAI Label's own save_label
    corrected = {**made, "final": {"info": {"medsight": {"version": 1, "segments": []}}}}
    strange = {"original": {"info": {"preannotation": 7}}}
    objects = {"a": {"labels": made}, "b": {"labels": stock}, "c": {"labels": corrected}, "d": {"labels": strange}}
    worklist = parse_worklist({"objects": objects})
    assert worklist.cases[0] == ListedCase("a", preannotated="Outline the lungs.")
    assert [bool(case.preannotated) for case in worklist.cases] == [True, False, True, False]
    assert (worklist.preannotated, worklist.labelled) == (1, 1), "a label hides it"
