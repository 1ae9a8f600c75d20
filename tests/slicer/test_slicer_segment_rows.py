"""The table of segments in figures: counted a few at a time, so that the event loop goes on in a large volume."""

from __future__ import annotations

import time

import numpy as np
import pytest
from harness.slicer_app import wait_until
from panels import AFFINE, SHAPE, add_volume, answers, ask, connect
from replies import reply_of
from scenes import edit

NAMES = ["right lung", "left lung", "heart"]


@pytest.fixture
def outlined(panel, server):
    """Three structures of 2, 4 and 6 voxels; what an answer said of their volumes is what they have."""
    masks = [np.zeros(SHAPE, bool) for _ in NAMES]
    for n, mask in enumerate(masks):
        mask[n, 0, : 2 * (n + 1)] = True
    answers(server, reply_of(NAMES, masks, AFFINE))
    add_volume()
    connect(panel)
    ask(panel)
    return panel


def rows_of(panel, rows):
    from MedSIGHTLib.segments import segmentation_of

    return rows.of(segmentation_of(panel.volume), panel.asker.conversation(panel.volume))


def test_slow_counting_is_spread_over_turns_of_the_loop(outlined, monkeypatch):
    from MedSIGHTLib import segment_rows

    count = segment_rows._count

    def slow(segment, region):
        time.sleep(2 * segment_rows._AT_ONCE_SECONDS)
        return count(segment, region)

    monkeypatch.setattr(segment_rows, "_count", slow)
    rows = segment_rows.SegmentRows()
    known = [[row.volume_ml is not None for row in rows_of(outlined, rows)] for _ in range(4)]
    assert known == [[True, False, False], [True, True, False], [True] * 3, [True] * 3]


def test_a_row_that_is_not_counted_yet_says_so_and_is_filled_in_later(outlined, monkeypatch):
    from MedSIGHTLib import segment_rows
    from MedSIGHTLib.segments import segmentation_of

    monkeypatch.setattr(segment_rows, "_AT_ONCE_SECONDS", -1.0)
    node = segmentation_of(outlined.volume)
    edit(node, node.GetSegmentation().GetNthSegmentID(0), outlined.volume, np.ones(SHAPE, bool))
    outlined.segments.show(node, outlined.volume)
    text = outlined.ui.segmentRowsLabel.text
    assert "…" in text
    assert "changed by hand" not in text
    monkeypatch.undo()
    wait_until(lambda: "…" not in outlined.ui.segmentRowsLabel.text)
    assert outlined.ui.segmentRowsLabel.text.count("changed by hand") == 1


def test_a_fingerprint_is_of_the_voxels_that_hold_a_value_wherever_they_are_stored(panel):
    from MedSIGHTLib.fingerprint import fingerprint

    voxels = np.zeros((4, 5, 6), np.uint8)
    voxels[1:3, 2, 3:5], voxels[0, 0, 0] = 7, 2
    whole = fingerprint(voxels, value=7)
    assert whole == fingerprint(voxels == 7) == fingerprint(voxels[1:, 2:, 3:], (1, 2, 3), 7)
    assert whole not in (fingerprint(voxels, (0, 0, 1), 7), fingerprint(voxels, value=2))
    assert fingerprint(voxels, value=9) == "empty"
