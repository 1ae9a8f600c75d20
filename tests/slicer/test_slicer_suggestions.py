"""Which example questions are offered for which volume, and what the arrow keys bring back."""

from __future__ import annotations

import numpy as np
import pytest
import slicer

from medsight_core.client import ServerInfo

INFO = ServerInfo(suggestions={"CT": ("c1", "c2", "c3", "c4"), "MR": ("m1", "m2")})


def _volume(low: int, high: int, modality: str = ""):
    volume = slicer.util.addVolumeFromArray(np.array([[[low, high]]], np.int16), np.eye(4), "V")
    if modality:
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        item = hierarchy.GetItemByDataNode(volume) or hierarchy.CreateItem(hierarchy.GetSceneItemID(), volume)
        hierarchy.SetItemAttribute(item, "DICOM.Modality", modality)
    return volume


@pytest.mark.parametrize(
    ("values", "modality", "expected"),
    [
        ((-1024, 1800), "", ["c1", "c2", "c3"]),
        ((0, 900), "", ["m1", "m2"]),
        ((-1024, 1800), "MR", ["m1", "m2"]),
        ((0, 200), "US", ["c1", "m1", "c2"]),
    ],
)
def test_examples_fit_the_volume(scene, values, modality, expected):
    from MedSIGHTLib.suggestions import suggestions_for

    assert suggestions_for(_volume(*values, modality), INFO) == expected


def test_without_a_volume_there_are_some_of_each_and_without_a_server_none(scene):
    from MedSIGHTLib.suggestions import suggestions_for

    assert suggestions_for(None, INFO) == ["c1", "m1", "c2"]
    assert suggestions_for(_volume(0, 1), None) == []


def test_memory_goes_back_and_forth_and_leaves_what_is_written_alone(medsight_module):
    from MedSIGHTLib.prompt_memory import PromptMemory

    memory = PromptMemory(lambda: ["first", "second"])
    assert memory.back("something of one's own") is None
    assert memory.forth("") is None
    memory.add("third")
    assert [memory.back(""), memory.back("third"), memory.back("second")] == ["third", "second", "first"]
    assert memory.back("first") == "first", "there is none before"
    assert memory.back("first, but changed") is None
    assert [memory.forth("first"), memory.forth("second"), memory.forth("third")] == ["second", "third", ""]
    assert memory.forth("") is None


def test_what_was_asked_twice_comes_back_once(medsight_module):
    from MedSIGHTLib.prompt_memory import PromptMemory

    memory = PromptMemory(lambda: ["same", "other"])
    memory.add("same")
    assert [memory.back(""), memory.back("same"), memory.back("other")] == ["same", "other", "other"]
