"""Reviews over HTTP, as MONAI Label's Reviewer module sends them."""

from __future__ import annotations

import json
import secrets

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from medsight_core.data.correction_store import CorrectionStore

REVIEW = {"status": "approved", "level": "easy", "comment": "Good.", "approvedBy": "eve", "editTime": ""}


@pytest.fixture
def labelled(call, tmp_path) -> str:
    """A study with a label."""
    name, path = f"case-{secrets.token_hex(4)}", tmp_path / "a.nrrd"
    for what, part in (("image", "file"), ("label", "label")):
        values = np.random.default_rng(0).integers(0, 2, (4, 5, 6)).astype(np.uint8)
        sitk.WriteImage(sitk.GetImageFromArray(values), str(path))
        response = call(
            "PUT",
            f"/datastore/{what}?image={name}",
            files={part: ("a.nrrd", path.read_bytes())},
            data={"params": json.dumps({"label_info": [{"name": "right lung", "idx": 1}]})},
        )
        assert response.status_code == 200, response.text
    return name


def info_of(call, image: str) -> dict:
    return call("GET", "/datastore/?output=all").json()["objects"][image]["labels"]["final"]["info"]


@pytest.mark.parametrize(("path", "field"), [("updatelabelinfo", "params"), ("label/info", "info")])
def test_a_review_is_kept_with_the_label_and_with_its_version(call, labelled, studies, path, field):
    response = call(
        "PUT", f"/datastore/{path}?label={labelled}&tag=final", data={field: json.dumps({"segmentationMeta": REVIEW})}
    )
    assert response.status_code == 200
    info = info_of(call, labelled)
    kept = info["segmentationMeta"]
    assert {**kept, "editTime": ""} == REVIEW
    assert kept["editTime"] > 1_700_000_000
    assert info["medsight"]["version"] == 1, "the sidecar is still there"
    store = CorrectionStore(studies / "medsight" / "corrections")
    assert store.notes(labelled, 1)["segmentationMeta"] == kept


@pytest.mark.parametrize(
    ("info", "status", "text"),
    [
        (
            {"segmentationMeta": {"status": "perfect"}},
            400,
            "The review's status is none that is known: use one of draft",
        ),
        ({"medsight": {}}, 400, "The medsight of a label says where it comes from and stays: hand in a new label."),
        ([1], 400, "The form field params is not a JSON object"),
        ({"x": float("nan")}, 400, "The params hold something that a reply cannot carry (NaN, Infinity or half of a"),
        ({"x": "\ud800"}, 400, "The params hold something that a reply cannot carry"),
        ({"x": "y" * (256 << 10)}, 413, "The params have 262153 characters and the limit is 262144: send less."),
    ],
)
def test_what_is_no_review_changes_nothing(call, labelled, info, status, text):
    before = info_of(call, labelled)
    response = call("PUT", f"/datastore/label/info?label={labelled}&tag=final", data={"info": json.dumps(info)})
    assert response.status_code == status
    assert text in response.json()["detail"]
    assert info_of(call, labelled) == before


def test_a_review_of_nothing_is_404(call):
    response = call("PUT", "/datastore/label/info?label=nobody&tag=final", data={"info": "{}"})
    assert response.status_code == 404
    assert "There is no such label: GET /datastore/ lists what is here." in response.json()["detail"]


def test_a_label_may_be_handed_in_with_its_review(call, labelled, tmp_path):
    label = (tmp_path / "a.nrrd").read_bytes()
    params = {"label_info": [{"name": "right lung", "idx": 1}], "segmentationMeta": {"status": "draft"}}
    where = f"/datastore/label?image={labelled}&tag=version_1"
    assert (
        call("PUT", where, files={"label": ("a.nrrd", label)}, data={"params": json.dumps(params)}).status_code == 200
    )
    tags = call("GET", "/datastore/?output=all").json()["objects"][labelled]["labels"]
    assert tags["version_1"]["info"]["segmentationMeta"]["status"] == "draft"
    params["segmentationMeta"] = {"status": "perfect"}
    response = call("PUT", where, files={"label": ("a.nrrd", label)}, data={"params": json.dumps(params)})
    assert "The review's status is none that is known" in response.json()["detail"]
