"""MONAI Label's own client, unchanged, against the running server."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from monailabel.client import MONAILabelClient


@pytest.fixture
def client(server, tmp_path):
    """A new one for each call, as in Slicer: it keeps a request's length header for the next."""

    def make() -> MONAILabelClient:
        stock = MONAILabelClient(server.address, tmpdir=str(tmp_path), client_id="test")
        stock.update_auth({"token_type": "Bearer", "access_token": server.token})
        return stock

    return make


def test_it_sees_the_model(client):
    info = client().info()
    assert info["name"] == "MedSIGHT"
    assert info["models"]["medsight"]["type"] == "segmentation"


def test_run_segmentation_without_a_prompt_gives_a_labelmap(client, studies):
    path, params = client().infer("medsight", "chest", {"result_extension": ".nrrd"})
    assert params["answer"]
    assert params["notice"] == "Research use only. Not for clinical use."
    check_labelmap(path, params, studies / "chest.nii.gz")


def test_a_session_is_uploaded_asked_and_removed(client, studies, tmp_path):
    copy = tmp_path / "JaneDoe.nrrd"
    copy.write_bytes((studies / "brain.nrrd").read_bytes())
    session = client().create_session(str(copy))["session_id"]
    assert "JaneDoe" not in str(client().get_session(session))
    path, params = client().infer(
        "medsight", "", {"prompt": "Outline the left thalamus.", "result_extension": ".nii.gz"}, session_id=session
    )
    check_labelmap(path, params, studies / "brain.nrrd")
    client().remove_session(session)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - its exception carries no text
        client().get_session(session)
    assert caught.value.status_code == 404


def test_a_corrected_label_goes_into_the_datastore_and_comes_back(client, studies, tmp_path):
    image = sitk.ReadImage(str(studies / "chest.nii.gz"))
    label = tmp_path / "label.nii.gz"
    sitk.WriteImage(sitk.Cast(image > 0, sitk.sitkUInt8), str(label))
    info = {"label_info": [{"name": "right lung", "idx": 1}], "medsight": {"prompt": "x"}}
    assert client().save_label("chest", str(label), "final", info)["label"] == "chest"
    back = Path(client().download_label("chest", "final"))
    assert back.read_bytes() == label.read_bytes()
    stored = client().datastore()["objects"]["chest"]["labels"]["final"]["info"]
    assert stored["medsight"]["prompt"] == "x"
    assert [segment["name"] for segment in stored["medsight"]["segments"]] == ["right lung"]
    assert client().next_sample("random", {})["id"] != "chest"  # it has its label now


def test_the_next_case_comes_with_a_score_and_a_reason_once_the_model_has_looked(client):
    deadline = time.monotonic() + 60
    while (case := client().next_sample("uncertainty", {}))["score"] == 0:
        assert case["reason"] == "Taken by chance: the model has not looked at the images yet, or cannot."
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert case["id"] != "broken", "what cannot be read has no score"
    assert 0 < case["score"] <= 1
    assert case["reason"].startswith("The model is unsure here (")
    assert set(client().info()["strategies"]) == {"hybrid", "uncertainty", "diversity", "random"}


def check_labelmap(path: str, params: dict, source: Path) -> None:
    """On the grid of ``source``, with exactly the labels that ``params`` names."""
    labels, image = sitk.ReadImage(path), sitk.ReadImage(str(source))
    assert labels.GetSize() == image.GetSize()
    np.testing.assert_allclose(labels.GetOrigin(), image.GetOrigin(), atol=1e-3)
    np.testing.assert_allclose(labels.GetDirection(), image.GetDirection(), atol=1e-6)
    found = set(np.unique(sitk.GetArrayFromImage(labels))) - {0}
    assert found <= set(params["label_names"].values())  # a region may lie wholly under another
    assert set(params["label_names"].values()) == {region["label"] for region in params["regions"]}


def test_it_signs_in_with_the_token_as_password(server, tmp_path):
    client = MONAILabelClient(server.address, tmpdir=str(tmp_path), client_id="test")
    assert client.auth_enabled()
    client.update_auth(client.auth_token("anybody", server.token))
    assert client.auth_valid_token()
    assert "medsight" in client.info()["models"]
