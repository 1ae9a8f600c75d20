"""What may be asked about, and windows, on a real scene and trame's own state: no browser needed."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from trame.app import get_server

import slicer_extension.viewer  # noqa: F401 - finds MedSIGHTLib
from medsight_core.client import ServerInfo

INFO = ServerInfo(scopes=("plane", "range", "volume"), orientations=("axial", "coronal"))


@pytest.fixture
def state():
    return get_server(f"scopes-{np.random.default_rng().integers(1 << 30)}").state


@pytest.fixture(scope="module")
def application():
    """The scene that the page has, for all tests here."""
    from trame_slicer.core import SlicerApp

    app, before = SlicerApp(), getattr(slicer, "mrmlScene", None)
    slicer.mrmlScene = app.scene
    yield app
    slicer.mrmlScene = before


def add_volume(application, values: np.ndarray):
    """``values`` (K, J, I)."""
    node = slicer.util.addVolumeFromArray(values, np.diag([-1.0, -1.0, 1.0, 1.0]))
    node.CreateDefaultDisplayNodes()
    return node


@pytest.fixture
def volume(application):
    node = add_volume(application, np.linspace(-1000, 1500, 8 * 10 * 12).reshape(8, 10, 12).astype(np.int16))
    yield node
    slicer.mrmlScene.RemoveNode(node)


def test_several_slices_need_two_numbers_which_begin_with_all(state, volume):
    from slicer_extension.viewer.scopes import Scopes

    scopes = Scopes(state)
    scopes.offer(INFO, volume)
    assert [each["title"] for each in state.scopes] == [
        "Whole volume", "Axial slice", "Coronal slice", "Sagittal slice", "Several axial slices",
        "Several coronal slices",
    ]  # fmt: skip
    assert (scopes.chosen, state.ranged) == ("volume", False)
    state.scope = "axial"
    scopes.count()
    assert (state.ranged, state.first, state.last, scopes.chosen) == (True, 0, 7, "axial:0-7")
    state.first, state.last = 6, 2
    scopes.offer(INFO, volume)
    assert scopes.chosen == "axial:2-6", "the numbers stay, in their order"
    state.first, state.last = "", 99
    assert scopes.chosen == "axial:0-7"
    state.scope = "coronal"
    scopes.count()
    assert scopes.chosen == "coronal:0-9"


def test_a_question_takes_the_numbers_along_that_the_page_shows(state, volume):
    from slicer_extension.viewer.scopes import Scopes

    scopes = Scopes(state)
    scopes.offer(INFO, volume)
    scopes.take("axial", 0, 0)
    assert scopes.chosen == "axial:0-7", "the page had not yet seen how many there are"
    scopes.take("axial", 3, 1)
    assert (scopes.chosen, state.first, state.last) == ("axial:1-3", 3, 1)
    scopes.take("volume", 3, 1)
    assert (scopes.chosen, state.ranged) == ("volume", False)


def test_only_what_server_and_volume_allow_is_offered(state, volume):
    from slicer_extension.viewer.scopes import Scopes

    scopes = Scopes(state)
    scopes.offer(ServerInfo(scopes=("plane", "volume"), orientations=("axial",)), volume)
    assert len(state.scopes) == 4
    state.scope = "Red"
    scopes.offer(ServerInfo(scopes=("volume",)), volume)
    assert (scopes.chosen, len(state.scopes)) == ("volume", 1)
    scopes.offer(INFO, None)
    assert len(state.scopes) == 4


def test_a_window_has_a_name_for_ct_alone(application, volume):
    from slicer_extension.viewer.windows import AUTOMATIC, show_window, windows_for

    assert windows_for(None) == []
    assert windows_for(volume) == [AUTOMATIC, "Lung", "Mediastinum", "Abdomen", "Bone", "Brain"]
    display = volume.GetDisplayNode()
    show_window(volume, "Lung")
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (-1350, 150)
    show_window(volume, "no such window")
    assert display.GetWindowLevelMin() == -1350
    show_window(volume, AUTOMATIC)
    assert display.GetAutoWindowLevel()
    brain = add_volume(application, np.arange(960, dtype=np.int16).reshape(8, 10, 12))
    assert windows_for(brain) == [AUTOMATIC]
    slicer.mrmlScene.RemoveNode(brain)
