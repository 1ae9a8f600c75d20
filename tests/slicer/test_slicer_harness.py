"""The harness itself: it must refuse what PythonQt refuses, or the other tests prove nothing."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture
def qt(medsight_module):
    import qt

    return qt


def test_properties_are_attributes(qt):
    button = qt.QPushButton()
    button.text = "Ask"
    assert button.text == "Ask"
    button.enabled = False
    assert not button.isEnabled()
    with pytest.raises(TypeError):
        button.text()


def test_misspelt_property_is_refused(qt):
    with pytest.raises(AttributeError, match="QPushButton has no property 'enabeld'"):
        qt.QPushButton().enabeld = True
    with pytest.raises(AttributeError):
        qt.QPushButton().clicked = 3


def test_misspelt_signal_is_refused(qt):
    with pytest.raises(AttributeError, match=r"QPushButton has no signal 'click\(\)'"):
        qt.QPushButton().connect("click()", print)


def test_signal_arguments_are_trimmed_to_what_the_slot_takes(qt):
    seen = []
    button = qt.QPushButton()
    button.checkable = True
    button.connect("toggled(bool)", lambda: seen.append("none"))
    button.connect("toggled(bool)", lambda checked: seen.append(checked))
    button.checked = True
    assert seen == ["none", True]


def test_slot_can_be_disconnected(qt):
    seen = []

    def slot():
        seen.append(1)

    button = qt.QPushButton()
    button.connect("clicked()", slot)
    assert button.disconnect("clicked()", slot)
    assert not button.disconnect("clicked()", slot)
    button.click()
    assert seen == []


def test_exception_in_a_slot_is_noticed(qt, monkeypatch):
    caught = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: caught.append(kind))
    button = qt.QPushButton()

    def slot():
        raise ZeroDivisionError

    button.connect("clicked()", slot)
    button.click()
    assert caught == [ZeroDivisionError]


def test_unknown_widget_class_in_a_ui_file_is_refused(qt, tmp_path, medsight_module):
    import slicer

    path = tmp_path / "a.ui"
    path.write_text('<ui version="4.0"><class>A</class><widget class="qMRMLNoSuchWidget" name="A"/></ui>')
    with pytest.raises((AttributeError, RuntimeError)):
        slicer.util.loadUI(str(path))
