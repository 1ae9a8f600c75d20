"""Upload, ask, reply: what travels, what is refused before it travels, and what comes back."""

from __future__ import annotations

import ast
import json
import logging
import os
import subprocess
import sys
import urllib.parse
from pathlib import Path

import numpy as np
import pytest
from requests_toolbelt import MultipartEncoder

from medsight_core.answer import Answer, Region
from medsight_core.client.multipart import CHUNK_BYTES, FileUpload, parse_multipart
from medsight_core.client.reply import Reply, ServerInfo
from medsight_core.errors import CancelledError, InputError, NotFoundError, ServerError, TooLargeError
from medsight_core.packing import content_of, pack_masks
from medsight_core.protocol import MAX_UPLOAD_BYTES, PlaneRange, PlaneRequest
from medsight_core.soft_masks import SoftMask, write_soft

ANSWER = Answer(
    text="The right lung [1] is outlined.",
    regions=(Region(1, "right lung", "M0_16", (4, 14), 0.94, terminology={"type": {"value": "3341006"}}),),
    absent=("liver",),
)
NOTHING = Answer(text="The liver is not seen.", absent=("liver",))
VOXELS = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
PLANES = PlaneRange("axial", 4, 20)


def _multipart(
    answer: Answer = ANSWER,
    label: bytes = b"NRRD\r\n--x\r\n\r\n\x00\xff\r\n",
    filename="tmp1.seg.nrrd",
    soft: bytes | None = None,
):
    """The reply as MONAI Label builds it, and soft masks where the server adds them."""
    parts = {
        "params": (None, json.dumps(answer.to_json()), "application/json"),
        "image": (filename, label, "application/octet-stream"),
    }
    if soft is not None:
        parts["soft"] = ("soft", soft, "application/octet-stream")
    encoder = MultipartEncoder(parts)
    return encoder.content_type, encoder.to_string(), label


def test_info_fills_what_an_older_server_does_not_say(server):
    assert server.client().info() == ServerInfo()


def test_info_of_a_full_server(server):
    server.on_json(
        "GET /medsight/info",
        {
            "protocol": 1,
            "version": "0.1.0",
            "model": {"id": "demo", "version": "1", "licence": "Apache-2.0"},
            "scopes": ["plane", "volume"],
            "orientations": ["axial"],
            "names": {"CT": ["right lung"]},
            "suggestions": {"CT": ["Outline the lungs."]},
            "limits": {"upload_bytes": 1000},
            "a field of tomorrow": 1,
        },
    )
    info = server.client().info()
    assert info.model.licence == "Apache-2.0"
    assert info.names["CT"] == ("right lung",)
    assert info.suggestions["CT"] == ("Outline the lungs.",)
    assert info.max_upload_bytes == 1000
    assert ServerInfo().max_upload_bytes == MAX_UPLOAD_BYTES


def test_studies_are_listed_in_order(server):
    server.on_json("GET /datastore/", {"name": "x", "objects": {"mr-brain": {}, "ct-chest": {"labels": {}}}})
    assert server.client().studies() == ("ct-chest", "mr-brain")
    assert server.seen[-1].path == "/datastore/?output=all"


@pytest.mark.parametrize("reply", [[], {}, {"objects": {"../secret": {}}}, {"objects": 3}])
def test_list_of_studies_that_makes_no_sense(server, reply):
    server.on_json("GET /datastore/", reply)
    with pytest.raises(ServerError, match="list of studies makes no sense"):
        server.client().studies()


def test_upload_sends_every_byte_and_hides_the_file_name(server, tmp_path):
    content = os.urandom(CHUNK_BYTES + 17) + b"\r\n"
    path = tmp_path / "Jane_Doe_1970.NII.GZ"
    path.write_bytes(content)
    server.on_json("PUT /session/", {"session_id": "abc-1", "session_info": {}})
    assert server.client().upload(path) == "abc-1"
    seen = server.seen[-1]
    part = parse_multipart(seen.headers["Content-Type"], seen.body)["files"]
    assert part.content == content
    assert part.filename == "image.nii.gz"
    assert b"Jane" not in seen.body
    assert "Transfer-Encoding" not in seen.headers


def test_upload_tells_how_far_it_is_and_can_be_stopped(server, tmp_path, monkeypatch):
    monkeypatch.setattr("medsight_core.client.multipart.CHUNK_BYTES", 1000)
    server.on_json("PUT /session/", {"session_id": "abc-1"})
    path = tmp_path / "a.nrrd"
    path.write_bytes(b"x" * 2500)
    told = []
    server.client().upload(path, on_progress=lambda sent, total: told.append((sent, total)))
    assert [sent - told[0][0] for sent, _ in told] == [0, 1000, 2000]
    assert {total for _, total in told} == {int(server.seen[-1].headers["Content-Length"])}

    def stop(sent, total):
        raise CancelledError("Enough.")

    with pytest.raises(CancelledError, match=r"Enough\."):
        server.client().upload(path, on_progress=stop)


def test_upload_above_the_servers_limit_never_travels(server, tmp_path):
    server.on_json("GET /medsight/info", {"protocol": 1, "limits": {"upload_bytes": 1000}})
    path = tmp_path / "a.nrrd"
    path.write_bytes(b"0" * 2_000_000)
    with pytest.raises(TooLargeError, match=r"has 2\.0 MB and the server takes at most 0\.0 MB: crop or resample"):
        server.client().upload(path)
    assert [seen.method for seen in server.seen] == ["GET"]


def test_voxels_that_the_server_has_do_not_travel(server):
    server.on_json("GET /medsight/info", {"protocol": 1, "capabilities": ["packed"]})
    content = content_of(VOXELS, np.eye(4))
    server.on_json(f"POST /medsight/volumes/{content}", {"session_id": "s1"})
    assert server.client().upload_voxels(VOXELS, np.eye(4)) == "s1"
    assert [(seen.method, seen.body) for seen in server.seen[1:]] == [("POST", b"")]


def test_an_older_server_takes_and_sends_files(server):
    client = server.client()
    assert client.codec() == ""
    with pytest.raises(InputError, match=r"^This server is older and takes no packed volumes: upload a file, or"):
        client.upload_voxels(VOXELS, np.eye(4))
    with pytest.raises(InputError, match=r"^This server is older and sends no packed masks: ask for \.seg\.nrrd, or"):
        client.ask("x", session="s1", result_extension=".masks.zlib")
    assert {seen.method for seen in server.seen} == {"GET"}


def test_packed_masks_that_cannot_be_used():
    mask = np.ones((2, 2, 2), bool)
    found = Reply(ANSWER, pack_masks([(1, mask)], np.eye(4), "zlib")).masks()
    assert found is not None
    assert found.masks[0].label == 1
    assert Reply(NOTHING).masks() is None
    with pytest.raises(ServerError, match=r"^The masks that the server sent cannot be read: ask again\.$"):
        Reply(ANSWER, b"NRRD").masks()
    with pytest.raises(
        ServerError, match=r"^The server's masks have the labels \[2\] and its answer \[1\]: check that"
    ):
        Reply(ANSWER, pack_masks([(2, mask)], np.eye(4), "zlib")).masks()


def test_upload_of_a_missing_file_and_of_a_folder(server, tmp_path):
    with pytest.raises(NotFoundError, match=r"There is no file .*missing\.nrrd: check the path"):
        server.client().upload(tmp_path / "missing.nrrd")
    with pytest.raises(InputError, match="is a folder: save the series as one"):
        server.client().upload(tmp_path)
    assert server.seen == []


@pytest.mark.parametrize("reply", [{}, {"session_id": "../etc"}, {"session_id": 5}, []])
def test_upload_without_a_usable_session(server, tmp_path, reply):
    path = tmp_path / "a.nrrd"
    path.write_bytes(b"NRRD")
    server.on_json("PUT /session/", reply)
    with pytest.raises(ServerError, match="gave no session for it: look at its log"):
        server.client().upload(path)


def test_delete_session_is_content_when_it_is_already_gone(server):
    server.on_json("DELETE /session/s1", {"detail": "Session (s1) has expired: upload again."}, status=404)
    server.client().delete_session("s1")
    assert server.seen[-1].method == "DELETE"


def test_ask_sends_what_the_protocol_says(server):
    content_type, body, label = _multipart()
    server.on("POST /infer/medsight", 200, body, Content_Type=content_type)
    plane = PlaneRequest(
        "oblique", origin=(1.0, 2.0, 3.0), right=(1.0, 0.0, 0.0), down=(0.0, 1.0, 0.0), spacing=0.5, shape=(4, 6)
    )
    reply = server.client().ask(
        "  Where is\nthe liver? ",
        session="s1",
        scope="plane",
        plane=plane,
        history=[("a", "b")],
        modality="CT",
        window="lung",
        threshold=0.25,
    )
    seen = server.seen[-1]
    assert dict(urllib.parse.parse_qsl(seen.path.partition("?")[2])) == {"session_id": "s1", "output": "all"}
    assert json.loads(dict(urllib.parse.parse_qsl(seen.body.decode()))["params"]) == {
        "prompt": "Where is the liver?",
        "scope": "plane",
        "plane": plane.to_json(),
        "history": [["a", "b"]],
        "modality": "CT",
        "window": "lung",
        "threshold": 0.25,
        "result_extension": ".seg.nrrd",
    }
    assert reply.answer == ANSWER
    assert reply.segmentation == label
    assert reply.filename == "tmp1.seg.nrrd"


@pytest.mark.parametrize("plane", ["Axial: 20 - 4", {"orientation": "axial", "first": 4, "last": 20}, PLANES])
def test_a_range_of_planes_is_asked_of_servers_that_know_ranges(server, plane):
    server.on_json("POST /infer/medsight", NOTHING.to_json())
    with pytest.raises(InputError, match="This server is older and knows no ranges of planes: ask about one plane or"):
        server.client().ask("Outline the liver.", image="study-1", scope="range", plane=plane)
    assert [seen.method for seen in server.seen] == ["GET"]
    server.on_json("GET /medsight/info", {"protocol": 1, "scopes": ["plane", "range", "volume"]})
    server.client().ask("Outline the liver.", image="study-1", scope="range", plane=plane)
    params = json.loads(dict(urllib.parse.parse_qsl(server.seen[-1].body.decode()))["params"])
    assert (params["scope"], params["plane"]) == ("range", PLANES.to_json())


def test_answer_of_nothing_found_comes_as_json_alone(server):
    server.on_json("POST /infer/medsight", NOTHING.to_json())
    reply = server.client().ask("Outline the liver.", image="study-1")
    assert reply.answer.absent == ("liver",)
    assert reply.segmentation is None
    assert "image=study-1" in server.seen[-1].path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompt": " ", "session": "s"}, "The prompt is empty"),
        ({"prompt": "x" * 10_000, "session": "s"}, "10000 characters and the limit is 2000"),
        ({"prompt": "x"}, "needs one image"),
        ({"prompt": "x", "session": "s", "image": "i"}, "not both"),
        ({"prompt": "x", "image": "../etc/passwd"}, "image id is not allowed"),
        ({"prompt": "x", "session": "a/b"}, "session id is not allowed"),
        ({"prompt": "x", "session": "s", "scope": "all"}, "Unknown scope 'all'"),
        ({"prompt": "x", "session": "s", "scope": "plane"}, "no plane is given"),
        ({"prompt": "x", "session": "s", "scope": "plane", "plane": "axial:x"}, "not a whole number"),
        ({"prompt": "x", "session": "s", "scope": "range"}, "no planes are given: add plane, for example axial:10-20"),
        (
            {"prompt": "x", "session": "s", "scope": "range", "plane": "axial:4"},
            "The range of planes 'axial:4' cannot be understood: write them as axial:10-20",
        ),
        (
            {"prompt": "x", "session": "s", "scope": "range", "plane": {"first": 1, "last": 2}},
            "Unknown plane orientation None: write them as axial:10-20",
        ),
        (
            {
                "prompt": "x",
                "session": "s",
                "scope": "range",
                "plane": {"orientation": "axial", "first": 1, "last": 2.5},
            },
            "The plane's index 2.5 is not a whole number",
        ),
        (
            {"prompt": "x", "session": "s", "threshold": 1.5},
            "The threshold 1.5 is no probability: use a number from 0 to 1",
        ),
        ({"prompt": "x", "session": "s", "result_extension": ".exe"}, "Unknown label format '.exe'"),
    ],
)
def test_what_cannot_be_asked_never_travels(server, arguments, message):
    with pytest.raises(InputError, match=message):
        server.client().ask(**arguments)
    assert server.seen == []


def test_damaged_replies(server):
    content_type, body, _ = _multipart()
    for broken in (body[:-10], b"", body.replace(b'name="params"', b'name="other_"')):
        server.on("POST /infer/medsight", 200, broken, Content_Type=content_type)
        with pytest.raises(ServerError, match="incomplete or damaged: ask again"):
            server.client().ask("x", session="s1")


def test_soft_masks_are_asked_of_servers_that_send_them(server):
    masks = {1: SoftMask(0.5, (1, 2, 3), (4, 5, 6), b"packed")}
    content_type, body, _ = _multipart(soft=write_soft(masks))
    server.on("POST /infer/medsight", 200, body, Content_Type=content_type)
    server.client().ask("x", session="s1", soft=True)
    assert "soft" not in _params(server), "an older server is not asked"
    server.on_json("GET /medsight/info", {"protocol": 1, "capabilities": ["soft"]})
    assert server.client().ask("x", session="s1", soft=True).soft == masks
    assert _params(server)["soft"] is True
    server.client().ask("x", session="s1")
    assert "soft" not in _params(server)
    content_type, damaged, _ = _multipart(soft=write_soft(masks)[:-1])
    server.on("POST /infer/medsight", 200, damaged, Content_Type=content_type)
    with pytest.raises(ServerError, match="incomplete or damaged: ask again"):
        server.client().ask("x", session="s1")


def _params(server) -> dict:
    asked = [seen for seen in server.seen if seen.path.startswith("/infer/medsight")][-1]
    return json.loads(urllib.parse.parse_qs(asked.body.decode())["params"][0])


@pytest.mark.parametrize("value", [{}, [], {"answer": "x", "regions": [{"label": 1}]}, {"answer": "x", "regions": 3}])
def test_reply_that_is_no_answer(server, value):
    server.on_json("POST /infer/medsight", value)
    with pytest.raises(ServerError, match="not a MedSIGHT answer: check that client and server"):
        server.client().ask("x", session="s1")


def test_regions_without_outlines(server):
    server.on_json("POST /infer/medsight", ANSWER.to_json())
    with pytest.raises(ServerError, match="named 1 regions but sent no outlines"):
        server.client().ask("x", session="s1")


def test_file_name_of_a_reply_is_never_a_path(server):
    content_type, body, _ = _multipart(filename="../../evil\\x.seg.nrrd")
    server.on("POST /infer/medsight", 200, body, Content_Type=content_type)
    assert "/" not in server.client().ask("x", session="s1").filename


def test_client_logs_no_prompt(server, caplog):
    server.on_json("POST /infer/medsight", NOTHING.to_json())
    with caplog.at_level(logging.DEBUG):
        server.client(token="tttsecret").ask("Outline Jane's liver.", session="s1")
    assert "Jane" not in caplog.text
    assert "tttsecret" not in caplog.text


def test_upload_body_has_the_length_it_promises(tmp_path):
    path = tmp_path / "a.nrrd"
    path.write_bytes(b"x" * (2 * CHUNK_BYTES + 1))
    body = FileUpload("files", path, "image.nrrd")
    chunks = list(body)
    assert sum(map(len, chunks)) == len(body)
    assert max(map(len, chunks)) <= CHUNK_BYTES


def test_import_is_light():
    """No torch, no image library; hardly more time than its two dependencies take on this machine."""
    code = (
        "import time, sys, requests, numpy; start = time.perf_counter(); import medsight_core.client;"
        "print(time.perf_counter() - start, *sorted({name.split('.')[0] for name in sys.modules}))"
    )
    seconds, *modules = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    ).stdout.split()
    heavy = {"torch", "SimpleITK", "transformers", "pydicom", "scipy", "monai", "PIL", "vtk", "slicer", "rich", "typer"}
    assert not heavy.intersection(modules)
    assert float(seconds) < 0.3


def test_client_is_written_in_the_python_of_older_slicers():
    root = Path(__file__).parents[2] / "medsight_core"
    files = [root / name for name in ("__init__.py", "answer.py", "errors.py", "protocol.py", "soft_masks.py")]
    files += sorted((root / "client").glob("*.py"))
    for path in files:
        source = path.read_text()
        ast.parse(source, feature_version=(3, 9))
        assert "from __future__ import annotations" in source, path
