"""An annotator's and a reviewer's round through the panel, on real MRML against the real running server."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Iterator

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import slicer
from harness.slicer_app import wait_until
from panels import TOKEN
from worklists import (
    HEART,
    LEFT,
    RIGHT,
    Site,
    begin,
    case_id,
    draw,
    masks_in,
    on_grid,
    press,
    said,
    segmentation,
    settle,
    write_image,
)

from medsight_core.server.running import RunningServer, running_server
from medsight_core.server.settings import Settings

LABEL, REDO, REVIEW = range(3)


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("worklist-studies")


@pytest.fixture(scope="module")
def server(tiny_model_dir: Path, studies: Path) -> Iterator[RunningServer]:
    with running_server(Settings(studies, tiny_model_dir, port=0, token=TOKEN)) as running:
        yield running


@pytest.fixture
def site(server, tmp_path, studies):
    return Site(server, tmp_path, studies)


def editor_node():
    return slicer.mrmlScene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")


def volumes() -> int:
    return slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")


def test_a_case_is_taken_drawn_and_handed_in_voxel_for_voxel(panel, site, tmp_path, monkeypatch):
    begin(panel)
    assert press(panel, "nextButton") == "The server has no images yet: put some into its studies folder."
    (case,) = site.only("chest")
    assert press(panel, "nextButton") == ""
    ui = panel.worklist.ui
    assert case_id(panel) == case
    values = sitk.GetArrayFromImage(sitk.ReadImage(str(write_image(tmp_path / "same.nii.gz"))))
    assert np.array_equal(slicer.util.arrayFromVolume(panel.volume), values)
    assert f"<b>{case}</b>" in ui.caseLabel.text
    assert "by chance" in ui.caseLabel.text.lower() or "." in ui.caseLabel.text
    assert (ui.worklistBar.value, ui.worklistBar.maximum) == (0, 1)
    assert ui.worklistBar.format == "0 of 1 labelled"
    assert editor_node().GetSegmentationNode() is segmentation(panel)
    assert editor_node().GetSourceVolumeNode() is panel.volume
    selected = []
    monkeypatch.setattr(slicer.util, "selectModule", selected.append)
    ui.editButton.click()
    assert selected == ["SegmentEditor"]

    draw(panel, "right lung", RIGHT)
    draw(panel, "left lung", LEFT)
    draw(panel, "heart", None)
    draw(panel, "右の結節", HEART)
    told = press(panel, "submitButton")
    assert told.startswith("Version 1 is kept. MedSIGHT does not know '右の結節'")
    kept, masks = site.kept(case)
    assert [(s.name, s.made_by) for s in kept.segments] == [
        ("right lung", "drawn"), ("left lung", "drawn"), ("heart", "drawn"), ("右の結節", "drawn"),
    ]  # fmt: skip
    for name, mask in {"right lung": RIGHT, "left lung": LEFT, "heart": HEART & False, "右の結節": HEART}.items():
        assert np.array_equal(masks[name], mask), name
    assert (kept.annotator, kept.base_version) == ("anna", 0)
    assert ui.worklistBar.format == "1 of 1 labelled"
    assert "1 to review" in ui.worklistLabel.text
    assert "Of 4 outlines handed in, 0 as the model made them, 0 corrected, 4 drawn" in ui.worklistLabel.text
    assert press(panel, "submitButton") == "Nothing has changed since version 1, so nothing was sent."
    assert press(panel, "nextButton") == (
        "All 1 cases are labelled: choose another task, or add images to the server's studies."
    )
    assert case_id(panel) == case, "nothing is closed for nothing"


def test_the_model_is_asked_first_and_what_it_outlined_is_told_from_what_was_corrected(panel, site):
    site.only("one", "two")
    begin(panel, ask_first=True)
    panel.worklist.ui.firstQuestionEdit.text = "Outline the lungs."
    press(panel, "nextButton")
    first = panel.volume
    wait_until(lambda: not panel.background.busy, 60)
    assert [turn.prompt for turn in panel.asker.conversation(panel.volume).turns] == ["Outline the lungs."]
    assert panel.ui.promptEdit.plainText == "", "the box is the annotator's own"
    # A random model may outline nothing; one of these it does.
    for prompt in ("Outline the right lung.", "What do you see?", "Everything.", "Lungs?", "x"):
        if segmentation(panel).GetSegmentation().GetNumberOfSegments():
            break
        panel.ask_when_free(prompt)
        wait_until(lambda: not panel.background.busy, 60)
    names = list(masks_in(segmentation(panel), panel.volume))
    assert names, "the tiny model outlined nothing"
    draw(panel, names[0], HEART)
    draw(panel, "stomach", RIGHT)
    case = case_id(panel)
    assert press(panel, "submitButton").startswith("Version 1 is kept.")
    kept, _ = site.kept(case)
    makers = {segment.name: segment.made_by for segment in kept.segments}
    assert makers == {names[0]: "edited", **dict.fromkeys(names[1:], "model"), "stomach": "drawn"}
    assert kept.prompt
    assert kept.answer
    panel.worklist.ui.askFirstBox.checked = False
    press(panel, "nextButton")
    assert case_id(panel) not in ("", case)
    assert first.GetScene() is None, "what the server keeps makes room for the next"
    assert volumes() == 1
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1


def test_going_on_by_itself(panel, site):
    cases = site.only("one", "two")
    begin(panel)
    panel.worklist.ui.goOnBox.checked = True
    press(panel, "nextButton")
    first = case_id(panel)
    draw(panel, "heart", HEART)
    press(panel, "submitButton")
    settle(panel)
    assert {first, case_id(panel)} == set(cases)


def test_skipping_keeps_the_work_and_the_case_comes_again_with_it(panel, site):
    site.only("one", "two")
    begin(panel)
    press(panel, "nextButton")
    first, worked_on = case_id(panel), panel.volume
    draw(panel, "heart", HEART)
    assert press(panel, "skipButton") == (
        f"Your work on {first} was not submitted and stays: choose it under Volume to go on with it."
    )
    second = case_id(panel)
    assert second not in ("", first)
    wait_until(lambda: press(panel, "skipButton") and case_id(panel) == first, 30)  # after a second at the latest
    assert panel.volume is worked_on
    assert np.array_equal(masks_in(segmentation(panel), panel.volume)["heart"], HEART)
    assert volumes() == 1, "the other one had no work on it"
    assert press(panel, "submitButton") == "Version 1 is kept."


def test_a_reviewer_sees_the_label_as_it_was_handed_in_and_says_what_to_think_of_it(panel, site):
    (case,) = site.only("one")
    site.hand_in(site.person("ben"), case, {"right lung": RIGHT & ~LEFT, "left lung": LEFT})
    begin(panel, "rita", REVIEW)
    ui = panel.worklist.ui
    press(panel, "nextButton")
    assert case_id(panel) == case
    found = masks_in(segmentation(panel), panel.volume)
    assert np.array_equal(found["right lung"], RIGHT & ~LEFT)
    assert np.array_equal(found["left lung"], LEFT)
    assert "version 1 by ben, submitted" in ui.caseLabel.text
    assert press(panel, "flagButton") == (
        "Say in the comment what is wrong, so that somebody can correct it, then flag."
    )
    ui.commentEdit.text = "The apex is missing."
    ui.levelSelector.currentIndex = 3
    assert press(panel, "flagButton") == "Flagged: it comes to whoever corrects what was flagged."
    listed = site.listed(case)
    assert (listed.status, listed.level, listed.comment, listed.reviewer) == (
        "flagged", "hard", "The apex is missing.", "rita",
    )  # fmt: skip
    assert press(panel, "nextButton") == "No label waits for a review."

    begin(panel, "ben", REDO)
    press(panel, "nextButton")
    assert "rita: The apex is missing." in ui.caseLabel.text
    assert not ui.reviewFrame.visible
    draw(panel, "right lung", RIGHT)
    assert press(panel, "submitButton") == "Version 2 is kept."
    kept, masks = site.kept(case)
    assert [(s.name, s.made_by) for s in kept.segments] == [("right lung", "edited"), ("left lung", "drawn")]
    assert np.array_equal(masks["right lung"], RIGHT)
    assert press(panel, "nextButton") == "No reviewer has flagged a label that is still to be corrected."

    begin(panel, "rita", REVIEW)
    press(panel, "nextButton")
    assert ui.commentEdit.text == "", "a new version has a new review"
    draw(panel, "left lung", LEFT & RIGHT)
    assert press(panel, "approveButton") == (
        "You have changed this label since version 2: submit your version first, or undo the change, because a review "
        "is of what the server keeps."
    )
    draw(panel, "left lung", LEFT)
    assert press(panel, "approveButton") == "Approved."
    assert (site.listed(case).status, site.listed(case).reviewer) == ("approved", "rita")
    assert "0 to review · 0 flagged" in ui.worklistLabel.text


def test_another_annotators_version_is_told_and_can_be_shown_beside(panel, site):
    (case,) = site.only("one")
    begin(panel)
    press(panel, "nextButton")
    draw(panel, "heart", HEART)
    site.hand_in(site.person("ben"), case, {"heart": RIGHT}, base_version=0)
    told = press(panel, "submitButton")
    assert told.startswith("Version 2 is kept. Version 1 was handed in by somebody else, or since you began: both")
    assert panel._colors.busy in panel.worklist.ui.caseStatusLabel.text
    assert site.listed(case).status == "flagged"
    selector = panel.worklist.ui.versionSelector
    assert selector.count == 2
    selector.currentIndex = 1
    assert press(panel, "showVersionButton") == (
        f"Version 1 is shown as {case} version 1: remove that in Data when you are done."
    )
    press(panel, "showVersionButton")
    beside = slicer.util.getNode(f"{case} version 1")
    assert np.array_equal(masks_in(beside, panel.volume)["heart"], RIGHT)
    assert np.array_equal(masks_in(segmentation(panel), panel.volume)["heart"], HEART)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 2, "shown twice, there once"


def test_a_review_is_of_the_version_that_was_looked_at(panel, site):
    (case,) = site.only("one")
    site.hand_in(site.person("ben"), case, {"heart": HEART})
    begin(panel, "rita", REVIEW)
    press(panel, "nextButton")
    site.hand_in(site.person("ben"), case, {"heart": RIGHT}, base_version=1)
    assert press(panel, "approveButton") == (
        "Version 2 came in since you loaded version 1, so nothing was said of it: press Skip until the case comes "
        "again, and look at it anew."
    )
    assert site.listed(case).status == "submitted"
    press(panel, "skipButton")
    assert np.array_equal(masks_in(segmentation(panel), panel.volume)["heart"], RIGHT)
    assert press(panel, "approveButton") == "Approved."


def test_work_that_was_left_meets_a_newer_version(panel, site):
    (case,) = site.only("one")
    site.hand_in(site.person("ben"), case, {"heart": HEART})
    site.boss.review(case, "flagged", comment="Too small.")
    begin(panel, "ben", REDO)
    press(panel, "nextButton")
    draw(panel, "heart", RIGHT)
    site.hand_in(site.person("cleo"), case, {"heart": LEFT}, base_version=1)
    site.boss.review(case, "flagged", comment="Too large.")
    assert press(panel, "skipButton") == "Version 2 came in since you began: it is shown beside your own, to compare."
    assert np.array_equal(masks_in(segmentation(panel), panel.volume)["heart"], RIGHT)
    beside = slicer.util.getNode(f"{case} version 2")
    assert np.array_equal(masks_in(beside, panel.volume)["heart"], LEFT)


@pytest.mark.parametrize("kind", ["nifti", "cropped", "unnamed"])
def test_labels_of_other_programs_are_shown(panel, site, kind, tmp_path):
    """As MONAI Label's client sends them, cut to what they hold as Slicer saves them, or found on the server."""
    (case,) = site.only("one")
    if kind == "nifti":
        site.hand_in(site.person("ben"), case, {"right lung": RIGHT & ~LEFT, "left lung": LEFT}, name="label.nii.gz")
        expected = {"right lung": RIGHT & ~LEFT, "left lung": LEFT}
    elif kind == "cropped":
        begin(panel)
        press(panel, "nextButton")
        draw(panel, "heart", HEART)
        path = tmp_path / "cropped.seg.nrrd"
        storage = slicer.vtkMRMLSegmentationStorageNode()
        storage.SetFileName(str(path))
        assert storage.WriteData(segmentation(panel))
        site.person("ben").submit(case, path, base_version=0)
        slicer.mrmlScene.Clear(0)
        expected = {"heart": HEART}
    else:
        values = np.zeros(HEART.shape, np.uint8)
        values[HEART] = 7
        sitk.WriteImage(on_grid(np.ascontiguousarray(values.T)), str(tmp_path / "found.nrrd"))
        studies = site.studies / "labels" / "final"
        studies.mkdir(parents=True, exist_ok=True)
        (studies / f"{case}.nrrd").write_bytes((tmp_path / "found.nrrd").read_bytes())
        wait_until(lambda: site.listed(case).labelled, 20)
        expected = {"label 7": HEART}
    begin(panel, "rita", REVIEW)
    assert press(panel, "nextButton") == ""
    found = masks_in(segmentation(panel), panel.volume)
    assert set(found) == set(expected)
    for name, mask in expected.items():
        assert np.array_equal(found[name], mask), name
    assert press(panel, "submitButton") == "Nothing has changed since version 1, so nothing was sent."


def test_a_saved_scene_goes_on_where_it_was_left(panel, site, tmp_path):
    (case,) = site.only("one")
    site.hand_in(site.person("ben"), case, {"heart": HEART, "left lung": LEFT})
    begin(panel, "rita", REVIEW)
    press(panel, "nextButton")
    draw(panel, "heart", RIGHT & ~LEFT)
    path = tmp_path / "scene.mrb"
    assert slicer.mrmlScene.WriteToMRB(str(path), None)
    slicer.mrmlScene.Clear(0)
    assert not panel.worklist.ui.caseFrame.visible
    assert slicer.mrmlScene.ReadFromMRB(str(path), True)
    assert case_id(panel) == case
    assert panel.worklist.ui.caseFrame.visible
    assert press(panel, "submitButton") == "Version 2 is kept."
    kept, masks = site.kept(case)
    assert [(s.name, s.made_by) for s in kept.segments] == [("heart", "edited"), ("left lung", "drawn")]
    assert np.array_equal(masks["heart"], RIGHT & ~LEFT)
    assert np.array_equal(masks["left lung"], LEFT)


def test_nothing_to_outline_is_handed_in_when_it_is_meant(panel, site):
    (case,) = site.only("one")
    begin(panel)
    press(panel, "nextButton")
    assert press(panel, "submitButton") == (
        "Nothing is outlined: outline something, or tick 'Nothing to outline' if that is what you mean."
    )
    panel.worklist.ui.nothingBox.checked = True
    assert press(panel, "submitButton") == "Version 1 is kept."
    assert site.kept(case)[0].segments == ()
    assert not panel.worklist.ui.nothingBox.checked, "meant for one case"


def test_an_image_that_was_replaced_meanwhile_is_refused(panel, site, tmp_path):
    (case,) = site.only("one")
    begin(panel)
    press(panel, "nextButton")
    draw(panel, "heart", HEART)
    (site.studies / f"{case}.nii.gz").write_bytes(write_image(tmp_path / "other.nii.gz", seed=99).read_bytes())
    assert press(panel, "submitButton").startswith("The image was replaced since this segmentation was begun")
    assert site.boss.versions(case).versions == ()
    assert np.array_equal(masks_in(segmentation(panel), panel.volume)["heart"], HEART)


def test_the_server_is_gone_while_a_label_is_handed_in(panel, site, server):
    """The process is killed in the middle of it. It is this file's server, so this test stays the last."""
    site.only("one")
    begin(panel)
    press(panel, "nextButton")
    draw(panel, "heart", HEART)
    server.process.send_signal(signal.SIGSTOP)  # so that the label is on its way when the end comes
    panel.worklist.ui.submitButton.click()
    assert said(panel) == "Handing in the segments …"
    server.process.kill()
    assert "broke the connection before its reply was complete" in settle(panel)
    assert "No MedSIGHT server answers" in press(panel, "submitButton")
    assert "No MedSIGHT server answers" in press(panel, "skipButton")
    assert np.array_equal(masks_in(segmentation(panel), panel.volume)["heart"], HEART)
    assert panel.worklist.ui.submitButton.enabled
