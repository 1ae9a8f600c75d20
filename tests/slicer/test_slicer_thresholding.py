"""The edge of an answer's segment, moved in the panel from its soft mask: with undo, never over a person's work."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from harness.slicer_app import wait_until
from panels import AFFINE, INFO, SHAPE, add_volume, answers, ask, asked, connect
from replies import reply_of
from scenes import edit

from medsight_core.soft_masks import SoftMask, eight_bits, pack


def ball(center, radius: float) -> np.ndarray:
    """A probability that falls off from a centre (I, J, K)."""
    grid = np.indices(SHAPE)
    distance = np.sqrt(sum((axis - at) ** 2 for axis, at in zip(grid, center)))
    return np.clip(1 - distance / radius / 2, 0, 1)


RIGHT, LEFT = ball((3, 5, 3), 3.0), ball((6, 6, 3), 2.5)  # they overlap


def soft_of(probability: np.ndarray) -> SoftMask:
    return pack(eight_bits(np.where(probability > 0.1, probability, 0)), probability > 0.5, 0.5)


@pytest.fixture
def outlined(panel, server):
    """Two overlapping lungs, answered with soft masks, and a table in which the right one is chosen."""
    server.on_json("GET /medsight/info", {**INFO, "capabilities": ["soft"]})
    soft = {3: soft_of(RIGHT), 4: soft_of(LEFT)}
    answers(server, reply_of(["right lung", "left lung"], [RIGHT > 0.5, LEFT > 0.5], AFFINE, soft=soft))
    add_volume()
    connect(panel)
    ask(panel)
    panel.segments.select(segment_id(panel, "right lung"))
    return panel


def node_of(panel):
    from MedSIGHTLib.segments import segmentation_of

    return segmentation_of(panel.volume)


def segment_id(panel, name: str) -> str:
    return node_of(panel).GetSegmentation().GetSegmentIdBySegmentName(name)


def mask(panel, name: str) -> np.ndarray:
    array = slicer.util.arrayFromSegmentBinaryLabelmap(node_of(panel), segment_id(panel, name), panel.volume)
    return array.T.astype(bool)


def move(panel, percent: int) -> None:
    """By the keyboard: the hand is not on the slider."""
    panel.ui.edgeSlider.value = percent
    wait_until(lambda: panel.ui.edgeSlider.value == percent and not pending(panel))


def pending(panel) -> bool:
    edge = panel.segments._edge[1]
    return edge is not None and round(100 * edge) != panel.ui.edgeSlider.value


def shown(panel) -> str:
    import qt

    document = qt.QTextDocument()
    document.setHtml(panel.ui.segmentRowsLabel.text)
    return document.toPlainText()


def test_the_edge_moves_here_and_each_step_can_be_undone(outlined, server):
    panel, ui = outlined, outlined.ui
    assert asked(server)[0]["soft"] is True
    assert ui.edgeFrame.visible
    assert (ui.edgeSlider.value, ui.edgeLabel.text, ui.edgeButton.enabled) == (50, "above 50 %", False)
    calls = len(server.seen)
    for percent in (30, 72):
        move(panel, percent)
        assert np.array_equal(mask(panel, "right lung"), eight_bits(RIGHT) > 255 * percent / 100)
        assert np.array_equal(mask(panel, "left lung"), LEFT > 0.5), "the other one, which overlaps, stays"
        assert ui.edgeLabel.text == f"above {percent} %"
    ui.undoButton.click()
    assert np.array_equal(mask(panel, "right lung"), eight_bits(RIGHT) > 255 * 0.3)
    assert ui.edgeSlider.value == 30
    ui.undoButton.click()
    assert np.array_equal(mask(panel, "right lung"), RIGHT > 0.5)
    assert (ui.edgeSlider.value, ui.edgeButton.enabled) == (50, False)
    ui.redoButton.click()
    assert ui.edgeSlider.value == 30
    ui.edgeButton.click()
    assert np.array_equal(mask(panel, "right lung"), RIGHT > 0.5)
    assert len(server.seen) == calls, "no server was asked"


def test_one_pull_at_the_slider_is_one_step(outlined):
    panel, ui = outlined, outlined.ui
    ui.edgeSlider.sliderDown = True
    for percent in (45, 35, 25):
        size = int((eight_bits(RIGHT) > 255 * percent / 100).sum())
        move(panel, percent)
        wait_until(lambda size=size: mask(panel, "right lung").sum() == size)
    ui.edgeSlider.sliderDown = False
    ui.undoButton.click()
    assert np.array_equal(mask(panel, "right lung"), RIGHT > 0.5)


def test_what_a_person_drew_is_never_touched(outlined):
    panel, ui = outlined, outlined.ui
    mine = np.roll(mask(panel, "right lung"), 1, 0)
    edit(node_of(panel), segment_id(panel, "right lung"), panel.volume, mine)
    panel.segments.select(segment_id(panel, "left lung"))
    panel.segments.select(segment_id(panel, "right lung"))
    assert not ui.edgeSlider.enabled
    assert not ui.edgeButton.enabled
    assert ui.edgeLabel.text == "changed by hand"
    ui.edgeSlider.value = 20  # as a script may
    wait_until(lambda: "so its edge stays where you drew it" in ui.statusLabel.text)
    assert np.array_equal(mask(panel, "right lung"), mine)
    panel.segments.select(segment_id(panel, "left lung"))
    assert ui.edgeSlider.enabled


def test_a_moved_edge_is_a_persons_work_until_it_is_moved_back(outlined, server):
    panel = outlined
    move(panel, 30)
    ask(panel)
    assert segment_id(panel, "right lung (2)"), "an answer does not replace it"
    assert np.array_equal(mask(panel, "right lung"), eight_bits(RIGHT) > 255 * 0.3)


def test_volume_and_confidence_stand_beside_each_segment(outlined):
    panel = outlined
    row = f"right lung{(RIGHT > 0.5).sum() / 1000:,.1f} ml90% confidence"
    assert row in "".join(shown(panel).split("\n")).replace("\N{BLACK CIRCLE}\N{NO-BREAK SPACE}", "")
    move(panel, 20)
    assert f"{(eight_bits(RIGHT) > 51).sum() / 1000:,.1f} ml" in shown(panel)
    assert "edge moved" in shown(panel)
    edit(node_of(panel), segment_id(panel, "left lung"), panel.volume, np.roll(mask(panel, "left lung"), 1, 1))
    node_of(panel).GetSegmentation().AddEmptySegment("", "mine <b>", (0.2, 0.5, 0.9))
    panel._refresh()
    assert "changed by hand" in shown(panel)
    assert "mine <b>" in shown(panel)
    assert "0.0 ml" in shown(panel)
    assert "your own" in shown(panel)


def test_no_voxel_is_that_probable(outlined):
    panel, ui = outlined, outlined.ui
    panel.segments.select(segment_id(panel, "left lung"))
    before = mask(panel, "left lung")
    soft = panel.asker.soft_masks.of(node_of(panel).GetSegmentation().GetSegment(segment_id(panel, "left lung")))
    assert soft.values().max() == 255
    low = soft_of(LEFT * 0.7)
    panel.asker.soft_masks._masks = dict.fromkeys(panel.asker.soft_masks._masks, low)
    ui.edgeSlider.value = 90
    wait_until(lambda: "No voxel is that probable" in ui.statusLabel.text)
    assert np.array_equal(mask(panel, "left lung"), before)


def test_without_soft_masks_there_is_no_slider(panel, server):
    add_volume()
    connect(panel)
    ask(panel)
    assert "soft" not in asked(server)[0], "an older server is not asked for them"
    panel.segments.select(segment_id(panel, "right lung"))
    assert not panel.ui.edgeFrame.visible


def test_a_damaged_soft_mask_is_a_sentence(outlined):
    panel, ui = outlined, outlined.ui
    masks = panel.asker.soft_masks._masks
    panel.asker.soft_masks._masks = {key: SoftMask(0.5, one.first, one.shape, b"?") for key, one in masks.items()}
    ui.edgeSlider.value = 33
    wait_until(lambda: "The soft mask that the server sent is damaged" in ui.statusLabel.text)
