"""Every control can be reached by the keyboard, in the order in which it is read, and says what it does."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import panels
import pytest
from PySide6 import QtTest
from PySide6.QtCore import Qt

MODULE = Path(__file__).parents[2] / "slicer_extension" / "MedSIGHT"
UI = ElementTree.parse(MODULE / "Resources" / "UI" / "MedSIGHT.ui")
PASSIVE = {"QWidget", "QFrame", "QLabel", "QProgressBar"}
LINKS = "suggestionsLabel"  # a label, but with something to press
CONTROLS = [
    widget.get("name")
    for widget in UI.iter("widget")
    if widget.get("class") not in PASSIVE or widget.get("name") == LINKS
]


def test_there_are_controls():
    assert {"addressEdit", "askButton", "firstSliceBox", "segmentsTable", "reportSection", LINKS} <= set(CONTROLS)


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_says_what_it_does(name):
    widget = next(widget for widget in UI.iter("widget") if widget.get("name") == name)
    tip = widget.findtext("property[@name='toolTip']/string", "")
    assert len(tip.split()) >= 3, f"{name} has no tool tip"
    assert tip != widget.findtext("property[@name='text']/string")


def test_every_label_beside_a_control_leads_to_it():
    buddies = {widget.findtext("property[@name='buddy']/cstring") for widget in UI.iter("widget")}
    assert {"addressEdit", "tokenEdit", "programEdit", "volumeSelector", "scopeSelector", "firstSliceBox"} <= buddies


def test_tab_goes_through_the_panel_as_it_is_read(panel):
    """The chain that Qt follows, without what the stand-ins of compound widgets are made of."""
    top = panel.ui.addressEdit.window()
    widget, chain = top.nextInFocusChain(), []
    while widget is not top:
        name = widget.property("objectName")
        if name in CONTROLS:
            chain.append(name)
        widget = widget.nextInFocusChain()
    assert chain == CONTROLS


def test_the_keys_that_are_listed_are_those_that_work(panel, server):
    from MedSIGHTLib.prompt_box import KEYS

    listed = re.sub(r"<[^>]*>|&nbsp;", " ", panel.ui.keysLabel.text)
    assert all(key in listed and words in listed for key, words in KEYS)
    panels.add_volume()
    panels.connect(panel)
    panel.ui.promptEdit.plainText = "Outline the lungs."
    panel.ui.promptEdit.setFocus()

    def press(key, *modifiers):
        QtTest.QTest.keyClick(panel.ui.promptEdit, key, *modifiers)

    with panels.held(server):
        press(Qt.Key_Return, Qt.ControlModifier)
        assert panel.background.busy
        press(Qt.Key_Escape)
        panels.wait(panel)
    assert "cancelled" in panel.ui.statusLabel.text
    panel.ui.promptEdit.plainText = ""
    press(Qt.Key_Up)
    assert panel.ui.promptEdit.plainText == "Outline the lungs."
    press(Qt.Key_Tab)
    assert panel.ui.promptEdit.plainText == "Outline the lungs.", "Tab is no text"
