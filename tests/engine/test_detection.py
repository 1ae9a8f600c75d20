"""Which names are there: the best query's class, calibrated, on neighbouring planes."""

import pytest
import torch
from tiny_model import tiny_model

from medsight_core.engine.context import context_line, view_words
from medsight_core.engine.detection import Detections, class_scores
from medsight_core.engine.regions import presence, presence_of

NAMES = ("", "right lung", "left lung", "left thalamus")


@pytest.fixture(scope="module")
def model():
    return tiny_model(class_names=NAMES, presence="detected", calibration={"left lung": (2.0, 1.0)})[0]


@torch.no_grad()
def test_a_class_is_there_as_surely_as_the_query_that_claims_it_most(model):
    regions = torch.randn(3, 5, 32)
    probability = model.perceiver.head.classes(regions).softmax(-1)  # (3, 5, 5), "no object" last
    scores = class_scores(model, regions)
    assert scores.shape == (3, 4)
    assert torch.equal(scores, probability[..., :4].amax(1))


@torch.no_grad()
def test_scores_of_named_classes_follow_their_calibration(model):
    regions = torch.randn(2, 5, 32)
    raw, found = class_scores(model, regions), Detections.of(model, regions)
    assert found.names == ("right lung", "left lung", "left thalamus"), "a class without a name is not reported"
    torch.testing.assert_close(found.of_name("right lung"), raw[:, 1])
    torch.testing.assert_close(found.of_name("left lung"), torch.sigmoid(2 * torch.logit(raw[:, 2]) + 1))
    assert found.of_name("liver") is None
    assert torch.equal(found.on(slice(1, 2)).of_name("right lung"), found.of_name("right lung")[1:])


def test_one_plane_of_many_is_not_enough():
    lone, pair = [0.1, 0.9, 0.1, 0.1], [0.1, 0.8, 0.7, 0.1]
    scores = torch.tensor([lone, pair]).T
    assert Detections(("nodule", "ribs"), scores, 0.5).seen == ("ribs",)
    assert Detections(("nodule", "ribs"), scores, 0.5).together.tolist() == pytest.approx([0.1, 0.7])
    assert Detections(("nodule", "ribs"), scores[1:2], 0.5).seen == ("nodule", "ribs"), "one plane speaks for itself"


@torch.no_grad()
def test_presence_comes_from_the_detections_where_a_class_has_the_name(model):
    output = model.perceiver(torch.randn(2, 4, 4, 32), torch.randn(2, 2, 32))
    detections = Detections(("left lung",), torch.tensor([[0.25], [0.75]]), 0.5)
    scores = presence_of(model, output, ["left lung", "liver"], detections)
    assert scores[:, 0].tolist() == [0.25, 0.75]
    assert torch.equal(scores[:, 1], presence(output, True)[:, 1]), "otherwise the decoded query's own class decides"
    assert torch.equal(presence_of(model, output, ["left lung", "liver"], None), presence(output, True))


def test_what_is_seen_becomes_a_line():
    assert context_line(view_words("axial", "MR"), ["brain", "tumour"]) == "Seen on this axial MR: brain, tumour.\n"
    assert context_line(view_words("axial", "US"), []) == "Seen on this ultrasound: nothing known.\n"
