"""What can go wrong around a worklist: always a sentence, no work lost, nothing half made."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
import slicer
from harness.slicer_app import wait_until
from panels import INFO, add_volume, ask, held, start, wait
from replies import box
from worklists import SHAPE, begin, case_id, draw, masks_in, press, said, segmentation, settle, write_image

MASK = box(SHAPE, (2, 6), (2, 6), (2, 5))
NOTHING = {"objects": {}}
ONE = {"objects": {"one": {"labels": {}}}}
STRATEGIES = {"strategies": {"hybrid": {}, "random": {}, "newest": {}}}


def offer(server, *cases: str, image: bytes) -> None:
    """The server hands out these cases, one after the other, all with the same image."""
    left = list(cases)

    def next_case(handler) -> None:
        said = {"id": left.pop(0), "score": 0.5, "reason": "It was drawn."} if left else {}
        body = json.dumps(said).encode()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    server.on_json("GET /info/", STRATEGIES)
    server.on_json("GET /datastore/", {"objects": {case: {"labels": {}} for case in cases}})
    server.on_call("POST /activelearning/hybrid", next_case)
    digest = hashlib.sha256(image).hexdigest()
    server.on_json("GET /medsight/corrections", {"image_hash": f"SHA256:{digest}", "versions": []})
    server.on("GET /datastore/image", 200, image, Content_Disposition='attachment; filename="x.nii.gz"')
    server.on_json("PUT /datastore/label", {"version": 1, "notices": []})


@pytest.fixture
def image(tmp_path) -> bytes:
    return write_image(tmp_path / "image.nii.gz").read_bytes()


@pytest.fixture
def opened(panel, server, image):
    """The panel with a case in it that nothing is outlined on."""
    offer(server, "one", "two", image=image)
    begin(panel)
    press(panel, "nextButton")
    assert case_id(panel) == "one"
    return panel


def handed_in(server) -> list[bytes]:
    return [seen.body for seen in server.seen if seen.method == "PUT" and seen.path.startswith("/datastore/label?")]


def enabled(panel) -> list[str]:
    names = ("nextButton", "skipButton", "submitButton")
    return [name for name in names if getattr(panel.worklist.ui, name).enabled]


def test_buttons_can_be_pressed_when_they_can_do_something(panel, server, image):
    offer(server, "one", image=image)
    begin(panel)
    ui = panel.worklist.ui
    assert enabled(panel) == ["nextButton"]
    assert not ui.caseFrame.visible
    press(panel, "nextButton")
    assert enabled(panel) == ["skipButton", "submitButton"]
    assert ui.nextButton.toolTip == "Submit or skip this case first"
    assert ui.caseFrame.visible
    assert not ui.reviewFrame.visible
    draw(panel, "heart", MASK)
    press(panel, "submitButton")
    assert enabled(panel) == ["nextButton", "submitButton"]
    other = add_volume("no case")
    panel.ui.volumeSelector.setCurrentNode(other)
    assert enabled(panel) == ["nextButton"]
    assert not ui.caseFrame.visible
    panel.worklist.submit()  # as a script may
    assert said(panel).startswith("The chosen volume is no case of the worklist: press Next case")


def test_strategies_are_the_servers_and_the_choice_is_kept(panel, server, image):
    offer(server, "one", image=image)
    server.on_json("POST /activelearning/newest", {})
    begin(panel)
    selector = panel.worklist.ui.strategySelector
    assert [selector.itemText(n) for n in range(selector.count)] == [
        "Doubt and difference together", "By chance", "newest",
    ]  # fmt: skip
    selector.currentIndex = 2
    press(panel, "nextButton")
    assert server.seen[-1].path == "/activelearning/newest"
    settings = slicer.app.userSettings()
    assert settings.value("MedSIGHT/Strategy") == "newest"
    assert settings.value("MedSIGHT/Annotator") == "anna"
    assert (
        "anna"
        not in slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScriptedModuleNode").GetParameterNamesAsCommaSeparatedList()
    )


def test_nobody_labels_without_a_name(panel, server, image):
    offer(server, "one", image=image)
    begin(panel, name="  ")
    assert "0 of 1 labelled" in panel.worklist.ui.worklistBar.format, "looking needs none"
    assert press(panel, "nextButton") == (
        "An annotator needs a name of at most 128 characters: it is kept with every label."
    )
    assert case_id(panel) == ""


def test_a_server_without_a_worklist(panel, server):
    server.on_json("GET /info/", {"detail": "There is nothing here."}, status=404)
    begin(panel)
    assert said(panel) == "There is nothing here."
    assert enabled(panel) == ["nextButton"]


@pytest.mark.parametrize(
    ("task", "worklist", "text"),
    [
        (0, NOTHING, "The server has no images yet: put some into its studies folder."),
        (0, ONE, "All 1 cases are labelled: choose another task, or add images to the server's studies."),
        (1, ONE, "No reviewer has flagged a label that is still to be corrected."),
        (2, ONE, "No label waits for a review."),
        (2, NOTHING, "The server has no images yet: put some into its studies folder."),
    ],
)
def test_no_case_is_left(panel, server, image, task, worklist, text):
    offer(server, image=image)
    server.on_json("GET /datastore/", worklist)
    begin(panel, task=task)
    assert press(panel, "nextButton") == text
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0


def test_two_clicks_hand_in_once(opened, server):
    draw(opened, "heart", MASK)
    with held(server, "PUT /datastore/label"):
        opened.worklist.ui.submitButton.click()
        assert enabled(opened) == []
        opened.worklist.ui.submitButton.click()
        opened.worklist.submit()
        opened.worklist.next()
        opened.worklist.skip()
        assert said(opened) == "Handing in the segments …"
    assert settle(opened) == "Version 1 is kept."
    assert len(handed_in(server)) == 1
    assert case_id(opened) == "one"


def test_what_cannot_be_handed_in(opened, server):
    draw(opened, "heart", None)
    assert press(opened, "submitButton").startswith("Nothing is outlined: outline something, or tick")
    draw(opened, "heart", MASK)
    segmentation(opened).GetSegmentation().AddEmptySegment("again", " heart ")
    assert press(opened, "submitButton") == (
        "Several segments are called 'heart': rename, merge or remove all but one."
    )
    segmentation(opened).GetSegmentation().RemoveSegment("again")
    opened.volume.SetAndObserveImageData(None)
    assert press(opened, "submitButton") == "The chosen volume holds no voxels: load it again, or choose another."
    assert handed_in(server) == []


def test_a_refused_label_stays_as_it_is(opened, server):
    server.on_json("PUT /datastore/label", {"detail": "The label is of no use: draw another."}, status=422)
    draw(opened, "heart", MASK)
    assert press(opened, "submitButton") == "The label is of no use: draw another."
    assert enabled(opened) == ["skipButton", "submitButton"]
    assert np.array_equal(masks_in(segmentation(opened), opened.volume)["heart"], MASK)
    server.on_json("PUT /datastore/label", {"version": 1, "notices": []})
    assert press(opened, "submitButton") == "Version 1 is kept."
    assert len(handed_in(server)) == 2


def test_a_full_disk(opened, server, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    draw(opened, "heart", MASK)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("MedSIGHTLib.submission_file.open", full, raising=False)
    assert press(opened, "submitButton") == (
        "The segments cannot be written to the temporary folder, so nothing was sent: see whether the disk is full."
    )
    assert [name for name in os.listdir(tmp_path) if name.startswith("medsight-")] == []
    monkeypatch.undo()
    assert press(opened, "submitButton") == "Version 1 is kept."


def test_edits_while_a_label_is_on_its_way_are_new(opened, server):
    draw(opened, "heart", MASK)
    with held(server, "PUT /datastore/label"):
        opened.worklist.ui.submitButton.click()
        draw(opened, "heart", ~MASK)
    assert settle(opened) == "Version 1 is kept."
    server.on_json("PUT /datastore/label", {"version": 2, "notices": []})
    assert press(opened, "submitButton") == "Version 2 is kept."
    assert b'"made_by": "edited"' in handed_in(server)[-1]
    assert b'"base_version": 1' in handed_in(server)[-1]
    assert press(opened, "submitButton") == "Nothing has changed since version 2, so nothing was sent."


def test_only_what_changed_travels_to_a_server_that_has_the_rest(panel, server, image):
    server.on_json("GET /medsight/info", {**INFO, "capabilities": ["unchanged"]})
    offer(server, "one", image=image)
    begin(panel)
    press(panel, "nextButton")
    draw(panel, "heart", MASK)
    draw(panel, "stomach", MASK)
    press(panel, "submitButton")
    draw(panel, "heart", ~MASK)
    server.on_json("PUT /datastore/label", {"version": 2, "notices": []})
    assert press(panel, "submitButton") == "Version 2 is kept."
    first, second = handed_in(server)
    assert b'"unchanged": []' in first
    assert b"Segment1_Name:=stomach" in first
    assert b'"unchanged": ["stomach"]' in second
    assert b"Segment0_Name:=heart" in second
    assert b"Segment1_" not in second
    assert press(panel, "submitButton") == "Nothing has changed since version 2, so nothing was sent."


@pytest.mark.parametrize(
    "close", [lambda volume: slicer.mrmlScene.RemoveNode(volume), lambda _: slicer.mrmlScene.Clear(0)]
)
def test_the_case_is_closed_while_its_label_is_handed_in(opened, server, close):
    draw(opened, "heart", MASK)
    with held(server, "PUT /datastore/label"):
        opened.worklist.ui.submitButton.click()
        close(opened.volume)
    assert settle(opened) == "Version 1 is kept.", "it had left the scene before"
    assert len(handed_in(server)) == 1
    assert enabled(opened) == ["nextButton"]


def test_the_case_is_closed_while_the_model_is_asked_about_it(opened, server):
    with held(server):
        opened.ask_when_free("Outline the heart.")
        wait_until(lambda: opened.background.busy)
        slicer.mrmlScene.RemoveNode(opened.volume)
        wait_until(lambda: not opened.background.busy)
    assert "The volume was removed while the server answered, so nothing was added" in opened.ui.statusLabel.text
    assert case_id(opened) == ""
    press(opened, "nextButton")
    assert case_id(opened) == "two"


def test_a_case_whose_model_still_answers_is_not_handed_in(opened, server):
    draw(opened, "heart", MASK)
    with held(server):
        start(opened, "Outline the lungs.")
        assert press(opened, "submitButton") == (
            "The model still answers about this case: wait for it, or cancel, then submit."
        )
        opened.ui.cancelButton.click()
        wait(opened)
    assert handed_in(server) == []
    assert press(opened, "submitButton") == "Version 1 is kept."


def test_the_next_question_waits_for_the_one_before(panel, server, image):
    """A case comes while a question about another volume is on its way."""
    add_volume()
    offer(server, "one", image=image)
    begin(panel, ask_first=True)
    with held(server):
        start(panel, "Outline the lungs.")
        press(panel, "nextButton")
        assert case_id(panel) == "one"
        assert panel.asker.conversation(panel.volume).turns == ()
    wait_until(lambda: panel.asker.conversation(panel.volume).turns or "so nothing" in panel.ui.statusLabel.text)
    wait(panel)
    asked = [seen.body for seen in server.seen if seen.path.startswith("/infer")]
    assert len(asked) == 2
    assert b"What+can+you+see" in asked[1]


def test_a_case_that_cannot_be_fetched_leaves_the_one_before(opened, server, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    draw(opened, "heart", MASK)
    volume = opened.volume
    server.on("GET /datastore/image", 200, b"other", Content_Disposition='attachment; filename="x.nii.gz"')
    assert "was replaced or damaged while it was on its way" in press(opened, "skipButton")
    assert opened.volume is volume
    assert np.array_equal(masks_in(segmentation(opened), volume)["heart"], MASK)
    assert [name for name in os.listdir(tmp_path) if name.startswith("medsight-")] == []


def test_an_image_that_slicer_cannot_read(opened, server):
    content = b"this is no image"
    digest = hashlib.sha256(content).hexdigest()
    server.on_json("GET /medsight/corrections", {"image_hash": f"SHA256:{digest}", "versions": []})
    server.on("GET /datastore/image", 200, content, Content_Disposition='attachment; filename="x.nii.gz"')
    assert press(opened, "skipButton") == (
        "Slicer cannot read the image of the case two: skip it, and tell whoever looks after the server."
    )
    assert case_id(opened) == "one"
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 1


@pytest.mark.parametrize(
    ("label", "name", "text"),
    [
        (b"NRRD0004\nnonsense", "label.nrrd", "The label that the server keeps cannot be read here"),
        ("image", "label.nii.gz", "Version 1 of the label is an image and no label: draw anew."),
        ("elsewhere", "label.nrrd", "Version 1 of the label does not lie on the image's voxels, so it is not shown"),
    ],
)
def test_a_label_that_cannot_be_shown_leaves_the_image(panel, server, image, tmp_path, label, name, text):
    import SimpleITK as sitk  # noqa: N813

    content = label
    if label == "image":
        content = image
    elif label == "elsewhere":
        sitk.WriteImage(sitk.GetImageFromArray(np.ones(SHAPE[::-1], np.uint8)), str(tmp_path / "a.nrrd"))
        content = (tmp_path / "a.nrrd").read_bytes()
    offer(server, "one", image=image)
    version = {
        "version": 1,
        "tag": "final",
        "segments": [],
        "label_hash": f"SHA256:{hashlib.sha256(content).hexdigest()}",
    }
    digest = hashlib.sha256(image).hexdigest()
    server.on_json("GET /medsight/corrections", {"image_hash": f"SHA256:{digest}", "versions": [version]})
    server.on("GET /medsight/corrections/1", 200, content, Content_Disposition=f'attachment; filename="{name}"')
    begin(panel)
    assert press(panel, "nextButton").startswith(text)
    assert case_id(panel) == "one"
    assert segmentation(panel).GetSegmentation().GetNumberOfSegments() == 0


def test_a_version_that_has_gone(opened, server):
    draw(opened, "heart", MASK)
    press(opened, "submitButton")
    assert press(opened, "showVersionButton") == "The server has no version 1 of this label any more."


def test_a_version_that_comes_after_its_case_was_closed(opened, server):
    draw(opened, "heart", MASK)
    press(opened, "submitButton")
    path = Path(__file__)  # any content: it is not looked at
    version = {
        "version": 1,
        "tag": "final",
        "segments": [],
        "label_hash": f"SHA256:{hashlib.sha256(path.read_bytes()).hexdigest()}",
    }
    server.on_json("GET /medsight/corrections", {"image_hash": "", "versions": [version]})
    server.on(
        "GET /medsight/corrections/1", 200, path.read_bytes(), Content_Disposition='attachment; filename="label.nii.gz"'
    )
    with held(server, "GET /medsight/corrections"):
        opened.worklist.ui.showVersionButton.click()
        slicer.mrmlScene.Clear(0)
    assert settle(opened) == "The case was closed while its version was on its way, so nothing was added."
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def test_a_report_on_a_case_keeps_it_open(opened, server):
    ask(opened)
    opened.ui.noteButton.click()
    draw(opened, "heart", MASK)
    press(opened, "submitButton")
    volume = opened.volume
    press(opened, "nextButton")
    assert case_id(opened) == "two"
    assert volume.GetScene() is not None


def test_a_case_written_by_another_version_is_none(panel):
    volume = add_volume()
    for text in ("{", "[]", '{"id": 5, "image_hash": ""}', '{"image_hash": ""}'):
        volume.SetAttribute("MedSIGHT.Case", text)
        panel.enter()
        assert not panel.worklist.ui.caseFrame.visible, text
