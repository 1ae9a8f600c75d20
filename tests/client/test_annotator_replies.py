"""What an annotator reads when a server answers nonsense, breaks off, or names a file that must not be written."""

from __future__ import annotations

import hashlib

import pytest

from medsight_core.client import Annotator, ListedCase, Worklist
from medsight_core.errors import InputError, ServerError

NONSENSE = "check that client and server are of the same version"


@pytest.fixture
def anna(server):
    return Annotator("anna", server.address)


def serve_image(server, content: bytes, name: str, promised: bytes) -> None:
    digest = hashlib.sha256(promised).hexdigest()
    server.on_json("GET /medsight/corrections", {"image_hash": f"SHA256:{digest}", "versions": []})
    server.on("GET /datastore/image", 200, content, Content_Disposition=f'attachment; filename="{name}"')


@pytest.mark.parametrize("reply", [{"id": "../x", "score": 1, "reason": ""}, {"id": "x"}, [], "x", None])
def test_a_case_that_is_none(server, anna, reply):
    server.on_json("POST /activelearning/hybrid", reply)
    with pytest.raises(ServerError, match=f"does not describe the next case: {NONSENSE}"):
        anna.next_case()


def test_no_case_is_left(server, anna):
    server.on_json("POST /activelearning/hybrid", {})
    assert anna.next_case() is None


@pytest.mark.parametrize("reply", [{}, [], {"image_hash": "x", "versions": [{"version": 1}]}])
def test_versions_that_are_none(server, anna, reply):
    server.on_json("GET /medsight/corrections", reply)
    with pytest.raises(ServerError, match=f"does not describe the versions of a label: {NONSENSE}"):
        anna.versions("one")


@pytest.mark.parametrize("reply", [{}, [], {"objects": {"one": {}}}, {"objects": {"one": {"labels": {"final": []}}}}])
def test_a_worklist_that_is_none(server, anna, reply):
    server.on_json("GET /datastore/", reply)
    with pytest.raises(ServerError, match=f"does not describe its worklist: {NONSENSE}"):
        anna.worklist()


def test_strategies_that_are_none(server, anna):
    server.on_json("GET /info/", [])
    with pytest.raises(ServerError, match=f"does not describe its strategies: {NONSENSE}"):
        anna.strategies()


def test_labels_of_other_programs_and_images_with_other_names_do_no_harm(server, anna):
    labels = {"final": {"info": {"label_info": []}}, "original": {}}
    objects = {"a b": {"labels": {}}, "one": {"labels": labels}, "two": {"labels": {"original": {}}}}
    server.on_json("GET /datastore/", {"objects": objects})
    assert anna.worklist() == Worklist((ListedCase("one", labelled=True), ListedCase("two")))


def listed(name: str, status: str, reviewer: str = "") -> ListedCase:
    return ListedCase(name, labelled=True, status=status, reviewer=reviewer)


def test_what_comes_next_to_a_reviewer_and_to_whoever_redoes():
    worklist = Worklist((
        ListedCase("new"), listed("fine", "approved", "ben"), listed("two handed it in", "flagged"),
        listed("done", "submitted"), listed("poor", "flagged", "ben"), listed("unfinished", "draft"),
    ))  # fmt: skip
    assert worklist.next_to_review().id == "two handed it in"
    assert worklist.next_to_review(["two handed it in"]).id == "done"
    assert worklist.next_to_review(["done", "two handed it in"]).id == "done", "it was skipped longer ago"
    assert worklist.next_to_redo(["poor"]).id == "poor"
    assert Worklist((ListedCase("new"),)).next_to_review() is None


def test_monai_label_alone_keeps_no_versions(server, anna, tmp_path):
    server.on_json("PUT /datastore/label", {"image": "one", "label": "one"})
    (tmp_path / "PATIENT.nrrd").write_bytes(b"x")
    with pytest.raises(ServerError, match="names no version of it: see that it is a MedSIGHT server"):
        anna.submit("one", tmp_path / "PATIENT.nrrd")
    assert b"PATIENT" not in server.seen[-1].body, "a file's name may be a patient's"


def test_the_servers_file_name_decides_nothing_but_the_type(server, anna, tmp_path):
    serve_image(server, b"x", "../../etc/evil.NII.GZ", b"x")
    assert anna.download("one", tmp_path).path == tmp_path / "one.nii.gz"
    serve_image(server, b"x", "evil.exe", b"x")
    with pytest.raises(ServerError, match="sends an image of an unknown type: see what lies in its studies"):
        anna.download("two", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["one.nii.gz"]


def test_an_image_that_arrives_otherwise_leaves_no_file(server, anna, tmp_path):
    serve_image(server, b"other", "a.nrrd", b"promised")
    with pytest.raises(ServerError, match="was replaced or damaged while it was on its way: download it again"):
        anna.download("one", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_image_that_breaks_off_leaves_no_file(server, anna, tmp_path):
    serve_image(server, b"x", "a.nrrd", b"x")

    def half(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.send_header("Content-Disposition", 'attachment; filename="a.nrrd"')
        handler.end_headers()
        handler.wfile.write(b"x")
        handler.close_connection = True

    server.on_call("GET /datastore/image", half)
    with pytest.raises(ServerError, match="broke the connection before its reply was complete"):
        anna.download("one", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_a_sentence_and_leaves_no_file(server, anna, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    serve_image(server, b"x", "a.nrrd", b"x")
    monkeypatch.setattr("medsight_core.client.annotator.os.replace", full)
    with pytest.raises(InputError, match=r"cannot be written to .*: make room there, or name another"):
        anna.download("one", tmp_path)
    assert list(tmp_path.iterdir()) == []
