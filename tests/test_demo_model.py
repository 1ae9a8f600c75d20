"""The shipped model, asked over HTTP about the sample volumes: the figures that the README claims."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medsight_core.client import MedSightClient
from medsight_core.imaging.segmentation_file import read_segmentation
from medsight_core.server.running import running_server
from medsight_core.server.settings import Settings
from sample_data.fetch import fetch, reference_masks

MODEL = Path(__file__).parents[1] / "sample_data" / "demo_model"
PAIRED = ("thalamus", "caudate nucleus", "putamen", "pallidum", "hippocampus", "lateral ventricle",
          "cerebral white matter", "cerebellar cortex", "cerebellar white matter")  # fmt: skip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    studies = tmp_path_factory.mktemp("studies")
    fetch(studies, ["ct-chest", "mr-brain"])
    settings = Settings(studies=studies, model=MODEL, port=0)
    with running_server(settings) as server, MedSightClient(server.address, server.token) as client:
        yield client


def ask(client, sample_id, prompt, tmp_path):
    reply = client.ask(prompt, image=sample_id)
    if reply.segmentation is None:
        return reply.answer, {}
    path = tmp_path / "answer.seg.nrrd"
    path.write_bytes(reply.segmentation)
    return reply.answer, {segment.name: segment.mask for segment in read_segmentation(path).segments}


def dice(found, truth):
    return 2 * (found & truth).sum() / (found.sum() + truth.sum())


@pytest.mark.parametrize(
    "prompt",
    ["Outline the right lung and the left lung.", "Segment both lungs", "Where are the left lung and the right lung?"],
)
def test_both_lungs_are_outlined(client, tmp_path, prompt):
    answer, masks = ask(client, "ct-chest", prompt, tmp_path)
    reference = reference_masks("ct-chest")
    assert {region.name for region in answer.regions} == set(masks) == {"right lung", "left lung"}
    for name in masks:
        assert dice(masks[name], reference[name]) >= 0.85, name


def test_brain_structures_are_outlined_on_their_own_side(client, tmp_path):
    reference, scores = reference_masks("mr-brain"), {}
    for name in PAIRED:
        _, masks = ask(client, "mr-brain", f"Outline the left {name} and the right {name}.", tmp_path)
        for side, other in (("left", "right"), ("right", "left")):
            mask = masks.get(f"{side} {name}", np.zeros_like(reference[f"{side} {name}"]))
            scores[f"{side} {name}"] = dice(mask, reference[f"{side} {name}"])
            # Structures that touch at the midline may share a rim, never more.
            assert (mask & reference[f"{other} {name}"]).sum() <= 0.05 * mask.sum(), f"{side} {name} is swapped"
    assert len(scores) >= 16
    assert np.mean(list(scores.values())) >= 0.7, scores


@pytest.mark.parametrize(
    ("sample_id", "prompt", "name"),
    [
        ("mr-brain", "Is there a liver?", "liver"),
        ("mr-brain", "Outline the liver.", "liver"),
        ("mr-brain", "Outline the right lung.", "right lung"),
        ("ct-chest", "Segment the left thalamus.", "left thalamus"),
        ("ct-chest", "Is there a spleen?", "spleen"),
    ],
)
def test_what_is_not_there_is_not_seen(client, tmp_path, sample_id, prompt, name):
    answer, masks = ask(client, sample_id, prompt, tmp_path)
    assert answer.regions == ()
    assert masks == {}
    assert name in answer.absent
    assert f"{name} is not seen" in answer.text


def test_present_and_absent_things_in_one_question(client, tmp_path):
    answer, masks = ask(client, "ct-chest", "Outline the left lung and the stomach.", tmp_path)
    assert set(masks) == {"left lung"}
    assert answer.absent == ("stomach",)
