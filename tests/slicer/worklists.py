"""A worklist on a real server, a second person who works on it, and what an annotator does in the panel."""

from __future__ import annotations

import secrets
from pathlib import Path

import numpy as np
import requests
import SimpleITK as sitk  # noqa: N813
import slicer
from harness.slicer_app import wait_until
from panels import TOKEN, connect
from replies import box
from scenes import edit

from medsight_core.client import Annotator, Segment

SHAPE = (12, 10, 8)  # (I, J, K)
RIGHT, LEFT = box(SHAPE, (1, 5), (2, 8), (1, 6)), box(SHAPE, (4, 9), (2, 8), (1, 6))  # they overlap
HEART = box(SHAPE, (9, 11), (1, 3), (2, 4))


def write_image(path: Path, seed: int = 0) -> Path:
    """Noise on an oblique grid with voxels of three different lengths."""
    values = np.random.default_rng(seed).integers(-1000, 400, SHAPE[::-1]).astype(np.int16)
    sitk.WriteImage(on_grid(values), str(path))
    return path


def on_grid(values: np.ndarray) -> sitk.Image:
    """``values`` (K, J, I) on the grid of all images here."""
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((0.8, 1.2, 3.0))
    image.SetOrigin((-20.0, 31.5, 7.25))
    turn, tilt = np.radians(12), np.radians(-7)
    about_s = [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    about_l = [[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]]
    image.SetDirection((np.array(about_s) @ np.array(about_l)).ravel().tolist())
    return image


def write_labelmap(path: Path, *masks: np.ndarray) -> Path:
    """One value for each mask (I, J, K), from 1 on; the later one wins."""
    values = np.zeros(SHAPE, np.uint8)
    for number, mask in enumerate(masks, 1):
        values[mask] = number
    sitk.WriteImage(on_grid(np.ascontiguousarray(values.T)), str(path))
    return path


class Site:
    """The server's side of a test: cases of its own, and people who work on them without a panel."""

    def __init__(self, server, folder: Path, studies: Path):
        self._server, self._folder, self.studies = server, folder, studies
        self.boss = self.person("boss")

    def person(self, name: str) -> Annotator:
        return Annotator(name, self._server.address, self._server.token)

    def only(self, *cases: str) -> list[str]:
        """Make these the only cases that anything is left to do about; their ids, which are new each time."""
        for case in self.boss.worklist().cases:
            if not case.labelled:
                self.hand_in(self.boss, case.id, {"heart": HEART})
            if case.status != "approved":
                self.boss.review(case.id, "approved")
        ids = [f"{case}-{secrets.token_hex(3)}" for case in cases]
        for seed, case in enumerate(ids):
            with write_image(self._folder / f"{case}.nii.gz", seed).open("rb") as file:
                self._put("/datastore/image", {"image": case}, file)
        return ids

    def hand_in(self, person: Annotator, case: str, masks: dict[str, np.ndarray], name="label.nrrd", **said):
        path = write_labelmap(self._folder / name, *masks.values())
        segments = [Segment(label, name, "drawn") for label, name in enumerate(masks, 1)]
        return person.submit(case, path, segments=segments, **said)

    def listed(self, case: str):
        return next(listed for listed in self.boss.worklist().cases if listed.id == case)

    def kept(self, case: str, version: int = -1) -> tuple:
        """A version, and the masks (I, J, K) in its file by name."""
        from medsight_core.imaging.label_file import read_label_file

        found = self.boss.versions(case).versions[version]
        file = read_label_file(self.boss.download_version(case, found, self._folder))
        names = [segment.name for segment in found.segments]
        return found, {name: segment.mask for name, segment in zip(names, file.segments)}

    def _put(self, path: str, query: dict, file) -> None:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        files = {"file": ("image.nii.gz", file)}
        reply = requests.put(self._server.address + path, params=query, headers=headers, files=files, timeout=60)
        assert reply.status_code == 200, reply.text


def begin(panel, name: str = "anna", task: int = 0, ask_first: bool = False) -> None:
    """A person opens the section and says who they are and what they want to do."""
    connect(panel)
    ui = panel.worklist.ui
    ui.annotatorEdit.text = name
    ui.askFirstBox.checked = ask_first
    ui.goOnBox.checked = False
    ui.taskSelector.currentIndex = task
    ui.worklistSection.collapsed = False
    settle(panel)


def press(panel, button: str) -> str:
    """Press a button of the section and wait; what the section says then."""
    getattr(panel.worklist.ui, button).click()
    return settle(panel)


def settle(panel) -> str:
    wait_until(lambda: not panel.worklist.background.busy, 30)
    return said(panel)


def said(panel) -> str:
    import qt

    document = qt.QTextDocument()
    document.setHtml(panel.worklist.ui.caseStatusLabel.text)
    return document.toPlainText()


def case_id(panel) -> str:
    from MedSIGHTLib.case_store import case_of

    case = case_of(panel.volume)
    return case.id if case else ""


def segmentation(panel):
    from MedSIGHTLib.segments import segmentation_of

    return segmentation_of(panel.volume)


def draw(panel, name: str, mask: np.ndarray | None) -> str:
    """What a person does in the Segment Editor: a new segment, or other voxels of the one of this name; its id."""
    node = segmentation(panel)
    segment_id = node.GetSegmentation().GetSegmentIdBySegmentName(name)
    if not segment_id:
        segment_id = node.GetSegmentation().AddEmptySegment("", name, (0.2, 0.5, 0.9))
    if mask is not None:
        edit(node, segment_id, panel.volume, mask)
    return segment_id


def masks_in(node, volume) -> dict[str, np.ndarray]:
    """(I, J, K), by name."""
    found = node.GetSegmentation()
    ids = [found.GetNthSegmentID(n) for n in range(found.GetNumberOfSegments())]
    return {
        found.GetSegment(segment_id).GetName(): slicer.util.arrayFromSegmentBinaryLabelmap(node, segment_id, volume).T
        > 0
        for segment_id in ids
    }
