"""The MedSIGHT module of 3D Slicer: ask the loaded volume in plain words, get a sentence and named segments.

Wiring only: what the panel shows is in ``MedSIGHTLib/panel.py``, what it does in the other files of ``MedSIGHTLib``,
all of which is tested on the real MRML library. The model runs in a MedSIGHT server, here or elsewhere.
"""
# ruff: noqa: PT009 - Slicer runs its module tests with unittest

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import qt
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

from MedSIGHTLib.asking import Asker, Received
from MedSIGHTLib.case_store import ready_to_edit, set_case
from MedSIGHTLib.open_case import OpenCase
from MedSIGHTLib.panel import Panel
from MedSIGHTLib.reporting import export_report
from MedSIGHTLib.samples import offer_samples
from MedSIGHTLib.segments import Arrived, apply_segmentation
from MedSIGHTLib.submitting import prepare_submission
from MedSIGHTLib.translating import _

from medsight_core.answer import NOTICE, Answer, Region
from medsight_core.client import Reply
from medsight_core.soft_masks import pack


class MedSIGHT(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent):
        """``parent``: the application's module object."""
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "MedSIGHT"
        parent.categories = ["Segmentation"]
        parent.dependencies = ["Segmentations", "SegmentEditor", "SubjectHierarchy", "Volumes"]
        parent.contributors = ["The MedSIGHT for 3D Slicer authors"]
        parent.helpText = _(
            "Ask the loaded volume a question in plain words. A MedSIGHT server answers with a sentence, and what it "
            "names appears as segments. <b>{notice}</b> "
            "To start a server on this computer, press <i>Start server</i>."
        ).format(notice=NOTICE)
        parent.acknowledgementText = _(
            "MedSIGHT is open source under the Apache License 2.0. Models have licences of their own."
        )
        # Sample Data may be loaded after this module.
        thumbnail = Path(__file__).parent / "Resources" / "Icons" / "MedSIGHT.png"
        slicer.app.connect("startupCompleted()", lambda: offer_samples(str(thumbnail)))


class MedSIGHTWidget(ScriptedLoadableModuleWidget):
    """Puts the panel into Slicer's module area."""

    def setup(self):
        """Build the panel, once."""
        ScriptedLoadableModuleWidget.setup(self)
        widget = slicer.util.loadUI(self.resourcePath("UI/MedSIGHT.ui"))
        self.layout.addWidget(widget)
        self.logic = MedSIGHTLogic()
        worklist = slicer.util.loadUI(self.resourcePath("UI/Worklist.ui"))
        training = slicer.util.loadUI(self.resourcePath("UI/Training.ui"))
        self.panel = Panel(widget, worklist, training, self.logic)

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
        Asker.__init__(self, soft=True)


class MedSIGHTTest(ScriptedLoadableModuleTest):
    """For a real Slicer: that the panel opens and that an answer becomes segments. Needs no server."""

    def runTest(self):
        """Run all tests."""
        self.setUp()
        self.test_panel_opens()
        self.setUp()
        self.test_answer_becomes_segments()
        self.setUp()
        self.test_conversation_shows_and_leads_to_segments()
        self.setUp()
        self.test_report_is_collected_and_written()
        self.setUp()
        self.test_case_is_ready_to_edit_and_to_hand_in()
        self.setUp()
        self.test_edge_of_a_segment_moves_and_comes_back()

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
        volume, mask, reply = self.phantom()
        outlined = apply_segmentation(reply, volume)
        array = slicer.util.arrayFromSegmentBinaryLabelmap(outlined.node, outlined.segment_ids[1], volume)
        self.assertTrue(np.array_equal(array, mask))
        self.assertEqual(outlined.node.GetSegmentation().GetSegment(outlined.segment_ids[1]).GetName(), "right lung")

    def test_conversation_shows_and_leads_to_segments(self):
        """What is said is shown, its link leads to the segment and dims the others, and one step goes back."""
        volume, _, reply = self.phantom()
        panel = slicer.util.getModuleWidget("MedSIGHT").panel
        panel.asker.connect("http://127.0.0.1:1", "")
        question = panel.asker.prepare(volume, "Outline the right lung.")
        outlined = panel.asker.finish(question, Received(reply, Arrived.of(reply)))
        panel.ui.volumeSelector.setCurrentNode(volume)
        panel.enter()
        self.assertIn("Outline the right lung.", panel.ui.answerBrowser.plainText)
        link, display = qt.QUrl("region:0:1"), outlined.node.GetDisplayNode()
        panel.thread.point_at(link)
        panel.thread.go_to(link)
        self.assertFalse(display.GetSegmentVisibility(outlined.segment_ids[1]))
        panel.pointer.close()
        self.assertTrue(display.GetSegmentVisibility(outlined.segment_ids[1]))
        panel.ui.undoButton.click()
        self.assertEqual(outlined.node.GetSegmentation().GetNumberOfSegments(), 0)

    def test_report_is_collected_and_written(self):
        """A finding and its measurements come into the panel, the scene and a web page with a picture."""
        volume, mask, reply = self.phantom()
        panel = slicer.util.getModuleWidget("MedSIGHT").panel
        panel.asker.connect("http://127.0.0.1:1", "")
        panel.asker.finish(panel.asker.prepare(volume, "Outline it."), Received(reply, Arrived.of(reply)))
        panel.ui.volumeSelector.setCurrentNode(volume)
        panel.enter()
        panel.ui.reportSection.collapsed = False
        panel.ui.collectButton.click()
        self.assertIn(f"{mask.sum() / 1000:.3g} ml", panel.ui.reportBrowser.plainText)
        panel.report.follow(qt.QUrl("finding:0"))
        panel.ui.findingEdit.plainText = "Written over."
        self.assertIn("Written over.", slicer.util.getNode("MedSIGHT report").GetText())
        with tempfile.TemporaryDirectory() as folder:
            page = export_report(volume, Path(folder) / "report.html").read_text(encoding="utf-8")
        self.assertIn("Written over.", page)
        self.assertIn("data:image/png;base64,", page)

    def test_case_is_ready_to_edit_and_to_hand_in(self):
        """A case's segmentation is chosen in the Segment Editor, and what is drawn there goes into its file."""
        volume, mask, _ = self.phantom()
        set_case(volume, OpenCase("case", "SHA256:0"))
        node = ready_to_edit(volume)
        editor = slicer.mrmlScene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
        self.assertIs(editor.GetSegmentationNode(), node)
        node.GetSegmentation().AddEmptySegment("a", "right lung")
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, "a", volume)
        (segment,) = prepare_submission(volume).segments
        self.assertEqual((segment.name, segment.made_by, segment.kept), ("right lung", "drawn", False))
        self.assertEqual(int(segment.outline.mask.sum()), int(mask.sum()))

    def test_edge_of_a_segment_moves_and_comes_back(self):
        """The slider draws a segment anew from the answer's probabilities, and one step goes back."""
        volume, mask, reply = self.phantom()
        likely = np.where(mask.T, 200, 60).astype(np.uint8)
        reply = replace(reply, soft={1: pack(likely, mask.T > 0, 0.5)})
        panel = slicer.util.getModuleWidget("MedSIGHT").panel
        panel.asker.connect("http://127.0.0.1:1", "")
        question = panel.asker.prepare(volume, "Outline it.")
        outlined = panel.asker.finish(question, Received(reply, Arrived.of(reply)))
        panel.ui.volumeSelector.setCurrentNode(volume)
        panel.enter()
        panel.segments.select(outlined.segment_ids[1])
        self.assertEqual(panel.ui.edgeSlider.value, 50)
        panel.ui.edgeSlider.value = 20
        panel.segments._let_go()  # what happens when the hand leaves the slider
        self.assertEqual(self.voxels(outlined, volume), mask.size)
        panel.ui.undoButton.click()
        self.assertEqual(self.voxels(outlined, volume), int(mask.sum()))

    def voxels(self, outlined, volume):
        """How many the segment has."""
        array = slicer.util.arrayFromSegmentBinaryLabelmap(outlined.node, outlined.segment_ids[1], volume)
        return int((array > 0).sum())

    def phantom(self):
        """A volume, a mask in it, and a reply that outlines the mask."""
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
        return volume, mask, Reply(Answer("The right lung [1] is outlined.", (region,)), content)
