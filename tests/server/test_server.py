"""A real server over HTTP: what it answers, what it refuses, and that it survives all of it."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from medsight_core.client.reply import parse_reply
from medsight_core.imaging.segmentation_file import read_segmentation

UPLOAD_LIMIT = 8 << 20  # as the server fixture sets it
QUESTION = {"prompt": "Outline the right lung and the left lung."}


def ask(call, where: str = "image=chest", output: str = "", **params):
    """``POST /infer/medsight``."""
    query = where + (f"&output={output}" if output else "")
    return call("POST", f"/infer/medsight?{query}", data={"params": json.dumps({**QUESTION, **params})})


def test_info_says_who_and_what(call):
    info = call("GET", "/medsight/info").json()
    assert info["protocol"] == 1
    assert info["model"]["version"] == "tiny"
    assert info["model"]["licence"] == "Apache-2.0"
    assert info["limits"]["upload_bytes"] == UPLOAD_LIMIT
    assert set(info["scopes"]) == {"volume", "range", "plane"}
    assert "axial" in info["orientations"]
    assert info["suggestions"]["CT"]
    assert info["names"]["CT"] == ["right lung", "left lung"]
    assert info["notice"] == "Research use only. Not for clinical use."


def test_the_model_warms_up_by_itself(call):
    deadline = time.monotonic() + 60
    while not call("GET", "/medsight/info").json()["loaded"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_an_answer_has_outlines_exactly_when_it_has_regions(call):
    response = ask(call)
    assert response.status_code == 200
    reply = parse_reply(response.headers["content-type"], response.content)
    assert reply.answer.text
    assert bool(reply.answer.regions) == (reply.segmentation is not None)


def test_soft_masks_come_along_when_they_are_asked_for(call, tmp_path):
    assert "soft" in call("GET", "/medsight/info").json()["capabilities"]
    plain, soft = (parse_reply(r.headers["content-type"], r.content) for r in (ask(call), ask(call, soft=True)))
    assert plain.soft == {}
    assert soft.answer.regions
    assert set(soft.soft) == {region.label for region in soft.answer.regions}
    (tmp_path / "answer.seg.nrrd").write_bytes(soft.segmentation)
    for segment in read_segmentation(tmp_path / "answer.seg.nrrd").segments:
        mask = soft.soft[segment.label]
        drawn = np.zeros(segment.mask.shape, bool)
        box = tuple(slice(start, start + size) for start, size in zip(mask.first, mask.shape))
        drawn[box] = mask.mask(mask.threshold).T
        assert np.array_equal(drawn, segment.mask)


def test_a_range_of_planes_may_be_asked(call):
    response = ask(call, scope="range", plane={"orientation": "axial", "first": 5, "last": 3})
    assert response.status_code == 200
    answer = parse_reply(response.headers["content-type"], response.content).answer
    assert answer.scope == "range"
    assert all(3 <= region.slices[0] <= region.slices[1] <= 5 for region in answer.regions)


def test_a_plane_may_be_asked(call):
    response = ask(call, scope="slice", plane={"orientation": "axial", "index": 5}, result_extension=".nii.gz")
    assert response.status_code == 200
    assert parse_reply(response.headers["content-type"], response.content).answer.scope == "plane"


def test_output_chooses_the_half_of_the_reply(call, tmp_path):
    text = ask(call, output="json")
    assert text.headers["content-type"] == "application/json"
    assert "answer" in text.json()
    label = ask(call, output="image", result_extension=".nrrd")
    path = tmp_path / "label.nrrd"
    path.write_bytes(label.content)
    assert sitk.ReadImage(str(path)).GetSize() == (20, 24, 12)


PARAMS_NOT_OBJECT = "The form field params is not a JSON object"


@pytest.mark.parametrize(
    ("where", "params", "status", "text"),
    [
        ("image=chest", "{not json", 400, PARAMS_NOT_OBJECT),
        ("image=chest", "[1, 2]", 400, PARAMS_NOT_OBJECT),
        ("image=chest", {"image": "/etc/hostname"}, 400, "The params must not name an image"),
        ("", {}, 400, "No image is named: add image=ID"),
        ("image=nobody", {}, 404, "There is no image with id 'nobody' in the studies folder"),
        ("session_id=gone", {}, 404, "This session does not exist or has expired: upload the image again."),
        ("image=chest", {"prompt": ""}, 400, "The prompt is empty"),
        ("image=chest", {"prompt": "x" * 10_000}, 413, "The prompt has 10000 characters and the limit is 2000"),
        ("image=chest", {"prompt": 5}, 400, "The prompt must be text, not int"),
        ("image=chest", {"scope": "planet"}, 400, "Unknown scope 'planet'"),
        ("image=chest", {"scope": "plane"}, 400, "no plane is given"),
        ("image=chest", {"scope": "plane", "plane": "diagonal:1"}, 400, "Unknown plane orientation 'diagonal'"),
        ("image=chest", {"scope": "plane", "plane": "axial:999"}, 400, "999"),
        ("image=chest", {"scope": "range"}, 400, "no planes are given"),
        ("image=chest", {"scope": "range", "plane": "axial:4-999"}, 400, "There is no axial slice 999"),
        ("image=chest", {"modality": "XX"}, 400, "Unknown modality 'XX'"),
        ("image=chest", {"window": "rainbow"}, 400, "rainbow"),
        ("image=chest", {"soft": "yes"}, 400, "soft is 'yes': use true for each voxel's probability"),
        ("image=chest", {"history": "hello"}, 400, "The history must be a list"),
        ("image=chest", {"result_extension": ".exe"}, 400, "Unknown label format '.exe'"),
        ("image=chest&output=dicom_seg", {}, 400, "This output is not offered: use one of all, json, image"),
        ("image=broken", {}, 422, "cannot be read: the file is damaged"),
    ],
)
def test_a_bad_question_is_one_sentence(call, where, params, status, text):
    body = params if isinstance(params, str) else json.dumps({**QUESTION, **params})
    refused(call("POST", f"/infer/medsight?{where}", data={"params": body}), status, text)


def test_an_unknown_model_is_404(call):
    refused(call("POST", "/infer/other?image=chest"), 404, "There is no such model on this server")


def flat(path: Path) -> None:
    sitk.WriteImage(sitk.Image([16, 16], sitk.sitkInt16), str(path))


def one_thick(path: Path) -> None:
    sitk.WriteImage(sitk.Image([16, 16, 1], sitk.sitkInt16), str(path))


def four_dimensional(path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 4, 8, 8), np.int16), isVector=False), str(path))


def not_a_number(path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.full((4, 8, 8), np.nan, np.float32)), str(path))


def elsewhere(path: Path) -> None:
    header = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 4 4 4\nencoding: raw\ndata file: /etc/passwd\n"
    path.write_text(header)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (flat, "dimensions"),
        (one_thick, "only one voxel thick"),
        (four_dimensional, "dimensions"),
        (not_a_number, "NaN or infinite"),
        (elsewhere, "keeps its voxels in another place"),
        (Path.touch, "cannot be read"),
    ],
)
def test_an_uploaded_image_that_is_no_volume_is_422(call, tmp_path, make, text):
    path = tmp_path / "image.nrrd"
    make(path)
    session = call.upload(path).json()["session_id"]
    refused(ask(call, f"session_id={session}"), 422, text)
    assert call("DELETE", f"/session/{session}").status_code == 200


def test_an_upload_must_be_one_image_file(call, studies):
    path = studies / "chest.nii.gz"
    refused(call.upload(path, name="evil.py"), 400, "Files of this type are not accepted")
    refused(call("PUT", "/session/"), 400, "Missing or wrong in this request: files.")
    two = [("files", ("a.nrrd", b"a")), ("files", ("b.nrrd", b"b"))]
    refused(call("PUT", "/session/", files=two), 400, "A session holds one image file, not 2")
    archive = call("PUT", "/session/?uncompress=true", files={"files": ("a.nrrd", b"a")})
    refused(archive, 400, "Archives are not unpacked here")


def test_an_upload_above_the_limit_is_413(call):
    too_much = b"x" * (UPLOAD_LIMIT + 1)
    refused(call("PUT", "/session/", files={"files": ("a.nrrd", too_much)}), 413, "crop or resample the image")
    multipart = {"Content-Type": "multipart/form-data; boundary=b"}
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.nrrd"\r\n\r\n'

    def chunks():
        yield head
        for _ in range(UPLOAD_LIMIT // 65536 + 1):
            yield b"x" * 65536
        yield b"\r\n--b--\r\n"

    refused(call("PUT", "/session/", headers=multipart, data=chunks()), 413, "The request has more than the 8.0 MiB")


def test_info_answers_at_once_while_the_model_works(call, tmp_path):
    values = np.random.default_rng(2).integers(-1000, 400, (80, 96, 96)).astype(np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(values), str(tmp_path / "large.nrrd"))
    session = call.upload(tmp_path / "large.nrrd").json()["session_id"]
    answers = []
    worker = threading.Thread(
        target=lambda: answers.append(ask(call, f"session_id={session}", result_extension=".nrrd").status_code)
    )
    worker.start()
    waits = []
    while worker.is_alive():
        begin = time.monotonic()
        assert call("GET", "/medsight/info").status_code == 200
        waits.append(time.monotonic() - begin)
    assert answers == [200]
    assert len(waits) > 3  # a server that waits for its model answers once before it and once after
    assert np.median(waits) < 0.5


def test_no_token_no_answer(call):
    for path in ("/medsight/info", "/info/", "/datastore/", "/no/such/path"):
        refused(call("GET", path, headers={"Authorization": "Bearer wrong"}), 401, "The token is missing or wrong")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"), ("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/redoc"), ("GET", "/static/index.html"),
        ("GET", "/proxy/dicom/studies"), ("GET", "/ohif/"), ("GET", "/logs/"), ("GET", "/logs/gpu"),
        ("GET", "/model/medsight"), ("PUT", "/model/medsight"), ("POST", "/reload"),
        ("POST", "/infer/wsi/medsight"), ("POST", "/scoring/dice"), ("GET", "/datastore/dataset"),
        ("POST", "/train/"), ("PUT", "/train/medsight"), ("DELETE", "/datastore/image?id=chest"),
    ],
)  # fmt: skip
def test_what_is_not_kept_of_monai_label_cannot_be_reached(call, method, path):
    response = call(method, path)
    assert response.status_code in (404, 405)
    assert isinstance(response.json()["detail"], str)


def test_nothing_is_written_outside_the_studies(call, studies):
    image = {"file": ("x.nii.gz", (studies / "chest.nii.gz").read_bytes())}
    label = {"label": ("x.nii.gz", b"x")}
    before = tree(studies.parent)
    probes = [
        call("PUT", "/datastore/image?image=..%2Foutside%2Fevil", files=image),
        call("PUT", f"/datastore/?image={studies.parent}/evil", files=image),
        call("PUT", "/datastore/image?image=evil", files={"file": ("evil.py", b"import os")}),
        call("PUT", "/datastore/image", files={"file": ("..nrrd", b"x")}),
        call("PUT", "/datastore/label?image=chest&tag=..%2F..%2Foutside", files=label),
        call("PUT", "/datastore/label?image=..%2Fchest&tag=final", files=label),
        call("PUT", "/datastore/label?image=chest&tag=final", files={"label": ("x.sh", b"x")}),
        call("DELETE", "/session/..%2F..%2Fstudies"),
    ]
    assert [probe.status_code for probe in probes] == [400] * len(probes)
    refused(call("PUT", "/datastore/label?image=nobody", files=label), 404, "There is no such image")
    refused(call("PUT", "/datastore/image?image=x", files=image, data={"params": "["}), 400, PARAMS_NOT_OBJECT)
    assert tree(studies.parent) == before


def test_no_image_outside_the_studies_is_read(call, tmp_path, studies):
    secret = tmp_path / "secret.nii.gz"
    secret.write_bytes((studies / "chest.nii.gz").read_bytes())
    assert ask(call, f"image={secret}").status_code == 400
    assert ask(call, image=str(secret)).status_code == 400
    # MONAI Label would take an id that is a file of the working directory for that file.
    assert ask(call, "image=pyproject.toml").status_code == 404
    assert call("GET", f"/datastore/image?image={secret}").status_code == 400


def test_a_web_page_cannot_drive_the_server(call):
    page = {"Origin": "https://evil.example"}
    for method, path in (("OPTIONS", "/session/"), ("POST", "/infer/medsight?image=chest"), ("GET", "/medsight/info")):
        response = call(method, path, headers=page)
        refused(response, 403, "Web pages of another origin may not call this server")
        assert "access-control-allow-origin" not in response.headers
    refused(
        call("GET", "/medsight/info", headers={"Host": "evil.example"}), 403, "The Host header names another machine"
    )


def test_an_image_may_be_added_to_the_studies_and_asked(call, studies):
    file = {"file": ("whatever.nii.gz", (studies / "chest.nii.gz").read_bytes())}
    assert call("PUT", "/datastore/image?image=added", files=file).json() == {"image": "added"}
    assert (studies / "added.nii.gz").is_file()
    assert ask(call, "image=added").status_code == 200


def test_no_prompt_id_or_file_name_is_logged(call, server, studies, tmp_path):
    path = tmp_path / "CANARYFILE.nii.gz"
    path.write_bytes((studies / "chest.nii.gz").read_bytes())
    session = call.upload(path).json()["session_id"]
    for where in (f"session_id={session}", "image=chest", "image=CANARYID", "image=broken"):
        ask(call, where, prompt="CANARYPROMPT Outline the liver.", client_id="CANARYCLIENT")
    ask(call, plane="CANARYPLANE:1", scope="plane")
    call("POST", "/infer/CANARYMODEL?image=chest")
    call("PUT", "/datastore/image?image=CANARYID", files={"file": (path.name, path.read_bytes())})
    call("PUT", "/datastore/label?image=CANARYID&tag=CANARYTAG", files={"label": (path.name, path.read_bytes())})
    call("GET", "/datastore/label/info?label=CANARYID&tag=CANARYTAG")
    call("POST", "/activelearning/hybrid", json={"client_id": "CANARYCLIENT"})
    call("POST", "/activelearning/CANARYSTRATEGY")
    call("DELETE", "/datastore/label?id=CANARYID&tag=CANARYTAG")
    (studies / "CANARYID.nii.gz").unlink()  # the datastore's watcher notices in a thread of its own
    call("DELETE", f"/session/{session}")
    time.sleep(0.5)
    log = server.log.read_text()
    assert server.address in log  # it is the right file
    for secret in ("CANARY", session, "right lung", server.token):
        assert secret not in log


def test_no_temporary_file_is_left(call, scratch, studies):
    before = files_in(scratch)
    session = call.upload(studies / "chest.nii.gz").json()["session_id"]
    for where in (f"session_id={session}", "image=chest", "image=broken", "image=nobody"):
        for extension in (".seg.nrrd", ".nrrd"):
            ask(call, where, result_extension=extension)
    call("PUT", "/session/", files={"files": ("a.nrrd", b"x" * (UPLOAD_LIMIT + 1))})
    call.upload(studies / "broken.nii.gz", name="x.py")
    call("PUT", "/datastore/label?image=nobody", files={"label": ("x.nii.gz", b"x")})
    assert files_in(scratch) - before  # the session's own
    call("DELETE", f"/session/{session}")
    assert files_in(scratch) == before


def test_after_all_this_the_server_is_alive(call, server):
    assert server.process.poll() is None
    assert ask(call).status_code == 200


def refused(response, status: int, text: str) -> None:
    """One JSON sentence with this status and text."""
    assert response.status_code == status, response.text
    assert list(response.json()) == ["detail"]
    assert text in response.json()["detail"]


def tree(folder: Path) -> set[Path]:
    """All files but those that are written at any time in the background."""
    background = (".lock", "datastore_v2.json", "worklist.json")
    return {path for path in folder.rglob("*") if path.name not in background and path.suffix != ".part"}


def files_in(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}
