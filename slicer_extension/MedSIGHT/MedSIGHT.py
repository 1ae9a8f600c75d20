"""The MedSIGHT module of 3D Slicer: ask the loaded volume in plain words, get a sentence and named segments.

Wiring only: what the panel shows is in ``MedSIGHTLib/panel.py``, what it does in the other files of ``MedSIGHTLib``,
all of which is tested on the real MRML library. The model runs in a MedSIGHT server, here or elsewhere.
"""
# ruff: noqa: PT009 - Slicer runs its module tests with unittest

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import slicer
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

try:
    import medsight_core  # noqa: F401 - an installed extension has it beside this file
except ModuleNotFoundError:
    # The module's folder was added to Slicer straight from a checkout.
    sys.path.append(str(Path(__file__).resolve().parents[2]))

from MedSIGHTLib import mrml
from MedSIGHTLib.asking import Asker
from MedSIGHTLib.panel import Panel

from medsight_core.answer import NOTICE, Answer, Region
from medsight_core.client import Reply


class MedSIGHT(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent):
        """``parent``: the application's module object."""
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "MedSIGHT"
        parent.categories = ["Segmentation"]
        parent.dependencies = ["Segmentations", "SubjectHierarchy"]
        parent.contributors = ["The MedSIGHT for 3D Slicer authors"]
        parent.helpText = (
            "Ask the loaded volume a question in plain words. A MedSIGHT server answers with a sentence, and what it "
            f"names appears as segments. <b>{NOTICE}</b> "
            "To start a server on this computer, type <tt>medsight serve</tt>."
        )
        parent.acknowledgementText = (
            "MedSIGHT is open source under the Apache License 2.0. Models have licences of their own."
        )


class MedSIGHTWidget(ScriptedLoadableModuleWidget):
    """Puts the panel into Slicer's module area."""

    def setup(self):
        """Build the panel, once."""
        ScriptedLoadableModuleWidget.setup(self)
        widget = slicer.util.loadUI(self.resourcePath("UI/MedSIGHT.ui"))
        self.layout.addWidget(widget)
        self.logic = MedSIGHTLogic()
        self.panel = Panel(widget, self.logic)

    def enter(self):
        """The user opens the module."""
        self.panel.enter()

    def cleanup(self):
        """Slicer closes, or the module is reloaded."""
        self.panel.close()


class MedSIGHTLogic(ScriptedLoadableModuleLogic, Asker):
    """What scripts use: ``connect(address, token)``, then ``ask(volume, prompt)``, which waits for the answer."""

    def __init__(self):
        """Not connected."""
        ScriptedLoadableModuleLogic.__init__(self)
        Asker.__init__(self)


class MedSIGHTTest(ScriptedLoadableModuleTest):
    """For a real Slicer: that the panel opens and that an answer becomes segments. Needs no server."""

    def runTest(self):
        """Run all tests."""
        self.setUp()
        self.test_panel_opens()
        self.setUp()
        self.test_answer_becomes_segments()

    def setUp(self):
        """Start from an empty scene."""
        slicer.mrmlScene.Clear(0)

    def test_panel_opens(self):
        """The panel shows the notice and says why it cannot ask yet."""
        panel = slicer.util.getModuleWidget("MedSIGHT").panel
        self.assertIn(NOTICE, panel.ui.noticeLabel.text)
        self.assertFalse(panel.ui.askButton.enabled)

    def test_answer_becomes_segments(self):
        """A label file as the server sends it ends up as one named segment with the same voxels."""
        mask = np.zeros((6, 8, 10), np.uint8)
        mask[2:4, 3:6, 1:9] = 1
        volume = slicer.util.addVolumeFromArray(mask.astype(np.int16), name="Phantom")
        source = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        source.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        source.GetSegmentation().AddEmptySegment("a", "right lung", (0.2, 0.6, 1.0))
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, source, "a", volume)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "answer.seg.nrrd"
            storage = slicer.vtkMRMLSegmentationStorageNode()
            storage.SetFileName(str(path))
            storage.SetCropToMinimumExtent(False)
            self.assertTrue(storage.WriteData(source))
            content = path.read_bytes()
        slicer.mrmlScene.RemoveNode(source)
        region = Region(1, "right lung", "M0_16", (4, 14), 0.9)
        reply = Reply(Answer("The right lung [1] is outlined.", (region,)), content)
        outlined = mrml.apply_segmentation(reply, volume)
        array = slicer.util.arrayFromSegmentBinaryLabelmap(outlined.node, outlined.segment_ids[1], volume)
        self.assertTrue(np.array_equal(array, mask))
        self.assertEqual(outlined.node.GetSegmentation().GetSegment(outlined.segment_ids[1]).GetName(), "right lung")
