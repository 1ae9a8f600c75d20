"""What a client may say of a label, what it is refused for, and the sidecar's way to JSON and back."""

import json

import pytest

from medsight_core.data.correction import Claim, CorrectedSegment, Correction
from medsight_core.errors import InputError

STOCK = {"label_info": [{"name": "right lung", "idx": 1}, {"name": " left  lung ", "idx": 2}], "client_id": "anna"}
OWN = {
    "medsight": {
        "prompt": "Outline the lungs.",
        "answer": "The right lung [1].",
        "model_version": "1.0",
        "image_hash": "SHA256:00",
        "base_version": 2,
        "nothing_there": True,
        "segments": [{"label": 1, "name": "right lung", "code": "M5_0", "made_by": "model"}],
    }
}


def test_a_stock_client_says_names_and_who_it_is():
    claim = Claim.of(STOCK)
    assert claim == Claim(names={1: "right lung", 2: "left lung"}, annotator="anna")


def test_our_client_says_all():
    assert Claim.of(OWN) == Claim(
        names={1: "right lung"},
        makers={"right lung": "model"},
        codes={"right lung": "M5_0"},
        prompt="Outline the lungs.",
        answer="The right lung [1].",
        model_version="1.0",
        image_hash="SHA256:00",
        base_version=2,
        nothing_there=True,
    )


def test_nothing_said_is_nothing_claimed():
    assert Claim.of({}) == Claim.of({"medsight": None, "label_info": None, "client_id": None}) == Claim()


ENTRY = "does not name a segment: send each as"


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"medsight": []}, None),
        ({"medsight": "x"}, "The params' medsight is not a JSON object: leave it out, or send one."),
        ({"label_info": "x"}, "The params' label_info is not a list of segments: send one entry for each."),
        ({"label_info": [1]}, 'label_info does not name a segment: send each as {"name": "right lung", "idx": 1}.'),
        ({"label_info": [{"name": "", "idx": 1}]}, ENTRY),
        ({"label_info": [{"name": "x" * 129, "idx": 1}]}, ENTRY),
        ({"label_info": [{"name": "x", "idx": "1"}]}, ENTRY),
        ({"label_info": [{"name": "x", "idx": 1}] * 1025}, "is not a list of segments"),
        ({"medsight": {"segments": [{"label": 1}]}}, ENTRY),
        (
            {"medsight": {"segments": [{"label": 1, "name": "liver", "made_by": "a ghost"}]}},
            "The segment 'liver' was made by nobody known: say one of model, edited, drawn.",
        ),
        (
            {"medsight": {"base_version": "2"}},
            "The base_version is not a whole number: send the version you began from, 0 for none.",
        ),
        ({"medsight": {"base_version": -1}}, "The base_version is not a whole number"),
        ({"medsight": {"base_version": True}}, "The base_version is not a whole number"),
        (
            {"medsight": {"prompt": "x" * 2001}},
            "The prompt of a correction must be text of at most 2000 characters: shorten it.",
        ),
        ({"medsight": {"model_version": 5}}, "The model_version of a correction must be text"),
    ],
)
def test_a_claim_of_the_wrong_kind_is_one_sentence(params, text):
    if text is None:  # an empty list is how some languages write an empty object
        assert Claim.of(params) == Claim()
        return
    with pytest.raises(InputError) as caught:
        Claim.of(params)
    assert text in str(caught.value)


def test_a_sidecar_survives_json():
    segment = CorrectedSegment(
        1, "right lung", "Right Lung", "M5_0", "edited", 7, True, {"type": {"value": "39607008"}}
    )
    correction = Correction("chest", "SHA256:00", "final", "2026-01-01T00:00:00+00:00", "SHA256:11", (segment,), "p")
    data = json.loads(json.dumps(correction.to_json()))
    assert data["segments"][0]["made_by"] == "edited"
    assert Correction.from_json(data) == correction
    for damaged in ({}, {**data, "segments": [{}]}, {**data, "segments": 5}):
        with pytest.raises((LookupError, TypeError, ValueError)):
            Correction.from_json(damaged)
