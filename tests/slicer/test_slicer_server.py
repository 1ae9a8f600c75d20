"""End to end: the module's logic on the real MRML library against the real running server."""

from __future__ import annotations

import itertools
import signal
import threading
from pathlib import Path
from typing import Iterator

import numpy as np
import pytest
import slicer
from scenes import masks_of, oblique_ras, slice_view, tag_of

from medsight_core.client import MedSightClient, Progress
from medsight_core.errors import AuthenticationError, CancelledError, InputError, ServerError, ServerUnavailableError
from medsight_core.imaging.segmentation_file import read_segmentation
from medsight_core.packing import is_packed
from medsight_core.protocol import PHASES
from medsight_core.server.running import RunningServer, running_server
from medsight_core.server.settings import Settings

SHAPE = (24, 20, 12)
CONTENTS = itertools.count()
TAGS = ("MedSIGHT.Code", "MedSIGHT.Confidence", "MedSIGHT.Notice", "MedSIGHT.Outline", "TerminologyEntry")


@pytest.fixture(scope="module")
def server(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    studies = tmp_path_factory.mktemp("slicer-studies")
    with running_server(Settings(studies, tiny_model_dir, port=0)) as running:
        yield running


@pytest.fixture
def logic(scene, medsight_module, server):
    logic = medsight_module.MedSIGHTLogic()
    logic.connect(server.address, server.token)
    yield logic
    logic.close()


@pytest.fixture
def volume(scene):
    voxels = np.random.default_rng(3).integers(-1000, 400, SHAPE[::-1]).astype(np.int16)
    voxels[0, 0, 0] = next(CONTENTS)  # what the server has from another test would not be sent
    return slicer.util.addVolumeFromArray(voxels, oblique_ras(10), "CT")


def ask_until_outlined(logic, volume, scope="volume"):
    """A random model outlines something for some prompts and not for others; one of these it does."""
    for prompt in ("Outline the lungs.", "Outline the right lung.", "What do you see?", "Everything.", "Lungs?", "x"):
        logic.start_over(volume)
        reply, outlined = logic.ask(volume, prompt, scope)
        if outlined is not None:
            return reply, outlined
    raise AssertionError("the tiny model outlined nothing")


@pytest.fixture
def older_server(monkeypatch):
    """The server says that it can take and send files alone."""
    monkeypatch.setattr(MedSightClient, "codec", lambda _: "")


@pytest.mark.parametrize("scope", ["volume", "Red", "axial:2-6"])
def test_segments_are_voxel_for_voxel_what_the_server_sent(logic, volume, tmp_path, scope, older_server):
    slice_view("Axial", (oblique_ras(10) @ [*(np.array(SHAPE) / 2), 1])[:3])
    reply, outlined = ask_until_outlined(logic, volume, scope)
    (tmp_path / "sent.seg.nrrd").write_bytes(reply.segmentation)
    sent = {segment.label: segment for segment in read_segmentation(tmp_path / "sent.seg.nrrd").segments}
    assert sent
    found = masks_of(outlined, volume)
    assert set(found) == set(sent) == {region.label for region in reply.answer.regions}
    for region in reply.answer.regions:
        assert sent[region.label].mask.any()
        assert np.array_equal(found[region.label], sent[region.label].mask)
        segment = outlined.node.GetSegmentation().GetSegment(outlined.segment_ids[region.label])
        assert segment.GetName() == region.name
        np.testing.assert_allclose(segment.GetColor(), sent[region.label].color, atol=1e-4)
        assert tag_of(segment, "MedSIGHT.Code") == region.code
    assert logic.conversation(volume).turns[-1].answer.text == reply.answer.text


@pytest.mark.parametrize("blosc2", [True, False], ids=["blosc2", "as in Slicer"])
def test_packed_outlines_are_those_of_the_file(logic, volume, monkeypatch, blosc2):
    def segments() -> dict:
        reply, outlined = ask_until_outlined(logic, volume)
        masks, segmentation = masks_of(outlined, volume), outlined.node.GetSegmentation()
        told = {}
        for label, segment_id in outlined.segment_ids.items():
            segment = segmentation.GetSegment(segment_id)
            told[label] = (segment.GetName(), *(tag_of(segment, tag) for tag in TAGS), masks[label].tobytes())
        return {"packed": is_packed(reply.segmentation), "segments": told}

    monkeypatch.setattr("medsight_core.packing.has_blosc2", lambda: blosc2)
    packed = segments()
    with monkeypatch.context() as older:
        older.setattr(MedSightClient, "codec", lambda _: "")
        as_file = segments()
    assert (packed["packed"], as_file["packed"]) == (True, False)
    assert packed["segments"] == as_file["segments"]
    assert all(all(segment) for segment in packed["segments"].values())


def test_a_volume_that_is_changed_while_it_is_sent(logic, volume):
    question = logic.prepare(volume, "Outline the lungs.")

    def change(event):
        if isinstance(event, Progress) and event.phase == "upload":
            slicer.util.arrayFromVolume(volume)[0, 0, 0] += 1

    with pytest.raises(InputError, match=r"^The volume was changed while it was sent: ask again\.$"):
        logic.send(question, change)


def test_phases_are_heard_in_order_and_cancelling_ends_the_question(logic, volume):
    heard = []
    question = logic.prepare(volume, "Outline the lungs.")
    logic.finish(question, logic.send(question, heard.append))
    phases = list(dict.fromkeys(event.phase for event in heard if isinstance(event, Progress)))
    assert phases[:2] == ["prepare", "upload"]
    assert phases[-1] == "receive"
    assert [phase for phase in phases if phase in PHASES] == [phase for phase in PHASES if phase in phases]
    assert "generate" in phases
    again = logic.prepare(volume, "Outline the heart.")

    def cancel_soon(event):
        if isinstance(event, Progress) and event.phase in PHASES:
            again.cancel.set()

    with pytest.raises(CancelledError, match="cancelled"):
        logic.send(again, cancel_soon)
    assert len(logic.conversation(volume).turns) == 1


def test_second_question_uses_the_same_upload(logic, volume):
    logic.ask(volume, "Outline the lungs.")
    sessions = dict(logic._connection._sessions)
    reply, _ = logic.ask(volume, "And now?")
    assert logic._connection._sessions == sessions
    assert reply.answer.model.version == "tiny"
    assert len(logic.conversation(volume).turns) == 2


def test_session_that_the_server_lost_is_made_anew(logic, volume):
    logic.ask(volume, "Outline the lungs.")
    ((volume_id, (content, session)),) = logic._connection._sessions.items()
    logic._connection._client.delete_session(session)
    logic.ask(volume, "Outline the lungs.")
    assert logic._connection._sessions[volume_id][0] == content
    assert logic._connection._sessions[volume_id][1] != session


def test_wrong_token(logic, volume, server):
    logic.connect(server.address, "not-the-token-of-this-server")
    with pytest.raises(AuthenticationError, match="token"):
        logic.ask(volume, "Outline the lungs.")
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def test_info_of_the_running_server(logic):
    info = logic.info()
    assert info.protocol == 1
    assert info.model.licence == "Apache-2.0"
    assert set(info.suggestions) == {"CT", "MR"}
    assert info.max_upload_bytes > 0


def test_server_killed_while_it_answers(logic, volume, server):
    """The process is gone in the middle of a question. It is this file's server, so this test stays the last."""
    server.process.send_signal(signal.SIGSTOP)  # so that the question is on its way when the end comes
    question = logic.prepare(volume, "Outline the lungs.")
    threading.Timer(0.3, server.process.kill).start()
    with pytest.raises(ServerError, match=r"broke the connection before its reply was complete: see whether"):
        logic.send(question)
    with pytest.raises(ServerUnavailableError, match="No MedSIGHT server answers"):
        logic.ask(volume, "Outline the lungs.")
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
