"""Reports in a real scene and real files: collected, measured, saved with the scene, exported."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import zipfile
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import slicer
import vtk
from PIL import Image
from replies import MODEL, reply_of
from scenes import LEFT, RIGHT, SHAPE, add_volume, affine_lps, edit, oblique_ras

from medsight_core.answer import NOTICE
from medsight_core.errors import InputError

SHEARED_RAS = np.array([[-0.9, 0.4, 0.0, 12], [0.0, -1.1, 0.5, -7], [0.2, 0.0, 3.0, 31], [0, 0, 0, 1]])
GRIDS = {"oblique": oblique_ras(), "sheared": SHEARED_RAS}
PATIENT = "DOE^JANE 19700101 1.2.840.113619"


@pytest.fixture
def lib(scene):
    from MedSIGHTLib import conversation, conversation_store, report_store, reporting, segments

    return SimpleNamespace(
        Turn=conversation.Turn,
        Conversation=conversation.Conversation,
        save_conversation=conversation_store.save_conversation,
        store=report_store,
        reporting=reporting,
        segments=segments,
    )


@pytest.fixture
def asked(lib):
    """A function that puts a volume with two outlined lungs and the conversation about them into the scene."""

    def asked(ijk_to_ras=GRIDS["oblique"], voxels=None, masks=(RIGHT, LEFT)):
        volume = add_volume(ijk_to_ras, voxels, PATIENT)
        reply = reply_of(["right lung", "left lung"], masks, affine_lps(ijk_to_ras))
        outlined = lib.segments.apply_segmentation(reply, volume)
        conversation = lib.Conversation((lib.Turn("Outline the lungs.", reply.answer, outlined.segment_ids),))
        lib.save_conversation(volume, conversation)
        return volume, outlined.node

    return asked


def measured(report) -> list:
    return [structure.measured for structure in report.findings[0].structures]


def diameter(mask: np.ndarray, affine: np.ndarray) -> float:
    """The plain way for a box-like mask (I, J, K): all middles of all faces of its outermost voxels, each with each."""
    index = np.argwhere(mask)
    index = index[((index == index.min(axis=0)) | (index == index.max(axis=0))).any(axis=1)]
    faces = np.concatenate([index + sign * step for sign, step in product((-0.5, 0.5), np.eye(3))])
    points = faces @ affine[:3, :3].T
    return max(float(np.linalg.norm(points - point, axis=1).max()) for point in points)


def text_nodes() -> list:
    return [node for node in slicer.util.getNodesByClass("vtkMRMLTextNode") if not node.GetHideFromEditors()]


@pytest.mark.parametrize("ijk_to_ras", GRIDS.values(), ids=GRIDS)
def test_outlines_are_measured_in_the_space_of_the_patient(lib, asked, ijk_to_ras):
    voxels = np.random.default_rng(3).integers(-1000, 2000, SHAPE).astype(np.int16)
    volume, _ = asked(ijk_to_ras, voxels)
    report = lib.reporting.collect_findings(volume)
    assert [structure.name for structure in report.findings[0].structures] == ["right lung", "left lung"]
    for found, mask in zip(measured(report), (RIGHT, LEFT)):
        assert found.volume_ml == pytest.approx(mask.sum() * abs(np.linalg.det(ijk_to_ras)) / 1000)
        assert found.diameter_mm == pytest.approx(diameter(mask, ijk_to_ras))
        assert found.mean == pytest.approx(voxels[mask].mean())
    assert lib.store.load_report(volume) == report


def test_transform_above_the_volume_changes_no_measurement(lib, asked):
    volume, node = asked()
    before = measured(lib.reporting.collect_findings(volume))
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(np.diag([2.0, 3.0, 1.0, 1.0]).ravel())
    transform.SetMatrixTransformToParent(matrix)
    for moved in (volume, node):
        moved.SetAndObserveTransformNodeID(transform.GetID())
    assert measured(lib.reporting.collect_findings(volume)) == before


def test_unit_is_known_of_a_ct_from_dicom_only(lib, asked):
    volume, _ = asked()
    assert lib.reporting.collect_findings(volume).findings[0].structures[0].unit == ""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(volume) or hierarchy.CreateItem(hierarchy.GetSceneItemID(), volume)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "CT")
    assert lib.reporting.collect_findings(volume).findings[0].structures[0].unit == "HU"


def test_what_a_person_changed_is_measured_anew_and_said_to_be_changed(lib, asked):
    volume, node = asked()
    before = lib.reporting.collect_findings(volume)
    assert not any(structure.by_hand for structure in before.findings[0].structures)
    segment_id = before.findings[0].structures[1].segment_id
    edit(node, segment_id, volume, RIGHT)
    node.GetSegmentation().GetSegment(segment_id).SetName("left lung, upper lobe")
    node.GetSegmentation().GetSegment(segment_id).SetColor(0.25, 0.5, 0.75)
    right, left = lib.reporting.collect_findings(volume).findings[0].structures
    assert (right.by_hand, left.by_hand) == (False, True)
    assert (left.name, left.color) == ("left lung, upper lobe", (0.25, 0.5, 0.75))
    assert left.measured == right.measured != before.findings[0].structures[1].measured


def test_outline_drawn_on_finer_voxels_is_measured_on_those_of_the_volume(lib, asked):
    volume, node = asked(np.diag([-1.0, -1.0, 2.0, 1.0]))
    segment_id = lib.reporting.collect_findings(volume).findings[0].structures[0].segment_id
    fine = slicer.util.addVolumeFromArray(np.zeros((32, 48, 40), np.int16), np.diag([-0.5, -0.5, 1.0, 1.0]), "fine")
    mask = np.zeros((40, 48, 32), bool)  # (I, J, K)
    mask[4:21, 6:25, 4:19] = True
    edit(node, segment_id, fine, mask)
    found = measured(lib.reporting.collect_findings(volume))[0]
    assert found.volume_ml == pytest.approx(mask.sum() * 0.25 / 1000, rel=0.2)
    assert found.diameter_mm == pytest.approx(diameter(mask, np.diag([0.5, 0.5, 1.0, 1.0])), abs=2)


def test_outline_that_is_gone_or_empty_stays_without_numbers_and_comes_back(lib, asked):
    volume, node = asked()
    first, second = lib.reporting.collect_findings(volume).findings[0].structures
    segment = node.GetSegmentation().GetSegment(first.segment_id)
    node.GetSegmentation().RemoveSegment(first.segment_id)
    edit(node, second.segment_id, volume, np.zeros(SHAPE, bool))
    report = lib.reporting.collect_findings(volume)
    assert measured(report) == [None, None]
    assert report.findings[0].structures[0].name == "right lung"
    node.GetSegmentation().AddSegment(segment, first.segment_id)
    assert measured(lib.reporting.collect_findings(volume))[0] == first.measured
    slicer.mrmlScene.RemoveNode(node)
    assert measured(lib.reporting.collect_findings(volume)) == [None, None]


def test_report_is_a_text_node_that_people_can_read(lib, asked):
    volume, _ = asked()
    lib.reporting.collect_findings(volume)
    (node,) = text_nodes()
    assert node.GetName() == "MedSIGHT report"
    assert NOTICE in node.GetText()
    assert "right lung: " in node.GetText()
    assert "Model: tiny 7, licence: CC0" in node.GetText()
    lib.reporting.collect_findings(volume)
    assert text_nodes() == [node]
    lib.store.save_report(volume, lib.store.load_report(volume).without(0))
    assert text_nodes() == []


def test_saved_scene_brings_the_report_back(lib, asked, tmp_path):
    volume, _ = asked()
    report = lib.reporting.collect_findings(volume).with_note()
    report = report.with_text(1, "Größer; 'als' \"2 cm\" & <mehr>:\n肝 %20")
    lib.store.save_report(volume, report)
    text = text_nodes()[0].GetText()
    path = tmp_path / "scene.mrb"
    assert slicer.mrmlScene.WriteToMRB(str(path), None)
    with zipfile.ZipFile(path) as scene:
        assert not [name for name in scene.namelist() if name.endswith(".txt")], "no file more to lose"
    slicer.mrmlScene.Clear(0)
    assert slicer.mrmlScene.ReadFromMRB(str(path), True)
    volume = slicer.util.getNode(PATIENT)
    assert lib.store.load_report(volume) == report
    assert [node.GetText() for node in text_nodes()] == [text]
    lib.reporting.collect_findings(volume)
    assert [node.GetText() for node in text_nodes()] == [text], "measured the same, and not collected twice"


def test_each_volume_has_its_own_report(lib, asked):
    volume, _ = asked()
    lib.reporting.collect_findings(volume)
    other = add_volume(oblique_ras())
    assert lib.store.load_report(other).findings == ()
    lib.store.save_report(other, lib.store.load_report(other).with_note())
    assert len(lib.store.load_report(volume).findings[0].structures) == 2


def test_node_that_somebody_wrote_over_elsewhere_is_left_beside(lib, asked):
    volume, _ = asked()
    report = lib.reporting.collect_findings(volume)
    (own,) = text_nodes()
    own.SetText("My own words.")
    lib.store.save_report(volume, report.with_note())
    assert [node.GetText() == "My own words." for node in text_nodes()] == [True, False]
    assert lib.store.load_report(volume) == report.with_note()


def test_report_of_a_newer_version_is_left_beside(lib, asked):
    volume, _ = asked()
    report = lib.reporting.collect_findings(volume)
    (newer,) = text_nodes()
    newer.SetAttribute("MedSIGHT.Report", report.to_json().replace('"version": 1', '"version": 2'))
    assert lib.store.load_report(volume).findings == ()
    lib.store.save_report(volume, report)
    assert len(text_nodes()) == 2
    assert lib.store.load_report(volume) == report


def test_web_page_has_a_picture_of_each_outline(lib, asked, tmp_path):
    volume, _ = asked()
    lib.reporting.collect_findings(volume)
    path = lib.reporting.export_report(volume, tmp_path / "report")
    assert path == tmp_path / "report.html"
    pictures = re.findall(r"src='data:image/png;base64,([^']*)'", path.read_text("utf-8"))
    assert len(pictures) == 2
    for data in pictures:
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            pixels = np.asarray(picture).astype(int)
        assert max(picture.size) == 384
        assert (np.ptp(pixels, axis=2) > 50).any(), "an outline in colour"


def test_pictures_have_the_window_that_slicer_shows(lib, asked, tmp_path):
    voxels = np.full(SHAPE, 40, np.int16)
    volume, _ = asked(np.diag([-1.0, -1.0, 1.0, 1.0]), voxels)
    volume.CreateDefaultDisplayNodes()
    display = volume.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    lib.reporting.collect_findings(volume)
    for window, level, grey in ((100, 50, 102), (100, 200, 0), (100, -100, 255)):
        display.SetWindowLevel(window, level)
        page = lib.reporting.export_report(volume, tmp_path / "a.html").read_text("utf-8")
        data = base64.b64decode(re.search(r"base64,([^']*)'", page)[1])
        with Image.open(io.BytesIO(data)) as picture:
            assert picture.getpixel((2, 2)) == (grey, grey, grey)


def test_text_and_json_are_those_of_the_report(lib, asked, tmp_path):
    volume, _ = asked()
    report = lib.reporting.collect_findings(volume)
    text = lib.reporting.export_report(volume, tmp_path / "report.TXT").read_text("utf-8")
    assert text == text_nodes()[0].GetText()
    data = json.loads(lib.reporting.export_report(volume, tmp_path / "report.json").read_text("utf-8"))
    assert data["notice"] == NOTICE
    assert data["findings"][0]["model"] == MODEL.to_json()
    structure = data["findings"][0]["structures"][0]
    assert structure["segment_id"] == report.findings[0].structures[0].segment_id
    assert structure["measured"]["diameter_mm"] == report.findings[0].structures[0].measured.diameter_mm


def test_export_measures_what_is_there_now(lib, asked, tmp_path):
    volume, node = asked()
    structures = lib.reporting.collect_findings(volume).findings[0].structures
    node.GetSegmentation().RemoveSegment(structures[1].segment_id)
    edit(node, structures[0].segment_id, volume, LEFT)
    text = lib.reporting.export_report(volume, tmp_path / "report.txt").read_text("utf-8")
    assert f"right lung (changed by hand): {LEFT.sum() * 0.7 * 0.9 * 2.5 / 1000:.3g} ml" in text
    assert "left lung: no longer outlined in the scene" in text
    assert "src='data:" in lib.reporting.export_report(volume, tmp_path / "report.html").read_text("utf-8")


def test_nothing_about_the_patient_is_in_a_report_or_a_log(lib, asked, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    volume, _ = asked()
    volume.SetAttribute("DICOM.instanceUIDs", "1.2.840.113619.1 1.2.840.113619.2")
    volume.SetDescription(PATIENT)
    lib.reporting.collect_findings(volume)
    contents = [lib.reporting.export_report(volume, tmp_path / f"report.{kind}") for kind in ("html", "txt", "json")]
    written = [path.read_text("utf-8") for path in contents]
    (node,) = text_nodes()
    for words in [*written, node.GetName(), node.GetText(), node.GetAttribute("MedSIGHT.Report"), caplog.text]:
        for part in PATIENT.split():
            assert part not in words


def test_file_of_another_kind_is_refused(lib, asked, tmp_path):
    volume, _ = asked()
    lib.reporting.collect_findings(volume)
    with pytest.raises(InputError) as error:
        lib.reporting.export_report(volume, tmp_path / "report.pdf")
    assert str(error.value) == ("A report cannot be written as .pdf: let the file's name end in .html, .txt or .json.")
    assert list(tmp_path.iterdir()) == []


def test_empty_report_is_refused(lib, asked, tmp_path):
    volume, _ = asked()
    with pytest.raises(InputError) as error:
        lib.reporting.export_report(volume, tmp_path / "report.html")
    assert str(error.value) == ("The report is empty: ask about the volume and collect the findings, or add a note.")


def test_folder_that_is_not_there_is_refused_without_naming_it(lib, asked, tmp_path):
    volume, _ = asked()
    lib.reporting.collect_findings(volume)
    with pytest.raises(InputError) as error:
        lib.reporting.export_report(volume, tmp_path / "none" / "report.html")
    assert str(error.value) == (
        "The report cannot be written there: choose another folder, or see whether the disk is full."
    )


def test_volume_without_voxels_cannot_be_measured(lib, asked):
    from medsight_core.errors import VolumeError

    volume, _ = asked()
    volume.SetAndObserveImageData(None)
    with pytest.raises(VolumeError, match="The chosen volume holds no voxels"):
        lib.reporting.collect_findings(volume)


def test_conversation_without_answers_makes_no_report(lib):
    volume = add_volume(oblique_ras())
    assert lib.reporting.collect_findings(volume).findings == ()
    assert text_nodes() == []
